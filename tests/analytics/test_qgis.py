"""GIS programs that nobody here wrote, on PostGIS: QGIS with our project and by itself, GDAL, psql."""

import os
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from mobility.analytics.services import keep_gis
from tests.analytics.city import Ride
from tests.analytics.people import PASSWORD
from tests.environment import ROOT
from tests.qgis import qgis, why_not

pytestmark = pytest.mark.slow
PROJECT = ROOT / "docs" / "careconnect.qgs"
OPEN = """
project = QgsProject.instance()
if not project.read(GIVEN["project"]):
    told(None)
told({
    layer.id().removeprefix("careconnect_"): {
        "valid": layer.isValid(), "features": layer.featureCount(), "seen": len(list(layer.getFeatures())),
        "crs": layer.crs().authid(), "renderer": layer.renderer().type() if layer.renderer() else None,
    }
    for layer in project.mapLayers().values()
} | {"crs": project.crs().authid()})
"""
LOAD = """
source = f"service='careconnect_gis' key='id' table=\\"gis\\".\\"{GIVEN['view']}\\" (geom)"
layer = QgsVectorLayer(source, "x", "postgres")
told({
    "valid": layer.isValid(), "features": layer.featureCount(), "crs": layer.crs().authid(),
    "requests": sum(f["requests"] for f in layer.getFeatures()), "kind": QgsWkbTypes.displayString(layer.wkbType()),
})
"""


@pytest.fixture
def world(city, make_driver):
    """2 areas; hexagons: 2 of the last seven published days, 1 older; figures of 2 months, 1 and 2 rows; 3 drivers;
    pickups: 4 recent, 1 old; trips: 2 recent, 1 old."""
    keep_gis()
    city.areas(1, 2, side_deg=0.1)
    for place in (28.0, 28.1, 28.2):
        make_driver(-26.0, place)
    now = datetime.now(UTC)
    city.add(Ride(n, n, 1, n, now - timedelta(days=days)) for n, days in enumerate((1, 1, 2, 3, 40), 1))
    for script in (
        "INSERT INTO mobility_trip (booking_id, track, length_m, fixes, jumps, leaps, started_at, ended_at)"
        " SELECT id, ST_MakeLine(pickup, ST_Translate(pickup, 0.01, 0)), 1000, 2, 0, 0, started_at, completed_at"
        " FROM mobility_booking WHERE passenger_id IN (1, 3, 5)",
        "INSERT INTO mobility_published (kind, begins, time_zone, published_by) SELECT 'day', day, 'UTC', '1'"
        " FROM unnest(ARRAY['2026-03-02', '2026-02-02']::date[]) day",
        "INSERT INTO mobility_published_hexagon SELECT cell, mobility_hex_cell(cell, 1000)"
        " FROM unnest(ARRAY[28.0, 28.1, 28.2]) lon, mobility_hex_of(ST_Point(lon, -26, 4326), 1000) cell",
        "INSERT INTO mobility_published_hour (period, hour, area_id, cell, requests)"
        " SELECT day::date, day::timestamptz, area, mobility_hex_of(ST_Point(lon, -26, 4326), 1000), n FROM (VALUES"
        " ('2026-03-02 08:00+00', 1, 28.0, 10), ('2026-03-02 08:00+00', 2, 28.0, 15),"
        " ('2026-03-02 08:00+00', 1, 28.1, 50), ('2026-02-02 08:00+00', 1, 28.2, 20)) v (day, area, lon, n)",
        "INSERT INTO mobility_published_area (kind, period, area_id, requests, wait_median_s)"
        " VALUES ('month', '2026-01-01', 1, 100, 300), ('month', '2026-02-01', 1, 120, 300),"
        " ('month', '2026-02-01', 2, 50, null)",
    ):
        city.admin.execute(script)
    return city


EXPECTED = {"service_areas": 2, "demand": 2, "area_months": 2, "drivers_now": 3, "pickups": 4, "trips": 2}
OF_OPERATIONS = {"drivers_now", "pickups", "trips"}
RENDERERS = {
    "service_areas": "singleSymbol", "demand": "graduatedSymbol", "area_months": "graduatedSymbol",
    "drivers_now": "categorizedSymbol", "pickups": "categorizedSymbol", "trips": "singleSymbol",
}  # fmt: skip


