"""What the pages about collections say, as the JSON of the standard."""

from typing import Any

from rest_framework.request import Request

from geo.ogc.conformance import CLASSES, CRS84, GREGORIAN
from geo.ogc.links import GEO_JSON, HTML, JSON, OPENAPI, in_both_forms, link, own_links
from mobility.layers.measures import extent
from mobility.ogc.collections import Collection
from mobility.ogc.pages import here

TITLE = "CareConnect Mobility"
ABOUT = "Drivers, rides, service areas and demand as OGC API Features, for GIS clients. It only reads."
WORLD = [-180.0, -90.0, 180.0, 90.0]


def landing(request: Request) -> dict[str, Any]:
    """Where everything is."""
    api = here(request, "ogc-api")
    return {
        "title": TITLE,
        "description": ABOUT,
        "links": [
            link(f"{api}?f=json", "service-desc", OPENAPI, "The API's definition (OpenAPI 3.0)"),
            link(f"{api}?f=html", "service-doc", HTML, "The API's definition, to read"),
            *in_both_forms(here(request, "ogc-conformance"), "conformance", JSON, "What of the standard is kept"),
            *in_both_forms(here(request, "ogc-collections"), "data", JSON, "The collections"),
        ],
    }


def conformance(_request: Request) -> dict[str, Any]:
    """The classes that are kept."""
    return {"conformsTo": list(CLASSES), "links": []}


def listed(request: Request, collections: list[Collection], *, key: bool) -> dict[str, Any]:
    """The list of collections."""
    return {"links": [], "collections": [_entry(request, found, key=key) for found in collections]}


def _entry(request: Request, found: Collection, *, key: bool) -> dict[str, Any]:
    entry = described(request, found, key=key)
    itself = own_links(here(request, "ogc-collection", found.id), "json", JSON)
    return entry | {"links": [*itself, *entry["links"]]}


def described(request: Request, found: Collection, *, key: bool) -> dict[str, Any]:
    """One collection: what it holds, how far it reaches, where its features are."""
    return {
        "id": found.id,
        "title": found.layer.title,
        "description": found.about,
        "extent": reach(found, key=key),
        "itemType": "feature",
        "crs": [CRS84],
        "links": in_both_forms(here(request, "ogc-items", found.id), "items", GEO_JSON, found.layer.title),
    }


def reach(found: Collection, *, key: bool) -> dict[str, Any]:
    """The extent of what this reader may see: measured, or the world and all times where that would take too long, or
    nothing is there."""
    measured = extent(found.layer, found.found({}, key), found.begins, found.ends)
    box, begin, end = measured or (None, None, None)
    return {
        "spatial": {"bbox": [list(box) if box else WORLD], "crs": CRS84},
        "temporal": {"interval": [[begin, end]], "trs": GREGORIAN},
    }
