"""How fast strongroom is beside other tools: `python -m bench`."""
