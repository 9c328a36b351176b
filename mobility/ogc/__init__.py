"""OGC API Features over the layers of the catalog, for GIS clients: a face, no reading of its own."""