@pytest.fixture
def served(admin_url, tmp_path, monkeypatch):
    """served(role): from here on, pg_service.conf and pgpass are those that a login of this name has."""

    def serve(role: str) -> Path:
        info = psycopg.conninfo.conninfo_to_dict(admin_url)
        host, port, name = (info.get(part) for part in ("host", "port", "dbname"))
        service, secret = tmp_path / "pg_service.conf", tmp_path / "pgpass"
        service.write_text(f"[careconnect_gis]\nhost={host}\nport={port}\ndbname={name}\nuser={role}\n")
        secret.write_text(f"{host}:{port}:{name}:{role}:{PASSWORD}\n")
        secret.chmod(0o600)
        monkeypatch.setenv("PGSERVICEFILE", str(service))
        monkeypatch.setenv("PGPASSFILE", str(secret))
        return service

    return serve


@pytest.fixture
def as_analyst(world, analyst, served):
    served(analyst.info.user)


@pytest.fixture
def as_operations(world, operations, served):
    served(operations.info.user)


def in_qgis(script, **given):
    """QGIS starts without the environment of the tests; where the service file is, it is told."""
    told = {name: os.environ[name] for name in ("PGSERVICEFILE", "PGPASSFILE")}
    return qgis(f'os.environ.update(GIVEN["libpq"])\n{script}', libpq=told, **given)


class TestProject:
    def test_every_layer_opens_with_its_features_and_its_style(self, as_operations):
        found = in_qgis(OPEN, project=str(PROJECT))
        assert found.pop("crs") == "EPSG:4326"
        assert found == {
            name: {"valid": True, "features": n, "seen": n, "crs": "EPSG:4326", "renderer": RENDERERS[name]}
            for name, n in EXPECTED.items()
        }

    def test_an_analyst_has_the_layers_that_tell_of_nobody(self, as_analyst):
        found = in_qgis(OPEN, project=str(PROJECT))
        found.pop("crs")
        assert {name for name, layer in found.items() if not layer["valid"]} == OF_OPERATIONS
        assert {name: layer["seen"] for name, layer in found.items() if layer["valid"]} == {
            name: n for name, n in EXPECTED.items() if name not in OF_OPERATIONS
        }

    def test_it_is_what_the_script_makes(self, as_operations, tmp_path):
        if reason := why_not():
            pytest.skip(f"needs QGIS ({reason}): apt-get install --no-install-recommends python3-qgis")
        made = tmp_path / "made.qgs"
        subprocess.run(
            ["/usr/bin/python3", ROOT / "bin" / "make-qgis-project", made],
            check=True, timeout=180, capture_output=True,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
            | {name: os.environ[name] for name in ("PGSERVICEFILE", "PGPASSFILE")},
        )  # fmt: skip
        here, of_project = (re.search(r' version="([^"]+)"', path.read_text())[1] for path in (made, PROJECT))
        if here != of_project:
            pytest.skip(f"the project was made by QGIS {of_project}, and here is {here}, which writes files of its own")
        assert made.read_text() == PROJECT.read_text()


class TestByItself:
    def test_qgis_counts_what_an_analyst_reads(self, as_analyst):
        assert in_qgis(LOAD, view="demand_hours") == {
            "valid": True, "features": 4, "crs": "EPSG:4326", "requests": 95, "kind": "Polygon",
        }  # fmt: skip

    @pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="needs ogrinfo: apt-get install gdal-bin")
    def test_gdal_lists_and_counts(self, as_analyst):
        told = run("ogrinfo", "PG:service=careconnect_gis")
        assert "demand_hours (Polygon)" in told
        assert "service_areas (Multi Polygon)" in told
        assert "Feature Count: 4" in run("ogrinfo", "-so", "PG:service=careconnect_gis", "gis.demand_hours")

    def test_psql_answers_as_the_docs_say(self, as_analyst):
        text = (ROOT / "docs" / "gis.md").read_text()
        block = text.split("**psql**")[1].split("**QGIS**")[0]
        lines = [line.strip() for line in block.splitlines() if line.startswith("    ")]
        assert lines[0] == "psql service=careconnect_gis"
        told = run("psql", "service=careconnect_gis", "-X", "-v", "ON_ERROR_STOP=1", given="\n".join(lines[1:]))
        assert "Figures of a service area on a day" in told
        assert "2026-03-02" in told


def run(*command, given=None):
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_project_has_no_secret_and_nothing_of_a_machine():
    text = PROJECT.read_text()
    for word in (
        "password",
        "user=",
        "host=",
        "dbname",
        "authcfg",
        "/home",
        "/root",
        "/tmp",
        "saveUser",
        "saveDateTime",
    ):
        assert word not in text, word
    assert text.count("service='careconnect_gis'") >= len(EXPECTED)
