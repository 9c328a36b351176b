"""Vector tiles: what is in them, who may have them, and squares that are none."""

import gzip
import json
import math
import time
from datetime import datetime, timedelta

import mapbox_vector_tile
import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from geo.coordinates import lat_lon
from geo.tiles import BUFFER, EXTENT, HIGHEST_LATITUDE, Tile, bounds_of, point_in
from mobility.models import Driver, DriverLocation
from tests.rest import token_of

JOHANNESBURG = (-26.2041, 28.0473)


def tile_at(latitude, longitude, z):
    """The tile of a place: the formula everybody uses for z/x/y, written the other way round than geo/tiles.py."""
    n = 1 << z
    x = int((longitude + 180) / 360 * n)
    y = int((1 - math.asinh(math.tan(math.radians(latitude))) / math.pi) / 2 * n)
    return f"{z}/{min(x, n - 1)}/{min(max(y, 0), n - 1)}"


class TestSquares:
    @given(st.floats(-85, 85), st.floats(-180, 180), st.integers(0, 22))
    def test_a_place_is_in_the_box_of_its_tile(self, latitude, longitude, z):
        tile = Tile(*map(int, tile_at(latitude, longitude, z).split("/")))
        assert tile.exists
        assert bounds_of(tile).contains(lat_lon(latitude, longitude))

    @given(st.integers(0, 22), st.data())
    def test_a_box_is_the_square_and_its_margin(self, z, data):
        x, y = (data.draw(st.integers(0, (1 << z) - 1)) for _ in range(2))
        box = bounds_of(Tile(z, x, y))
        width = 360 / (1 << z)
        assert box.east - box.west <= width * (1 + 2 * BUFFER / EXTENT) + 1e-9
        assert box.south < box.north <= 90
        assert -180 <= box.west < box.east <= 180

    def test_the_world(self):
        box = bounds_of(Tile(0, 0, 0))
        assert (box.west, box.east) == (-180, 180)
        assert box.north > HIGHEST_LATITUDE > -box.south - 1

    @pytest.mark.parametrize("tile", [(-1, 0, 0), (0, 1, 0), (0, 0, 1), (3, 8, 0), (3, 0, 8), (23, 0, 0), (3, -1, 0)])
    def test_others_do_not_exist(self, tile):
        assert not Tile(*tile).exists


@pytest.fixture
def ask(api, operator):
    """ask(path): the answer to an operator, for paths outside the API."""
    token = token_of(operator)

    def get(path, **headers):
        return api.client.get(path, headers={"Authorization": f"Token {token}"} | headers)

    return get


def decoded(response):
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/vnd.mapbox-vector-tile"
    body = gzip.decompress(response.content) if response.get("Content-Encoding") == "gzip" else response.content
    return mapbox_vector_tile.decode(body, default_options={"y_coord_down": True})


