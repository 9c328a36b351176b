"""What is shown on maps: one read of the database for each layer, rendered by PostGIS as GeoJSON or as vector tiles."""
