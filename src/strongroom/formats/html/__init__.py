"""A page that opens the archive in it: HTML around an armored age file with a ZIP inside."""
