"""The conformance classes of OGC API Features that are kept, and the one reference system there is."""

PART_1 = "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf"
CLASSES = tuple(f"{PART_1}/{name}" for name in ("core", "oas30", "html", "geojson"))

# WGS 84, longitude first; with heights where a box has six numbers.
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
CRS84H = "http://www.opengis.net/def/crs/OGC/0/CRS84h"
GREGORIAN = "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian"
