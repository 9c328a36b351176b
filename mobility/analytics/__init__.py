"""What analysts read with psql and QGIS: schema gis, its roles, and who gets a login."""
