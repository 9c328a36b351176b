"""The definition of the OGC API itself, OpenAPI 3.0: made of the same table of collections as the pages.

By hand and not by drf-spectacular: every collection has paths of its own here, with its own parameters and fields, and
there GIS clients look them up.
"""

from typing import Any

from rest_framework.request import Request

from geo.features import Field, Kind
from geo.ogc.conformance import CRS84, CRS84H
from geo.ogc.links import GEO_JSON, HTML, JSON, OPENAPI
from geo.params import MAX_RADIUS_M
from mobility.bookings.states import Status
from mobility.drivers.models import DriverStatus
from mobility.errors import ANSWERS
from mobility.errors_rest import PROBLEM_JSON
from mobility.ogc.collections import COLLECTIONS, Collection
from mobility.ogc.documents import ABOUT, TITLE
from mobility.ogc.items import DEFAULT_LIMIT, MAX_LIMIT, MAX_ROWS
from mobility.ogc.pages import here

_OBJECT: dict[str, Any] = {"type": "object"}
_TEXT: dict[str, Any] = {"type": "string"}
_NUMBERS: dict[str, Any] = {"type": "array", "items": {"type": "number"}}
_KINDS: dict[Kind, dict[str, Any]] = {
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "text": _TEXT,
    "word": _TEXT,
    "time": {"type": "string", "format": "date-time"},
    "json": _OBJECT,
}
_GEOMETRIES = {
    "point": ["Point"],
    "line": ["LineString", "MultiLineString"],
    "polygon": ["Polygon", "MultiPolygon"],
}


