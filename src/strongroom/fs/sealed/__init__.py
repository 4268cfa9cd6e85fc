"""age over any fsspec file system: every file is an age file there, and none needs to be staged."""
