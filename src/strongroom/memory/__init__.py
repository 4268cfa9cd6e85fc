"""Memory for what must not stay behind."""