@pytest.mark.django_db
class TestTiles:
    def test_a_driver_is_a_point_where_they_are(self, ask, make_driver):
        driver = make_driver(*JOHANNESBURG)
        found = decoded(ask(f"/tiles/drivers/{tile_at(*JOHANNESBURG, 14)}.mvt"))
        (feature,) = found["drivers"]["features"]
        assert found["drivers"]["extent"] == 4096
        assert feature["id"] == driver.pk
        assert feature["geometry"]["type"] == "Point"
        n = 1 << 14
        x = ((28.0473 + 180) / 360 * n) % 1 * 4096
        y = ((1 - math.asinh(math.tan(math.radians(-26.2041))) / math.pi) / 2 * n) % 1 * 4096
        assert feature["geometry"]["coordinates"] == pytest.approx([x, y], abs=1)

    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.floats(-85.05, 85.05), st.floats(-180, 180), st.integers(0, 22))
    @example(5e-324, 5e-324, 0)
    @example(-5e-324, -180.0, 22)
    def test_a_point_is_where_postgis_says(self, latitude, longitude, z):
        tile = Tile(*map(int, tile_at(latitude, longitude, z).split("/")))
        square = f"ST_TileEnvelope({z}, {tile.x}, {tile.y})"
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT ST_X(theirs), ST_Y(theirs), ST_X(ours), ST_Y(ours) FROM (SELECT"
                f" ST_AsMVTGeom(ST_Transform(s.geom, 3857), {square}, {EXTENT}, {BUFFER}) AS theirs,"
                f" {point_in(tile)} AS ours"
                " FROM (SELECT ST_SetSRID(ST_MakePoint(%s::float8, %s::float8), 4326) AS geom) s) p",
                [longitude, latitude],
            )
            x, y, our_x, our_y = cursor.fetchone()
        # Half a unit may be rounded either way: 17 digits of a number are not many at zoom 22.
        assert (our_x, our_y) == (pytest.approx(x, abs=1), pytest.approx(y, abs=1))

    @pytest.mark.parametrize("microsecond", [0, 123456, 999999])
    def test_times_are_whole_seconds_since_1970(self, ask, make_driver, microsecond):
        recorded_at = (timezone.now() - timedelta(minutes=1)).replace(microsecond=microsecond)
        make_driver(*JOHANNESBURG, recorded_at=recorded_at)
        (feature,) = decoded(ask(f"/tiles/drivers/{tile_at(*JOHANNESBURG, 14)}.mvt"))["drivers"]["features"]
        assert feature["properties"]["recorded_at"] == int(recorded_at.timestamp())

    def test_it_tells_of_drivers_what_their_collection_tells(self, ask, make_driver, ride):
        """They are two statements: one reads the drivers, the other what stands beside their positions."""
        long_ago = timezone.now() - timedelta(days=1)
        for status in ("available", "offline"):
            for verified in (True, False):
                for stationary in (True, False):
                    for recorded_at in (timezone.now(), long_ago):
                        driver = make_driver(
                            *JOHANNESBURG, status="offline", verified=False, stationary=stationary,
                            recorded_at=recorded_at, received_at=recorded_at,
                        )  # fmt: skip
                        Driver.objects.filter(pk=driver.pk).update(
                            status=status, verified=verified, vehicle_type="wheelchair_accessible"
                        )
        DriverLocation.objects.filter(driver=driver).update(heading=90, speed=8)
        ride()  # makes one of them busy
        tile = decoded(ask(f"/tiles/drivers/{tile_at(*JOHANNESBURG, 9)}.mvt"))["drivers"]["features"]
        collection = ask("/api/v1/drivers/?limit=100").json()["features"]
        told = {feature["id"]: feature["properties"] for feature in collection}
        assert len(tile) == len(told) == 16
        assert {feature["properties"]["status"] for feature in tile} == {"available", "busy", "offline"}
        assert {feature["properties"]["silent"] for feature in tile} == {True, False}
        for feature in tile:
            of_tile, of_collection = feature["properties"], told[feature["id"]]
            assert of_tile.pop("recorded_at") == int(datetime.fromisoformat(of_collection["recorded_at"]).timestamp())
            empty = {name for name in ("heading", "speed") if of_collection[name] is None}  # a tile leaves these out
            assert of_tile == {name: of_collection[name] for name in of_tile}
            assert set(of_tile) | empty == {
                "vehicle_type", "status", "verified", "stationary", "silent", "heading", "speed",
            }  # fmt: skip

    def test_nobodys_name_phone_or_plate(self, ask, make_driver, ride):
        driver = make_driver(*JOHANNESBURG, phone="+27829876543", vehicle_registration="CANARY GP")
        ride(pickup_address="12 Canary Street", notes="canary")
        for layer in ("drivers", "bookings"):
            response = ask(f"/tiles/{layer}/{tile_at(*JOHANNESBURG, 10)}.mvt")
            (feature,) = decoded(response)[layer]["features"]
            assert not {"name", "phone", "vehicle_registration", "notes", "driver", "ride_id"} & set(
                feature["properties"]
            )
            for canary in (b"anary", b"CANARY", b"9876543", b"***", driver.user.username.encode()):
                assert canary not in response.content
        assert feature["properties"]["status"] == "confirmed"

    def test_a_ride_is_a_line_cut_to_the_tile(self, ask, ride):
        booking = ride()
        found = decoded(ask(f"/tiles/bookings/{tile_at(-26.1541, 28.0973, 13)}.mvt"))
        (feature,) = found["bookings"]["features"]
        assert (feature["id"], feature["geometry"]["type"]) == (booking.pk, "LineString")
        for x, y in feature["geometry"]["coordinates"]:
            assert -BUFFER <= x <= EXTENT + BUFFER
            assert -BUFFER <= y <= EXTENT + BUFFER

    def test_rides_of_long_ago_are_not_drawn(self, ask, ride, monkeypatch):
        ride()
        path = f"/tiles/bookings/{tile_at(-26.1541, 28.0973, 13)}.mvt"
        today = ask(path)
        assert today.status_code == 200
        later = timezone.now() + timedelta(hours=26)
        monkeypatch.setattr("mobility.tiles.catalog.timezone.now", lambda: later)
        tomorrow = ask(path, **{"If-None-Match": today["ETag"]})
        assert tomorrow.status_code == 204

    def test_poles_and_the_antimeridian(self, ask, make_driver, ride):
        east, west = make_driver(-17, 179.99), make_driver(-17, -179.99)
        make_driver(90, 0), make_driver(-90, 0)
        found = decoded(ask("/tiles/drivers/0/0/0.mvt"))["drivers"]["features"]
        assert {f["id"] for f in found} == {east.pk, west.pk}
        ride(pickup=lat_lon(90.0, 0.0), dropoff=lat_lon(80.0, 0.0), distance_km=None)
        assert ask(f"/tiles/bookings/{tile_at(84, 0.1, 6)}.mvt").status_code in {200, 204}

    def test_nothing_is_204(self, ask):
        response = ask("/tiles/drivers/5/3/3.mvt")
        assert (response.status_code, response.content) == (204, b"")
        assert response["ETag"]

    def test_the_other_name(self, ask, make_driver):
        make_driver(*JOHANNESBURG)
        at = tile_at(*JOHANNESBURG, 9)
        assert ask(f"/tiles/drivers/{at}.pbf").content == ask(f"/tiles/drivers/{at}.mvt").content

    @pytest.mark.usefixtures("one_moment")
    def test_a_browser_keeps_it_a_moment_and_asks_again(self, ask, make_driver):
        make_driver(*JOHANNESBURG)
        path = f"/tiles/drivers/{tile_at(*JOHANNESBURG, 9)}.mvt"
        first = ask(path)
        assert first["Cache-Control"] == "private, max-age=5"
        again = ask(path, **{"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again["Cache-Control"] == "private, max-age=5"
        make_driver(*JOHANNESBURG)
        assert ask(path, **{"If-None-Match": first["ETag"]}).status_code == 200

    def test_gzip(self, ask, make_driver):
        for n in range(300):
            make_driver(-26.2 - n / 1000, 28.0)
        packed = ask(f"/tiles/drivers/{tile_at(*JOHANNESBURG, 7)}.mvt", **{"Accept-Encoding": "gzip"})
        assert packed["Content-Encoding"] == "gzip"
        assert len(decoded(packed)["drivers"]["features"]) == 300

    def test_a_full_tile_says_so(self, ask, make_driver, set_knobs):
        for _ in range(3):
            make_driver(*JOHANNESBURG)
        path = f"/tiles/drivers/{tile_at(*JOHANNESBURG, 9)}.mvt"
        assert "X-Truncated-At" not in ask(path).headers
        set_knobs(tile_features=2)
        full = ask(path)
        assert len(decoded(full)["drivers"]["features"]) == 2
        assert full["X-Truncated-At"] == "2"

    @pytest.mark.parametrize(
        "path",
        ["drivers/0/1/0.mvt", "drivers/17/0/0.mvt", "drivers/99/0/0.mvt", "bookings/3/0/0.mvt", "unknown/0/0/0.mvt",
         "drivers/3/9999999999999999999999/0.mvt", "unknown.json", "drivers/0/0/0.png", "drivers/-1/0/0.mvt"],
    )  # fmt: skip
    def test_what_there_is_not(self, ask, path):
        response = ask(f"/tiles/{path}")
        assert response.status_code == 404
        assert response["Content-Type"] == "application/problem+json"

    def test_who_may_not(self, api, make_user, make_driver):
        driver = make_driver(*JOHANNESBURG)
        for path in ("/tiles/drivers/0/0/0.mvt", "/tiles/drivers.json", "/tiles/unknown.json"):
            assert api.client.get(path).status_code == 401
            for user in (make_user(), driver.user):
                response = api.client.get(path, headers={"Authorization": f"Token {token_of(user)}"})
                assert response.status_code == 403
                assert response["Cache-Control"] == "no-store"

    def test_an_unknown_parameter(self, ask):
        response = ask("/tiles/drivers/0/0/0.mvt?time=now")
        assert (response.status_code, response.json()["field"]) == (400, "time")


@pytest.mark.django_db
class TestTileJSON:
    @pytest.mark.parametrize("layer", ["drivers", "bookings"])
    def test_it_tells_where_the_tiles_are_and_what_is_in_them(self, ask, layer, make_driver, ride):
        make_driver(*JOHANNESBURG)
        ride()
        told = json.loads(ask(f"/tiles/{layer}.json").content)
        assert told["tilejson"] == "3.0.0"
        (pattern,) = told["tiles"]
        assert pattern == f"http://testserver/tiles/{layer}/{{z}}/{{x}}/{{y}}.mvt"
        (vector_layer,) = told["vector_layers"]
        z, x, y = tile_at(*JOHANNESBURG, 12).split("/")
        path = pattern.format(z=z, x=x, y=y).removeprefix("http://testserver")
        found = decoded(ask(path))[vector_layer["id"]]["features"]
        assert found
        for feature in found:
            assert set(feature["properties"]) <= set(vector_layer["fields"])
            for name in set(vector_layer["times"]) & set(feature["properties"]):
                assert abs(time.time() - feature["properties"][name]) < 3600
        assert vector_layer["times"] == [name for name, told in vector_layer["fields"].items() if "since 1970" in told]
