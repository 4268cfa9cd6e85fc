"""What strongroom is for, in scripts that run: `python -m examples.demo`."""
