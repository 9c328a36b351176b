"""OGC API as programs read it that nobody here wrote: GDAL, OWSLib, QGIS; over HTTP, with a key as the password."""

import base64
import json
import shutil
import subprocess
from collections import Counter

import pytest
from django.contrib.gis.geos import MultiPolygon, Polygon
from owslib.ogcapi.features import Features
from owslib.util import Authentication

from geo.coordinates import lat_lon
from mobility.models import DemandHour, DemandMade, ServiceArea
from mobility.people.keys import issue_api_key
from mobility.people.models import Scope
from tests.demand.staging import PLACE, cell_of, hour_ago
from tests.qgis import qgis
from tests.rest import token_of

pytestmark = pytest.mark.usefixtures("committed_db")
DRIVERS = 23
MAPS = [Scope.DRIVERS, Scope.BOOKINGS, Scope.AREAS, Scope.DEMAND]


@pytest.fixture
def key():
    """A key that reads every collection."""
    return issue_api_key("gis", MAPS)[1]


@pytest.fixture
def city(make_driver, ride):
    """How many features each collection has; one driver has no place, one ride crosses the antimeridian."""
    for n in range(DRIVERS - 1):
        make_driver(-26.2 - n / 1000, 28.0 + n / 1000, vehicle_type="suv" if n % 2 else "sedan")
    make_driver(None, None, status="offline")
    ride()
    ride(pickup=lat_lon(-17.0, 179.9), dropoff=lat_lon(-17.0, -179.9), distance_km=None)
    ServiceArea.objects.create(name="Jozi", area=MultiPolygon(Polygon.from_bbox((28, -27, 29, -26)), srid=4326))
    for hours in range(1, 13):
        hour = hour_ago(hours)
        DemandMade.objects.create(hour=hour, made_at=hour, changed_at=hour, due_at=None)
        DemandHour.objects.create(
            size_m=1000, hour=hour, cell=cell_of(PLACE, 1000), requests=20, unfulfilled=0, idle_drivers=None
        )
    return {"drivers": DRIVERS, "bookings": 2, "service-areas": 1, "demand": 12}


def gdal(program: str, *arguments: str) -> str:
    """What one of GDAL's programs says."""
    if shutil.which(program) is None:
        pytest.skip("needs GDAL's programs: apt-get install --no-install-recommends gdal-bin")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "ERROR" not in done.stderr, done.stderr
    return done.stdout


class TestGdal:
    @pytest.mark.parametrize("page", ["7", "1000"])
    def test_ogrinfo_counts_every_collection(self, server, city, make_user, page):
        """An operator's token, in a header."""
        header = f"Authorization: Token {token_of(make_user(roles=['operator']))}"
        told = gdal(
            "ogrinfo", "-ro", "-al", "-so", f"OAPIF:{server.http}/ogc/", "-oo", f"PAGE_SIZE={page}",
            "--config", "GDAL_HTTP_HEADERS", header,
        )  # fmt: skip
        found = dict(zip(values(told, "Layer name"), map(int, values(told, "Feature Count")), strict=True))
        assert found == city
        assert told.count("WGS 84") >= len(city)

    def test_ogr2ogr_takes_all_pages_with_a_key_as_the_password(self, server, city, key, tmp_path):
        out = tmp_path / "drivers.geojson"
        gdal(
            "ogr2ogr", "-f", "GeoJSON", str(out), f"OAPIF:{server.http}/ogc/", "drivers",
            "-oo", f"USERPWD=gis:{key}", "-oo", "PAGE_SIZE=5",
        )  # fmt: skip
        features = json.loads(out.read_text())["features"]
        assert len(features) == DRIVERS
        assert {f["properties"]["recorded_at"] is None for f in features} == {True, False}
        assert sum(f["geometry"] is None for f in features) == 1
        assert Counter(f["properties"]["vehicle_type"] for f in features) == {"sedan": 12, "suv": 11}
        assert not {"name", "phone", "vehicle_registration"} & set(features[0]["properties"])

    def test_a_box_is_asked_of_the_server(self, server, city, key):
        told = gdal(
            "ogrinfo", "-ro", "-al", "-so", f"OAPIF:{server.http}/ogc/", "drivers", "-oo", f"USERPWD=gis:{key}",
            "-spat", "27.9995", "-26.2045", "28.0045", "-26.1995",
        )  # fmt: skip
        assert values(told, "Feature Count") == ["5"]


