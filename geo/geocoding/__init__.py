"""Where a text lies, and what is at a position: one interface, any geocoder that geopy knows."""
