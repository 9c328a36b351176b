"""Who may do what: the table tests/permissions.toml, held against the code and tried on it."""
