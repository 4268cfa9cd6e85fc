"""age v1, as C2SP specifies it: one file, encrypted to public keys or with a passphrase."""
