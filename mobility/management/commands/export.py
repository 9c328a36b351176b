"""manage.py export"""

import time
from argparse import ArgumentTypeError
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from geo.coordinates import Bounds, bounds
from mobility.analytics.exporting import (
    Layer,
    LayerRefused,
    Part,
    layers,
    made_beside,
    rows_of,
    without_geometry,
    write_csv,
    write_geojsonseq,
)
from mobility.analytics.ogr import DRIVERS, NoOgr, OgrFailed, write_by_ogr
from mobility.conf import knobs

WRONG_USE = 2
FORMATS = (*DRIVERS, "geojsonseq", "csv")
BAR = 30


class Command(BaseCommand):
    """Writes a layer of schema gis to a file."""

    help = (
        "Write a layer of schema gis to FILE: GeoPackage (gpkg), FlatGeobuf (fgb), a GeoJSON Feature on each line "
        "(geojsonseq) or csv with the geometry as WKT; layers without a geometry as csv only. gpkg and fgb need "
        "ogr2ogr (Debian: gdal-bin). Nobody's name is in these layers; single rides are in those that only "
        "careconnect_operations may read, so treat such a file as they must. FILE is there as a whole or not at all. "
        "Exit codes: 0 done, 1 it failed, 2 the command cannot be understood or the file not be written there. "
        "Example: manage.py export --layer trips --format gpkg --output trips.gpkg --since 2026-01-01"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what may be asked."""
        parser.add_argument("--list", action="store_true", help="show the layers, and write nothing")
        parser.add_argument("--layer", metavar="NAME", help="the view, with or without gis.")
        parser.add_argument("--format", choices=FORMATS, help="by default what the file's ending says")
        parser.add_argument("--output", type=Path, metavar="FILE")
        parser.add_argument("--force", action="store_true", help="replace FILE if it is there")
        parser.add_argument(
            "--since", type=_time, metavar="TIME",
            help="2026-01-31, or a time like 2026-01-31T08:00+02:00: rows of the layer's first column with a time, from"
            " then on. Without a zone it is in CARECONNECT_REPORTING_TIME_ZONE",
        )  # fmt: skip
        parser.add_argument("--until", type=_time, metavar="TIME", help="rows before then")
        parser.add_argument(
            "--bbox", type=_box, metavar="WEST,SOUTH,EAST,NORTH",
            help="rows that touch this box, in degrees; west > east crosses the antimeridian. Where west is negative,"
            " write --bbox=-1,50,0,51",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        """Choose, write, and say how many."""
        try:
            there = layers()
        except DatabaseError as error:
            raise CommandError(f"Nothing was written: {error}") from None
        if options["list"]:
            self._list(there)
            return
        layer, form, output = _wanted(there, options)
        zone = ZoneInfo(knobs().reporting_time_zone)
        part = Part(_zoned(options["since"], zone), _zoned(options["until"], zone), options["bbox"])
        if self.stderr.isatty() and options["verbosity"]:
            self._progress_of = layer.name
        began = time.monotonic()
        done = self._written(layer, part, form, output)
        took_s = time.monotonic() - began
        if form == "fgb" and (nowhere := without_geometry(layer, part)):
            self.stderr.write(f"{nowhere} rows have no geometry and are left out: FlatGeobuf cannot hold them")
        self.stdout.write(
            f"{done} rows of gis.{layer.name} in {output}, {output.stat().st_size / 1e6:.1f} MB;"
            f" {done / max(took_s, 0.001):.0f} rows a second"
        )

    _progress_of = ""

    def _written(self, layer: Layer, part: Part, form: str, output: Path) -> int:
        progress = self._show if self._progress_of else None
        try:
            rows_of(layer, part)
            with made_beside(output, form) as path:
                if form in DRIVERS:
                    return write_by_ogr(layer, part, path, form, progress)
                return (write_csv if form == "csv" else write_geojsonseq)(layer, part, path, progress)
        except LayerRefused as refused:
            raise CommandError(str(refused), returncode=WRONG_USE) from None
        except NoOgr:
            raise CommandError(
                f"{form} is written by ogr2ogr, which is not here: apt-get install gdal-bin. Formats that need nothing:"
                " geojsonseq, csv"
            ) from None
        except OSError as error:
            raise CommandError(f"{output}: {error.strerror}", returncode=WRONG_USE) from None
        except (OgrFailed, DatabaseError) as error:
            raise CommandError(f"Nothing was written: {error}") from None
        except KeyboardInterrupt:
            raise CommandError("Interrupted: nothing was written. The same command begins anew.") from None
        finally:
            if self._progress_of:
                self.stderr.write("\r\x1b[K", ending="")

    def _show(self, done: int, total: int) -> None:
        share = min(done / total, 1.0) if total else 1.0
        bar = "#" * round(share * BAR)
        self.stderr.write(f"\r[{bar:<{BAR}}] {done:,} of {total:,} {self._progress_of}", ending="")

    def _list(self, there: dict[str, Layer]) -> None:
        for layer in there.values():
            what = f"{layer.geometry_type or 'no geometry, csv only':<22} {layer.moment or 'no time':<13}"
            self.stdout.write(f"{layer.name:<14} {what} {' '.join(layer.about.split())}")


def _wanted(there: dict[str, Layer], options: dict[str, Any]) -> tuple[Layer, str, Path]:
    """The layer, the format and the file; raises CommandError where they do not fit."""
    output: Path | None = options["output"]
    if options["layer"] is None or output is None:
        raise CommandError("Give --layer and --output, or --list.", returncode=WRONG_USE)
    layer = there.get(options["layer"].removeprefix("gis."))
    if layer is None:
        raise CommandError(f"There is no layer {options['layer']}. There are: {', '.join(there)}", returncode=WRONG_USE)
    form = options["format"] or output.suffix.removeprefix(".")
    if form not in FORMATS:
        raise CommandError(f"Give --format: {', '.join(FORMATS)}", returncode=WRONG_USE)
    if layer.geometry is None and form != "csv":
        raise CommandError(f"{layer.name} has no geometry: only --format csv", returncode=WRONG_USE)
    if output.is_dir():
        raise CommandError(f"{output} is a folder", returncode=WRONG_USE)
    if output.exists() and not options["force"]:
        raise CommandError(f"{output} is there already; --force replaces it", returncode=WRONG_USE)
    return layer, form, output


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no time like 2026-01-31 or 2026-01-31T08:00+02:00") from None


def _zoned(moment: datetime | None, zone: ZoneInfo) -> datetime | None:
    return moment.replace(tzinfo=zone) if moment is not None and moment.tzinfo is None else moment


def _box(text: str) -> Bounds:
    try:
        return bounds(text)
    except ValueError as wrong:
        raise ArgumentTypeError(str(wrong)) from None
