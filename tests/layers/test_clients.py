"""Collections and tiles as programs read them that nobody here wrote: a validator of GeoJSON (geojson-pydantic) and
GDAL."""

import json
import shutil
import subprocess
import time
from datetime import UTC, datetime

import pytest
from django.contrib.gis.geos import MultiPolygon as Polygons
from django.contrib.gis.geos import Polygon
from geojson_pydantic import FeatureCollection, LineString, MultiLineString, MultiPolygon, Point
from geojson_pydantic import Polygon as SolidPolygon

from geo.coordinates import lat_lon
from mobility.demand.services import count_due_hours
from mobility.locations.fixes import Fix
from mobility.locations.ingest import write_fixes
from mobility.models import DemandHour, ServiceArea
from tests.rest import token_of

pytestmark = pytest.mark.usefixtures("committed_db")
JOHANNESBURG = (-26.2041, 28.0473)
COLLECTIONS = {
    "drivers/?bbox=-180,-90,180,90": (Point, 3),
    "bookings/": (LineString | MultiLineString, 2),
    "drivers/{driver}/history/": (Point, 2),
    "service-areas/": (MultiPolygon, 2),
    "demand/": (SolidPolygon, 2),  # around the two pickups
}  # fmt: skip


@pytest.fixture
def city(make_driver, make_user, ride):
    """Drivers and rides on both sides of the antimeridian, and a driver who told positions; an operator's token."""
    driver = make_driver(*JOHANNESBURG)
    make_driver(-17, 179.99), make_driver(-17, -179.99), make_driver(None, None)
    ride()
    ride(pickup=lat_lon(-17.0, 179.9), dropoff=lat_lon(-17.0, -179.9), distance_km=None)
    for name, boxes in {
        "Jozi": [(28, -27, 29, -26)],
        "Fiji and around": [(179, -18, 180, -16), (-180, -18, -179, -16)],
    }.items():
        ServiceArea.objects.create(name=name, area=Polygons([Polygon.from_bbox(box) for box in boxes], srid=4326))
    now = datetime.now(UTC).timestamp()
    write_fixes([fix(driver.pk, now - 20, 0), fix(driver.pk, now - 10, 0.001)])
    count_due_hours()
    DemandHour.objects.filter(requests=0).delete()  # where drivers alone were
    return driver.pk, token_of(make_user(roles=["operator"]))


def fix(driver_id, at, north):
    return Fix(driver_id, -26.2041 + north, 28.0473, at, None, None, None, "socket", time.monotonic())


@pytest.mark.parametrize("path", COLLECTIONS)
def test_a_validator_of_geojson_passes_it(server, city, path):
    driver_id, token = city
    kind, number = COLLECTIONS[path]
    for export in ("", "export=1"):
        address = f"{server.http}/api/v1/{path.format(driver=driver_id)}"
        text = fetched(address + ("&" if "?" in address else "?") + export if export else address, token)
        collection = FeatureCollection.model_validate_json(text)
        assert len(collection.features) == number
        assert all(isinstance(feature.geometry, kind) for feature in collection.features)
        assert "crs" not in json.loads(text)
        for feature in collection.features:
            for longitude, latitude in positions(feature.geometry.model_dump()["coordinates"]):
                assert -180 <= longitude <= 180
                assert -90 <= latitude <= 90
                assert round(longitude, 6) == longitude


def positions(coordinates):
    if isinstance(coordinates[0], float | int):
        yield tuple(coordinates)
    else:
        for part in coordinates:
            yield from positions(part)


def fetched(address, token):
    import urllib.request

    request = urllib.request.Request(address, headers={"Authorization": f"Token {token}"})
    with urllib.request.urlopen(request, timeout=20) as response:
        return response.read()


def ogrinfo(*arguments, token):
    if shutil.which("ogrinfo") is None:
        pytest.skip("needs GDAL's programs: apt-get install --no-install-recommends gdal-bin")
    done = subprocess.run(
        ["ogrinfo", "-al", "-so", *arguments, "--config", "GDAL_HTTP_HEADERS", f"Authorization: Token {token}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    assert "ERROR" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", COLLECTIONS)
def test_ogrinfo_reads_it(server, city, path):
    driver_id, token = city
    kind, number = COLLECTIONS[path]
    told = ogrinfo("-ro", f"GeoJSON:{server.http}/api/v1/{path.format(driver=driver_id)}", token=token)
    assert f"Feature Count: {number}" in told
    assert ("Geometry: Point" in told) is (kind is Point)
    assert 'ID["EPSG",4326]' in told
    assert ": DateTime" in told


def test_gdal_reads_a_tile(server, city):
    _driver_id, token = city
    told = ogrinfo("-ro", f"MVT:{server.http}/tiles/drivers/0/0/0.mvt", token=token)
    assert "Layer name: drivers" in told
    assert "Feature Count: 3" in told
    assert "vehicle_type: String" in told
