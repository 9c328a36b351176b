"""Layers as vector tiles, for maps that draw while one moves about."""
