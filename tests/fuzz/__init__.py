"""Hostile frames against a real server process."""
