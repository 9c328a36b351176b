"""One vector tile of a layer."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg
from django.db import connection

from geo.tiles import Tile, tile_sql
from mobility.layers.layer import Layer
from mobility.sql import sql


class RenderedTile(NamedTuple):
    """The bytes of a tile, empty where there is nothing, and whether there was more than the limit."""

    data: bytes
    truncated: bool


def rendered_tile(layer: Layer, params: dict[str, Any], fields: Sequence[str], tile: Tile, limit: int) -> RenderedTile:
    """At most `limit` features of the layer in a tile; `params` are those of the source, whose box is the tile's."""
    source = sql(layer.tile_source or layer.source)
    statement = tile_sql(source, layer.name, layer.chosen(fields), tile, points=layer.geometry == "point")
    connection.ensure_connection()
    raw: Any = connection.connection
    written = psycopg.ClientCursor(raw).mogrify(statement, params | {"limit": limit})
    with connection.wrap_database_errors, psycopg.Cursor(raw) as cursor:
        # As bytes: written as hexadecimal text a dense tile takes a tenth longer.
        cursor.execute(written, binary=True)
        data, features = cursor.fetchone() or (b"", 0)
    return RenderedTile(bytes(data), features >= limit)
