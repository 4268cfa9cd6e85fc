"""One module a reader."""
