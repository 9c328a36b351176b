"""How long it takes to drive somewhere: one interface, several engines."""
