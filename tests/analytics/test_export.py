"""manage.py export: each format is read back by GDAL's own tools, and nothing is left of what did not end well."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from mobility.analytics.exporting import layers
from tests.analytics.city import Ride
from tests.environment import ROOT

needs_gdal = pytest.mark.skipif(shutil.which("ogr2ogr") is None, reason="needs ogr2ogr: apt-get install gdal-bin")
WITH_GEOMETRY = ("gpkg", "fgb", "geojsonseq", "csv")
AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.fixture
def rides(city):
    """Three rides, an hour after each other, from three hexagons 0.05 degrees of longitude apart."""
    city.areas(1)
    city.add([Ride(n, n, 1, n, AT + timedelta(hours=n), to_area=1) for n in (1, 2, 3)])


@pytest.fixture
def export(tmp_path, capsys):
    """export(layer, format, *more): the file, and what was printed."""

    def run(layer, form, *more):
        output = tmp_path / f"{layer}.{form}"
        call_command("export", "--layer", layer, "--format", form, "--output", str(output), *more)
        return output, capsys.readouterr()

    return run


def of_gdal(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "ERROR" not in done.stderr
    return done.stdout


def features(path):
    """The features as GDAL reads them."""
    source = f"GeoJSONSeq:{path}" if path.suffix == ".geojsonseq" else str(path)
    return json.loads(of_gdal("ogr2ogr", "-f", "GeoJSON", "/vsistdout/", source))["features"]


@needs_gdal
class TestFormats:
    @pytest.mark.parametrize("form", WITH_GEOMETRY)
    def test_gdal_reads_what_was_written(self, rides, export, form):
        path, printed = export("pickups", form)
        found = features(path)
        if form == "fgb":  # has an order of its own, for looking up places
            found.sort(key=lambda one: one["properties"]["id"])
        assert [one["geometry"]["type"] for one in found] == ["Point"] * 3
        places = [one["geometry"]["coordinates"] for one in found]
        assert [[round(x, 6) for x in place] for place in places] == [[28.05, -26.0], [28.1, -26.0], [28.15, -26.0]]
        assert [one["properties"]["status"] for one in found] == ["completed"] * 3
        assert printed.out.startswith(f"3 rows of gis.pickups in {path}, ")
        assert printed.out.rstrip().endswith("rows a second")
        assert printed.err == ""

    @pytest.mark.parametrize("form", ["gpkg", "fgb"])
    def test_columns_keep_their_types_and_the_layer_its_reference_system(self, rides, export, form):
        path, _ = export("rides", form)
        told = of_gdal("ogrinfo", "-so", "-al", str(path))
        assert "Layer name: rides" in told
        assert "Geometry: Multi Line String" in told
        assert "Feature Count: 3" in told
        assert 'ID["EPSG",4326]' in told
        assert "id: Integer64" in told
        assert "requested_at: DateTime" in told
        assert "waiting_s: Real" in told

    @pytest.mark.parametrize("form", WITH_GEOMETRY)
    def test_an_empty_layer_is_a_file_without_features(self, committed_db, export, form):
        path, printed = export("trips", form)
        assert printed.out.startswith("0 rows of gis.trips ")
        if form == "geojsonseq":
            assert path.read_text() == ""
        else:
            assert features(path) == []

    def test_a_point_that_is_not_known_is_no_geometry(self, rides, city, export):
        city.admin.execute(
            "INSERT INTO mobility_trip (booking_id, started_at, ended_at, fixes, jumps, leaps)"
            " SELECT id, started_at, completed_at, 0, 0, 0 FROM mobility_booking"
        )
        for form in ("gpkg", "geojsonseq", "csv"):
            found = features(export("trips", form)[0])
            assert [one["geometry"] for one in found] == [None] * 3
            assert [float(one["properties"]["duration_s"]) for one in found] == [600.0] * 3

        path, printed = export("trips", "fgb")
        assert features(path) == []
        assert printed.err == "3 rows have no geometry and are left out: FlatGeobuf cannot hold them\n"

    def test_the_password_is_not_on_the_command_line(self, rides, export, monkeypatch, tmp_path):
        spy = tmp_path / "bin" / "ogr2ogr"
        spy.parent.mkdir()
        spy.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/seen\nexec {shutil.which("ogr2ogr")} "$@"\n')
        spy.chmod(0o755)
        monkeypatch.setenv("PATH", f"{spy.parent}:{os.environ['PATH']}")
        export("pickups", "gpkg")
        seen = (tmp_path / "seen").read_text()
        assert "gis" in seen
        assert (password := connection.get_connection_params()["password"])
        assert password not in seen
        assert "host" not in seen

    def test_a_service_of_whoever_runs_it_leads_nowhere_else(self, rides, export, monkeypatch, tmp_path):
        elsewhere = tmp_path / "pg_service.conf"
        elsewhere.write_text("[elsewhere]\nhost=127.0.0.1\nport=1\ndbname=none\n")
        monkeypatch.setenv("PGSERVICEFILE", str(elsewhere))
        monkeypatch.setenv("PGSERVICE", "elsewhere")
        assert len(features(export("pickups", "gpkg")[0])) == 3


class TestWithoutGeometry:
    def test_csv_is_what_there_is(self, rides, city, export):
        city.admin.execute(
            "INSERT INTO mobility_published (kind, begins, time_zone, published_at, published_by)"
            " VALUES ('day', '2026-03-02', 'UTC', '2026-03-05 00:00+00', '1')"
        )
        path, _ = export("published", "csv")
        assert list(csv.DictReader(path.open())) == [
            {
                "id": "1", "kind": "day", "begins": "2026-03-02", "ends": "2026-03-03", "time_zone": "UTC",
                "published_at": "2026-03-05 00:00:00+00",
            }
        ]  # fmt: skip

    @pytest.mark.parametrize("form", ["gpkg", "fgb", "geojsonseq"])
    def test_a_map_is_refused(self, committed_db, export, form, tmp_path):
        refused(export, "flows", form, says="no geometry: only --format csv")
        assert list(tmp_path.iterdir()) == []

    def test_a_box_is_refused(self, committed_db, export):
        refused(export, "flows", "csv", "--bbox=0,0,1,1", says="no geometry")


def refused(export, *arguments, says, code=2):
    with pytest.raises(CommandError, match=says) as stopped:
        export(*arguments)
    assert stopped.value.returncode == code


class TestParts:
    def ids(self, path):
        return [json.loads(line)["properties"]["requested_at"][11:13] for line in path.read_text().splitlines()]

    def test_since_counts_and_until_does_not(self, rides, export):
        more = ("--since", "2026-03-02T10:00+00:00", "--until", "2026-03-02T13:00+02:00")
        assert self.ids(export("pickups", "geojsonseq", *more)[0]) == ["10"]

    def test_a_time_without_zone_is_the_services(self, rides, export, set_knobs):
        set_knobs(reporting_time_zone="Africa/Johannesburg")
        assert self.ids(export("pickups", "geojsonseq", "--since", "2026-03-02T12:00")[0]) == ["10", "11"]

    def test_a_published_day_begins_at_the_services_midnight(self, city, export, set_knobs):
        set_knobs(reporting_time_zone="Africa/Johannesburg")
        city.admin.execute(
            "INSERT INTO mobility_published_area (kind, period, area_id, requests)"
            " SELECT 'day', day, 0, 10 FROM unnest(ARRAY['2026-03-01', '2026-03-02', '2026-03-03']::date[]) day"
        )
        more = ("--since", "2026-03-01T22:00+00:00", "--until", "2026-03-03")
        path, _ = export("area_days", "csv", *more)
        assert [row["day"] for row in csv.DictReader(path.open())] == ["2026-03-02"]

    def test_a_box_is_what_it_touches(self, rides, export):
        assert self.ids(export("pickups", "geojsonseq", "--bbox", "28.0,-27,28.11,-25")[0]) == ["09", "10"]

    def test_a_box_over_the_antimeridian_is_two(self, rides, export):
        assert self.ids(export("pickups", "geojsonseq", "--bbox", "28.12,-27,28.0,-25")[0]) == ["11"]

    def test_a_layer_without_time_says_so(self, committed_db, export):
        refused(export, "service_areas", "csv", "--since", "2026-01-01", says="has no time")

    @pytest.mark.parametrize("form", ["gpkg", "fgb"])
    @needs_gdal
    def test_gdal_is_given_the_same_part(self, rides, export, form):
        path, _ = export("pickups", form, "--bbox", "28.0,-27,28.11,-25", "--since", "2026-03-02T10:00Z")
        assert len(features(path)) == 1


class TestRefusals:
    def test_an_unknown_layer_is_told_which_there_are(self, committed_db, export):
        refused(export, "passengers", "csv", says="There is no layer passengers. There are: area_days, ")

    def test_a_table_is_no_layer(self, committed_db, export):
        refused(export, "mobility_booking", "csv", says="There is no layer")

    def test_what_is_there_stays(self, rides, export, tmp_path):
        there = tmp_path / "pickups.csv"
        there.write_text("mine")
        refused(export, "pickups", "csv", says="is there already; --force replaces it")
        assert there.read_text() == "mine"
        export("pickups", "csv", "--force")
        assert there.read_text().startswith("id,status,")

    def test_a_place_that_cannot_be_written_is_named(self, committed_db, tmp_path):
        (tmp_path / "file").write_text("")
        for folder in ("nowhere", "file"):
            output = tmp_path / folder / "x.csv"
            with pytest.raises(CommandError, match=f"{folder}/x.csv: N") as stopped:
                call_command("export", "--layer", "pickups", "--output", str(output))
            assert stopped.value.returncode == 2

    def test_without_ogr2ogr_it_says_what_to_install(self, rides, export, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        refused(export, "pickups", "gpkg", says="apt-get install gdal-bin", code=1)
        assert list(tmp_path.iterdir()) == []

    @needs_gdal
    def test_what_ogr2ogr_complains_of_is_told_and_nothing_stays(self, rides, export, monkeypatch, tmp_path):
        monkeypatch.setattr("mobility.analytics.ogr.DRIVERS", {"gpkg": "GPKG", "fgb": "NoSuchDriver"})
        refused(export, "pickups", "fgb", says="Nothing was written: .*NoSuchDriver", code=1)
        assert list(tmp_path.iterdir()) == []

    @needs_gdal
    def test_a_database_that_ogr2ogr_cannot_reach_is_told_in_short(self, rides, export, monkeypatch, tmp_path):
        nowhere = {"PATH": os.environ["PATH"], "PGHOST": "127.0.0.1", "PGPORT": "1"}
        monkeypatch.setattr("mobility.analytics.ogr.surroundings", lambda: nowhere)
        with pytest.raises(CommandError, match="Connection refused") as stopped:
            export("pickups", "gpkg")
        assert len(str(stopped.value).splitlines()) < 10
        assert list(tmp_path.iterdir()) == []


def test_every_view_of_the_schema_is_a_layer(committed_db, capsys):
    with connection.cursor() as cursor:
        cursor.execute("SELECT viewname FROM pg_views WHERE schemaname = 'gis'")
        there = {name for (name,) in cursor.fetchall()}
    assert set(layers()) == there
    call_command("export", "--list")
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == there


def test_no_layer_has_a_column_that_names_somebody(committed_db):
    columns = {column for layer in layers().values() for column in layer.columns}
    assert {c for c in columns if c.endswith(("_id", "name", "phone", "address", "notes"))} == {
        "area_id", "from_area_id", "to_area_id", "service_area_id", "booking_id", "name",
    }  # fmt: skip
    assert [layer.name for layer in layers().values() if "name" in layer.columns] == ["service_areas"]


class Running:
    """The command as a process of its own, on a terminal."""

    def __init__(self, *arguments):
        self.terminal, inner = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "manage.py", "export", *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=inner, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        os.close(inner)

    def shown(self):
        """All that the terminal was given, until the process has ended."""
        seen = b""
        while True:
            try:
                seen += os.read(self.terminal, 65536)
            except OSError:  # nobody is at the other end any more
                os.close(self.terminal)
                return seen.decode()


@pytest.mark.slow
@pytest.mark.parametrize("form", [pytest.param("gpkg", marks=needs_gdal), "geojsonseq", "csv"])
def test_a_terminal_sees_how_far_it_is(city, form, tmp_path):
    city.areas(1)
    city.add(Ride(n, n, 1, 0, AT) for n in range(1, 4001))
    running = Running("--layer", "pickups", "--format", form, "--output", tmp_path / "out")
    shown = running.shown()
    out, _ = running.process.communicate(timeout=60)
    assert running.process.returncode == 0
    assert "[" + "#" * 30 + "] 4,000 of 4,000 pickups" in shown
    assert "2,000 of 4,000 pickups" in shown
    assert out.decode().startswith("4000 rows of gis.pickups in ")


@pytest.mark.slow
@pytest.mark.parametrize("form", [pytest.param("gpkg", marks=needs_gdal), "geojsonseq", "csv"])
def test_an_interrupted_export_leaves_nothing(city, form, tmp_path, admin_url, monkeypatch):
    """Its rows wait for a lock, so that it is certainly in the middle of it when the signal comes."""
    monkeypatch.setenv("DB_LOCK_TIMEOUT_MS", "60000")  # on a busy machine a signal takes its time
    city.areas(1)
    city.add(Ride(n, n, 1, 0, AT) for n in range(1, 11))
    with city.admin.transaction():
        city.admin.execute("LOCK TABLE mobility_booking IN ACCESS EXCLUSIVE MODE")
        running = Running("--layer", "pickups", "--format", form, "--output", tmp_path / "out", "--verbosity", "0")
        _until(lambda: list(tmp_path.iterdir()) and _waits(city))
        os.killpg(running.process.pid, signal.SIGINT)
        shown = running.shown()
        running.process.communicate(timeout=60)
    assert "Interrupted: nothing was written." in shown
    assert running.process.returncode == 1
    assert list(tmp_path.iterdir()) == []


def _waits(city):
    return city.admin.execute(
        "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'mobility_booking'::regclass"
    ).fetchone()[0]


def _until(true, within_s=60):
    last = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < last, "it did not come to that"
        time.sleep(0.02)