def definition(request: Request) -> dict[str, Any]:
    """The document."""
    return {
        "openapi": "3.0.3",
        "info": {"title": f"{TITLE}: OGC API Features", "version": "1", "description": ABOUT},
        "servers": [{"url": here(request, "ogc-landing").rstrip("/")}],
        "tags": [
            {"name": "about"},
            *({"name": found.id, "description": found.about} for found in COLLECTIONS.values()),
        ],
        "paths": _common_paths()
        | {path: told for found in COLLECTIONS.values() for path, told in _paths(found).items()},
        "components": {
            "parameters": _PARAMETERS,
            "schemas": _SCHEMAS | {_schema_name(found): _feature(found) for found in COLLECTIONS.values()},
            "responses": _refusals(),
            "securitySchemes": _SECURITY_SCHEMES,
        },
        "security": [{name: []} for name in _SECURITY_SCHEMES],
    }


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every path of the document with its operation, its parameters written out: for people to read."""
    told = []
    for path, methods in document["paths"].items():
        parameters = [*methods.get("parameters", []), *methods["get"]["parameters"]]
        told.append((path, methods["get"] | {"parameters": [_written_out(document, one) for one in parameters]}))
    return told


def _written_out(document: dict[str, Any], parameter: dict[str, Any]) -> dict[str, Any]:
    name = parameter.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["parameters"][name] if name else parameter
    return found


_SECURITY_SCHEMES: dict[str, Any] = {
    "basic": {"type": "http", "scheme": "basic", "description": "An API key as the password; any user name."},
    "header": {
        "type": "apiKey", "in": "header", "name": "Authorization",
        "description": "`Key <key>` with an API key, or `Token <token>` with an operator's login token.",
    },
    "session": {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "An operator's session."},
}  # fmt: skip


def _parameter(name: str, schema: dict[str, Any], about: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": about, "schema": schema, **more}


# GDAL and QGIS read the largest page out of `limit` here.
_PARAMETERS: dict[str, Any] = {
    "f": _parameter(
        "f", {"type": "string", "enum": ["json", "html"]}, "The form; by default what `Accept` likes best."
    ),
    "limit": _parameter(
        "limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        f"Features a page. More than the maximum is as much as the maximum; as HTML it is {MAX_ROWS}.",
    ),
    "bbox": _parameter(
        "bbox", {"type": "array", "minItems": 4, "maxItems": 6, "items": {"type": "number"}},
        "West, south, east, north in degrees, which the features shall touch; west > east crosses the antimeridian. Of"
        " six numbers (west, south, lowest, east, north, highest) the heights are left out.",
        style="form", explode=False,
    ),
    "bbox-crs": _parameter(
        "bbox-crs", {"type": "string", "format": "uri", "enum": [CRS84, CRS84H]},
        "May only say what is so; the second for six numbers.",
    ),
    "datetime": _parameter(
        "datetime", _TEXT,
        "An instant like 2026-01-31T08:00:00Z, or two with a slash between, both included; `..` or nothing: open.",
        style="form", explode=False,
    ),
    "cursor": _parameter("cursor", _TEXT, "Where the page begins: it stands in the link `next` of the page before."),
    "near": _parameter("near", _TEXT, "Latitude,longitude in degrees; together with radius_m."),
    "radius_m": _parameter(
        "radius_m", {"type": "number", "exclusiveMinimum": True, "minimum": 0, "maximum": MAX_RADIUS_M}, "Metres."
    ),
    "attention": _parameter(
        "attention", {"type": "boolean"}, "Operators only. true: rides that need an operator's eye; false: all others."
    ),
    "active": _parameter("active", {"type": "boolean"}, "Operators only. true: active areas; false: all others."),
}  # fmt: skip
_STATUSES = {"drivers": DriverStatus.values, "bookings": Status.values}


def _own_parameter(found: Collection, name: str) -> dict[str, Any]:
    """A parameter of this collection: what all have alike stands among the components."""
    if name == "status":
        values: Any = {"type": "array", "items": {"type": "string", "enum": list(_STATUSES[found.id])}}
        return _parameter(name, values, "One or several.", style="form", explode=False)
    if name == "datetime":
        return _PARAMETERS[name] | {"description": f"{found.when}. {_PARAMETERS[name]['description']}"}
    if name == "fields":
        values = {"type": "array", "items": {"type": "string", "enum": [f.name for f in found.layer.fields]}}
        return _parameter(name, values, "The properties that are wanted.", style="form", explode=False)
    return {"$ref": f"#/components/parameters/{name}"}


def _common_paths() -> dict[str, Any]:
    told = {
        "/": ("landing", "Where everything is", "Landing", JSON),
        "/conformance": ("conformance", "What of the standard is kept", "Conformance", JSON),
        "/api": ("definition", "This definition", "Any", OPENAPI),
        "/collections": ("collections", "The collections that one may read", "Collections", JSON),
    }
    paths = {
        path: {"get": _operation("about", name, about, _both(schema, media_type), open_to_all=path != "/collections")}
        for path, (name, about, schema, media_type) in told.items()
    }
    which = {
        "name": "collectionId", "in": "path", "required": True, "description": "Which one.",
        "schema": {"type": "string", "enum": list(COLLECTIONS)},
    }  # fmt: skip
    about_one = _operation("about", "collection", "A collection", _both("Collection", JSON), "404")
    return paths | {"/collections/{collectionId}": {"parameters": [which], "get": about_one}}


def _paths(found: Collection) -> dict[str, Any]:
    names = [*found.asked(key=False), "limit", "bbox-crs", "fields"]
    several = _operation(
        found.id, f"{found.id}-items", found.layer.title, _both(_schema_name(found), GEO_JSON, page=True)
    )
    several["parameters"] += [_own_parameter(found, name) for name in names]
    several["description"] = f"{found.about} Operators, or a key with the scope `{found.scope.value}`."
    which = {"name": "featureId", "in": "path", "required": True, "schema": _TEXT, "description": "The feature's `id`."}
    single = _operation(
        found.id, f"{found.id}-item", f"{found.layer.title}: one", _both(_schema_name(found), GEO_JSON), "404"
    )
    return {
        f"/collections/{found.id}/items": {"get": several},
        f"/collections/{found.id}/items/{{featureId}}": {"parameters": [which], "get": single},
    }


def _operation(
    tag: str, name: str, about: str, answer: dict[str, Any], *refusals: str, open_to_all: bool = False
) -> dict[str, Any]:
    codes = ["400", "401", "429", "500", "503", *([] if open_to_all else ["403"]), *refusals]
    operation = {
        "tags": [tag],
        "operationId": name,
        "summary": about,
        "parameters": [{"$ref": "#/components/parameters/f"}],
        "responses": {"200": answer, "302": _TO_LOGIN, "304": _NOT_MODIFIED}
        | {code: {"$ref": f"#/components/responses/{code}"} for code in sorted(codes)},
    }
    return operation | ({"security": [{}, *({n: []} for n in _SECURITY_SCHEMES)]} if open_to_all else {})


_TO_LOGIN = {"description": "To the login: for whoever wants HTML and sent nothing."}
_NOT_MODIFIED = {"description": "What `If-None-Match` names is still the newest."}


def _both(schema: str, media_type: str, *, page: bool = False) -> dict[str, Any]:
    told: dict[str, Any] = {"$ref": f"#/components/schemas/{schema}"}
    if page:
        told = {"allOf": [{"$ref": "#/components/schemas/FeatureCollection"}, _of_these(told)]}
    return {"description": "It.", "content": {media_type: {"schema": told}, HTML: {"schema": _TEXT}}}


def _of_these(feature: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"features": {"type": "array", "items": feature}}}


def _refusals() -> dict[str, Any]:
    """The refusals by HTTP status, with the codes that may come with each."""
    codes = {
        "400": ["invalid_parameter"], "401": ["unauthenticated"], "403": ["forbidden"], "404": ["not_found"],
        "429": ["too_many_requests"], "500": ["internal_error"], "503": ["unavailable", "try_again"],
    }  # fmt: skip
    content = {
        PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}},
        HTML: {"schema": _TEXT},
    }
    return {
        status: {"description": " ".join(f"`{c}`: {ANSWERS[c].sentence}" for c in named), "content": content}
        for status, named in codes.items()
    }


def _schema_name(found: Collection) -> str:
    return f"{found.layer.name.capitalize()}Feature"


def _feature(found: Collection) -> dict[str, Any]:
    geometry = {
        "type": "object", "nullable": True, "required": ["type", "coordinates"],
        "properties": {"type": {"type": "string", "enum": _GEOMETRIES[found.layer.geometry]}, "coordinates": _ARRAY},
    }  # fmt: skip
    return {
        "type": "object",
        "required": ["type", "id", "geometry", "properties"],
        "properties": {
            "type": {"type": "string", "enum": ["Feature"]},
            "id": {"type": "integer"},
            "geometry": geometry,
            "properties": {"type": "object", "properties": {f.name: _field(f) for f in found.layer.fields}},
            "links": _LINKS,
        },
    }


def _field(field: Field) -> dict[str, Any]:
    return _KINDS[field.kind] | {"description": field.about} | ({"nullable": True} if field.null else {})


_ARRAY: dict[str, Any] = {"type": "array", "items": {}}
_LINKS: dict[str, Any] = {"type": "array", "items": {"$ref": "#/components/schemas/Link"}}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": properties}


_SCHEMAS: dict[str, Any] = {
    "Any": _OBJECT,
    "Link": _object("href rel type title", href=_TEXT, rel=_TEXT, type=_TEXT, title=_TEXT),
    "Landing": _object("title description links", title=_TEXT, description=_TEXT, links=_LINKS),
    "Conformance": _object("conformsTo links", conformsTo={"type": "array", "items": _TEXT}, links=_LINKS),
    "Collections": _object(
        "collections links",
        links=_LINKS, collections={"type": "array", "items": {"$ref": "#/components/schemas/Collection"}},
    ),
    "Collection": _object(
        "id title description extent itemType crs links",
        id=_TEXT, title=_TEXT, description=_TEXT, itemType={"type": "string", "enum": ["feature"]},
        crs={"type": "array", "items": _TEXT}, links=_LINKS,
        extent=_object(
            "spatial temporal",
            spatial=_object("bbox crs", bbox={"type": "array", "items": _NUMBERS}, crs=_TEXT),
            temporal=_object(
                "interval trs", trs=_TEXT,
                interval={
                    "type": "array",
                    "items": {
                        "type": "array", "minItems": 2, "maxItems": 2,
                        "items": {"type": "string", "format": "date-time", "nullable": True},
                    },
                },
            ),
        ),
    ),
    "FeatureCollection": _object(
        "type features links timeStamp numberReturned",
        type={"type": "string", "enum": ["FeatureCollection"]}, features={"type": "array", "items": _OBJECT},
        links=_LINKS, timeStamp={"type": "string", "format": "date-time"},
        numberMatched={
            "type": "integer", "minimum": 0,
            "description": "On all pages together; left out where counting would take too long.",
        },
        numberReturned={"type": "integer", "minimum": 0, "description": "On this page."},
    ),
    "Problem": _object(
        "type title status detail code",
        type=_TEXT, title=_TEXT, status={"type": "integer"}, detail=_TEXT, code=_TEXT, field=_TEXT,
    ),
}  # fmt: skip
