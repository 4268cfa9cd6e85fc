"""The 7z format: AES-256-CBC, with the names of the entries encrypted as well."""
