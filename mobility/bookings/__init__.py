"""A passenger's ride and its life."""