def values(told: str, name: str) -> list[str]:
    return [line.partition(": ")[2] for line in told.splitlines() if line.startswith(f"{name}: ")]


class TestOwslib:
    @pytest.fixture
    def client(self, server, key):
        return Features(f"{server.http}/ogc/", auth=Authentication(username="gis", password=key))

    def test_it_finds_its_way(self, client, city):
        assert "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core" in client.conformance()["conformsTo"]
        assert client.feature_collections() == list(city)
        assert client.api()["openapi"].startswith("3.0")
        assert client.collection("drivers")["itemType"] == "feature"

    def test_it_reads_pages_and_single_ones(self, client, city):
        page = client.collection_items("drivers", limit=10)
        assert (page["numberMatched"], page["numberReturned"]) == (DRIVERS, 10)
        one = client.collection_item("drivers", str(page["features"][3]["id"]))
        assert one["properties"] == page["features"][3]["properties"]

    def test_it_asks_by_box_and_time(self, client, city):
        box = client.collection_items("drivers", bbox=[27.9995, -26.2045, 28.0045, -26.1995])
        assert box["numberMatched"] == 5 + 1  # and the one without a place
        assert client.collection_items("bookings", datetime="../2020-01-01T00:00:00Z")["numberMatched"] == 0
        assert client.collection_items("bookings", datetime_="2020-01-01T00:00:00Z/..")["numberMatched"] == 2


_COUNT = """
counts = {}
for name in GIVEN["names"]:
    layer = QgsVectorLayer(GIVEN["source"] + f" typename='{name}'", name, "OAPIF")
    if not layer.isValid():
        told(None)
    features = list(layer.getFeatures())
    rectangle = QgsRectangle(*GIVEN["box"])
    inside = list(layer.getFeatures(QgsFeatureRequest().setFilterRect(rectangle)))
    counts[name] = {
        "features": len(features), "inside": len(inside), "crs": layer.crs().authid(),
        "kind": QgsWkbTypes.displayString(layer.wkbType()), "fields": [field.name() for field in layer.fields()],
    }
told(counts)
"""


@pytest.mark.slow
def test_qgis_loads_every_collection_page_by_page(server, city, key):
    source = f"url='{server.http}/ogc/' username='gis' password='{key}' pageSize='5'"
    found = qgis(_COUNT, names=list(city), source=source, box=[27.9995, -26.2045, 28.0045, -26.1995])
    assert {name: told["features"] for name, told in found.items()} == city
    assert found["drivers"]["inside"] == 5
    assert {told["crs"] for told in found.values()} <= {"OGC:CRS84", "EPSG:4326"}
    assert "vehicle_type" in found["drivers"]["fields"]
    assert "phone" not in found["drivers"]["fields"]


def test_a_key_as_the_password_is_checked(server, key):
    import urllib.error
    import urllib.request

    def status(credential: str) -> tuple[int, str | None]:
        request = urllib.request.Request(f"{server.http}/ogc/collections", headers={"Authorization": credential})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, None
        except urllib.error.HTTPError as refused:
            return refused.code, refused.headers["WWW-Authenticate"]

    def basic(text: str) -> str:
        return "Basic " + base64.b64encode(text.encode()).decode()

    assert status(basic(f"anybody:{key}")) == (200, None)
    assert status(basic(f":{key}")) == (200, None)
    challenge = 'Basic realm="CareConnect Mobility", charset="UTF-8"'
    for wrong in (f"{key}:", f"anybody:{key}x", key, "", "ü:ü"):
        assert status(basic(wrong)) == (401, challenge)
    assert status("Basic !") == (401, challenge)
