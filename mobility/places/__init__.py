"""Places and addresses: our own gazetteer, and whatever geocoder is set."""
