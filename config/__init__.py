"""How the process is put together; no product rules."""
