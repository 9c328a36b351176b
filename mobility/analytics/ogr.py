"""Files that GDAL writes: its ogr2ogr reads the service's database itself, and so keeps the types of columns."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from django.contrib.gis.gdal import DataSource

from mobility.analytics.exporting import AT_A_TIME, Layer, Part, Progress, count, one_state, rows_of, surroundings

DRIVERS = {"gpkg": "GPKG", "fgb": "FlatGeobuf"}


class NoOgr(Exception):
    """There is no ogr2ogr here."""


class OgrFailed(Exception):
    """What ogr2ogr complained of."""


def write_by_ogr(layer: Layer, part: Part, path: Path, form: str, progress: Progress | None) -> int:
    """Write the rows as `form`, a key of DRIVERS; how many. FlatGeobuf has no rows without a geometry. Raises NoOgr,
    OgrFailed."""
    program = shutil.which("ogr2ogr")
    if program is None:
        raise NoOgr
    query = rows_of(layer, part)
    total = 0
    if progress:
        with one_state() as raw:
            total = count(raw, query)
    about = ["-lco", f"DESCRIPTION={' '.join(layer.about.split())}"] if form == "gpkg" else []
    command = [
        program, "-f", DRIVERS[form], str(path), "PG:", "-sql", query.as_string(None), "-nln", layer.name,
        "-nlt", layer.geometry_type or "NONE", "-a_srs", "EPSG:4326", "-progress", *about,
    ]  # fmt: skip
    environment = surroundings() | {"OGR_PG_CURSOR_PAGE": str(AT_A_TIME), "PG_LIST_ALL_TABLES": "NO"}
    with tempfile.TemporaryFile() as complaints:
        # Left by an exception, Ctrl-C's too, the program is ended first.
        with subprocess.Popen(  # noqa: S603 (our own arguments)
            command, env=environment, stdout=subprocess.PIPE, stderr=complaints
        ) as running:
            try:
                _follow(running, progress, total)
            except BaseException:
                running.kill()
                raise
        complaints.seek(0)
        if running.returncode:
            # After these words it lists every format it knows.
            said = complaints.read().decode(errors="replace").split(" with the following drivers")[0].strip()
            raise OgrFailed(said or f"exit code {running.returncode}")
    return len(DataSource(path)[0])


def _follow(running: "subprocess.Popen[bytes]", progress: Progress | None, total: int) -> None:
    """Until it has ended, by what it prints: 0...10...20 and so on, in hundredths."""
    printed = b""
    while running.stdout and (piece := running.stdout.read(1)):
        printed += piece
        found = re.findall(rb"\d+(?=\D)", printed)
        if progress and found:
            progress(total * min(int(found[-1]), 100) // 100, total)
    running.wait()
