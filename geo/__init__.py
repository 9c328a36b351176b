"""Spatial toolbox: points, distances, areas, GeoJSON. It knows no ride and no driver."""
