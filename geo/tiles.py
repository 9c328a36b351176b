"""Squares of the web's map, z/x/y as everybody counts them, and rows as vector tiles made by PostGIS."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from geo.coordinates import Bounds
from geo.features import Field, Kind

DEEPEST_ZOOM = 22
EXTENT, BUFFER = 4096, 64  # units of a tile's side, and how many more of them are drawn around it
# Where web mercator ends; beyond it there are no tiles.
HIGHEST_LATITUDE = 85.0511287798066


class Tile(NamedTuple):
    """A square of the map: zoom, column from the west, row from the north."""

    z: int
    x: int
    y: int

    @property
    def exists(self) -> bool:
        """Whether the map has such a square."""
        return 0 <= self.z <= DEEPEST_ZOOM and 0 <= self.x < 1 << self.z and 0 <= self.y < 1 << self.z


def bounds_of(tile: Tile) -> Bounds:
    """The box of everything a tile shows, with what it draws around itself; never over the antimeridian."""
    margin = BUFFER / EXTENT
    west, east = (_longitude((tile.x + aside) / (1 << tile.z)) for aside in (-margin, 1 + margin))
    north, south = (_latitude((tile.y + aside) / (1 << tile.z)) for aside in (-margin, 1 + margin))
    return Bounds(max(west, -180.0), south, min(east, 180.0), north)


def _longitude(share: float) -> float:
    return share * 360.0 - 180.0


def _latitude(share: float) -> float:
    return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * share))))


# What a vector tile can hold; everything else goes in as text. Times are whole seconds since 1970: a map's style can
# compute with them and not with text, they take a fifth of the time to write, and a tile keeps equal values once.
_VALUE: dict[Kind, str] = {
    "integer": "s.{0}::bigint",
    "number": "s.{0}::float8",
    "boolean": "s.{0}::boolean",
    "text": "s.{0}::text",
    "word": "s.{0}::text",
    "time": "floor(date_part('epoch', s.{0}))::bigint",
    "json": "s.{0}::text",
}
_TILEJSON_TYPE: dict[Kind, str] = {"integer": "Number", "number": "Number", "boolean": "Boolean", "time": "Number"}


def tile_sql(source: str, name: str, fields: Iterable[Field], tile: Tile, *, points: bool) -> str:
    """The SELECT of a tile from a source (geo/features.py) that has been narrowed to `bounds_of` it: `tile` and the
    number of features read."""
    values = "".join(f", {_VALUE[f.kind].format(f.name)} AS {f.name}" for f in fields)
    return (  # names and numbers of our own
        f"SELECT ST_AsMVT(t, '{name}', {EXTENT}, 'geom', 'id') AS tile, count(*) AS features FROM ("  # noqa: S608
        f"SELECT s.id, {point_in(tile) if points else _shape_in(tile)} AS geom{values}"
        f" FROM ({source}) s) t"
    )


def _shape_in(tile: Tile) -> str:
    """A geometry in units of the tile, clipped to it."""
    # A pole has no place in web mercator.
    world = f"ST_MakeEnvelope(-180, -{HIGHEST_LATITUDE}, 180, {HIGHEST_LATITUDE}, 4326)"
    square = f"ST_TileEnvelope({tile.z}, {tile.x}, {tile.y})"
    return f"ST_AsMVTGeom(ST_Transform(ST_ClipByBox2D(s.geom, {world}), 3857), {square}, {EXTENT}, {BUFFER})"


def point_in(tile: Tile) -> str:
    """SQL for the point `s.geom` (EPSG:4326) in units of the tile: what ST_Transform and ST_AsMVTGeom say, in half of
    their time. Nothing is clipped: points outside, the poles first of all, are none of the source's."""
    units = EXTENT << tile.z  # the world's side
    # Of mercator (https://en.wikipedia.org/wiki/Web_Mercator_projection#Formulas). Counted from the pole: PostgreSQL
    # refuses a product that underflows, as that of the smallest latitudes does, and with it the whole tile.
    north = f"ln(tan((ST_Y(s.geom) + 90) * {math.pi / 360!r}))"
    return (
        f"ST_MakePoint(round((ST_X(s.geom) + 180) * {units / 360!r} - {tile.x * EXTENT}),"
        f" round({(units / 2 - tile.y * EXTENT)!r} - {north} * {units / math.tau!r}))"
    )


def vector_layer(name: str, about: str, fields: Sequence[Field]) -> dict[str, object]:
    """How TileJSON describes what is in such a tile. `times`, which is ours, are the fields in seconds since 1970."""
    return {
        "id": name,
        "description": about,
        "fields": {f.name: f"{_TILEJSON_TYPE.get(f.kind, 'String')}. {_told(f)}" for f in fields},
        "times": [f.name for f in fields if f.kind == "time"],
    }


def _told(field: Field) -> str:
    return f"{field.about} In seconds since 1970, UTC." if field.kind == "time" else field.about
