"""Carrying committed facts to whoever listens: group names and the one door to the channel layer."""
