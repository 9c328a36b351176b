"""A small tile server beside the service: real tiles out of the real database, to see the page of layers with."""

from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from config.urls import handler400, handler403, handler404, handler500
from config.urls import urlpatterns as served

__all__ = ["handler400", "handler403", "handler404", "handler500"]

_TILE = """
WITH tile AS (SELECT ST_TileEnvelope(%(z)s, %(x)s, %(y)s) AS bounds),
shown AS (
    SELECT d.id, d.status, d.vehicle_registration AS note,
        floor(date_part('epoch', l.recorded_at))::bigint AS seen, {geometry} AS geometry
    FROM mobility_driver d JOIN mobility_driver_location l ON l.driver_id = d.id
),
clipped AS (
    SELECT id, status, note, seen, ST_AsMVTGeom(ST_Transform(geometry, 3857), bounds) AS geometry FROM shown, tile
    WHERE ST_Transform(geometry, 3857) && bounds
)
SELECT ST_AsMVT(clipped, %(layer)s, 4096, 'geometry', 'id') FROM clipped
"""
_GEOMETRIES = {
    "drivers": "l.position",
    "bookings": "ST_MakeLine(l.position, ST_Translate(l.position, 0.05, 0.05))",
    "areas": "ST_Expand(l.position, 0.02)",
}


def tilejson(request: HttpRequest, layer: str) -> HttpResponse:
    """What is where; `demand` is a layer that is out of order, and of `areas` it is not said."""
    if layer not in _GEOMETRIES:
        return JsonResponse({"detail": "out of order"}, status=503)
    with connection.cursor() as cursor:
        cursor.execute("SELECT box2d(ST_Expand(ST_Extent(position), 0.1)) FROM mobility_driver_location")
        corners = cursor.fetchone()[0][4:-1].replace(" ", ",").split(",")
    bounds = {} if layer == "areas" else {"bounds": [float(corner) for corner in corners]}
    return JsonResponse(
        {
            "tilejson": "3.0.0", "tiles": [f"/tiles/{layer}/{{z}}/{{x}}/{{y}}.mvt"], "minzoom": 0, "maxzoom": 14,
            "vector_layers": [
                {"id": layer, "fields": {"status": "String", "note": "String", "seen": "Number"}, "times": ["seen"]}
            ],
        } | bounds
    )  # fmt: skip


def tile(request: HttpRequest, layer: str, z: int, x: int, y: int) -> HttpResponse:
    """One tile, for whoever is logged in."""
    if not request.user.is_authenticated:
        return HttpResponse(status=401)
    with connection.cursor() as cursor:
        cursor.execute(_TILE.format(geometry=_GEOMETRIES[layer]), {"z": z, "x": x, "y": y, "layer": layer})
        content = bytes(cursor.fetchone()[0])
    return HttpResponse(
        content, content_type="application/vnd.mapbox-vector-tile", headers={"Cache-Control": "no-cache"}
    )


urlpatterns = [
    path("tiles/<slug:layer>.json", tilejson),
    path("tiles/<slug:layer>/<int:z>/<int:x>/<int:y>.mvt", tile),
    *served,
]
