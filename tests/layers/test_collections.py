"""Collections as PostGIS renders them: what the serializers would say, by the filters that were asked for."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geo.coordinates import lat_lon
from mobility.models import Driver, DriverLocation
from tests.rest import as_instants, problem, token_of

pytestmark = pytest.mark.django_db
JOHANNESBURG = (-26.2041, 28.0473)
EARLIER = datetime(2026, 1, 1, 8, 0, 0, 120, tzinfo=UTC)
MARKS = 'O\'Neill "the \\ fast" \u2028 ü 🚕 <b>&amp;</b> \t%s %(x)s {y}'


def features(response):
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/geo+json"
    return json.loads(response.content)["features"]


class TestWhatASingleOneSays:
    """One read, two faces: a feature of a collection says what the detail of the same thing says."""

    @pytest.mark.parametrize(
        "fields",
        [
            {}, {"status": "offline"}, {"rating": "4.37"}, {"verified": False, "stationary": True},
            {"phone": "+27829876543", "total_rides": 12345}, {"vehicle_registration": MARKS[:20]},
        ],
    )  # fmt: skip
    def test_of_drivers(self, api, operator, make_driver, make_user, fields):
        user = make_user(username="a_driver", first_name=MARKS, last_name="X", roles=["driver"])
        driver = make_driver(*JOHANNESBURG, user=user, recorded_at=EARLIER, **fields)
        DriverLocation.objects.filter(driver=driver).update(heading=359.5, speed=0.1 + 0.2)
        (listed,) = features(api.get("drivers/", user=operator))
        alone = api.get(f"drivers/{driver.pk}/", user=operator).json()
        assert as_instants(listed) == as_instants(alone)
        assert list(listed["properties"]) == list(alone["properties"])

    def test_of_drivers_without_a_position_or_a_name(self, api, operator, make_driver, make_user):
        phone = "+27821112223"
        driver = make_driver(
            None, None, user=make_user(username=phone, phone=phone, first_name="", last_name="", roles=["driver"])
        )
        (listed,) = features(api.get("drivers/", user=operator))
        assert as_instants(listed) == as_instants(api.get(f"drivers/{driver.pk}/", user=operator).json())
        assert listed["geometry"] is None
        assert listed["properties"]["name"] == f"user {driver.user_id}"

    @pytest.mark.parametrize("with_driver", [False, True])
    def test_of_rides(self, api, operator, make_driver, ride, with_driver):
        if with_driver:
            make_driver(*JOHANNESBURG)
        booking = ride(notes=MARKS, pickup_address=MARKS, fare_amount=Decimal("150.01"))
        (listed,) = features(api.get("bookings/", user=operator))
        alone = api.get(f"bookings/{booking.pk}/", user=operator).json()
        more = {name: alone["properties"].pop(name) for name in ("events", "offers")}
        assert more["events"]
        assert as_instants(listed) == as_instants(alone)

    @pytest.mark.parametrize(
        "longitudes", [(179.9, -179.8), (-179.9, 179.9), (180.0, -180.0), (-180.0, 180.0), (10, -170)]
    )
    def test_of_rides_over_the_antimeridian(self, api, operator, ride, longitudes):
        start, end = longitudes
        booking = ride(pickup=lat_lon(-17.0, start), dropoff=lat_lon(-17.05, end), distance_km=None)
        (listed,) = features(api.get("bookings/", user=operator))
        alone = api.get(f"bookings/{booking.pk}/", user=operator).json()
        assert listed["geometry"]["type"] == alone["geometry"]["type"]
        flat = [p for line in _lines(listed) for p in line], [p for line in _lines(alone) for p in line]
        for ours, theirs in zip(*flat, strict=True):
            assert ours == pytest.approx(theirs, abs=2e-6)


def _lines(feature):
    geometry = feature["geometry"]
    return geometry["coordinates"] if geometry["type"] == "MultiLineString" else [geometry["coordinates"]]


class TestMaskedPhones:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
    @given(st.text(alphabet="+0123456789 x-", max_size=20))
    def test_the_database_masks_like_the_serializer(self, text):
        from mobility.people.phones import masked_phone

        with connection.cursor() as cursor:
            cursor.execute("SELECT mobility_masked_phone(%s)", [text])
            assert cursor.fetchone() == (masked_phone(text),)


class TestFilters:
    @pytest.fixture
    def look(self, api, operator):
        return lambda path: [f["id"] for f in features(api.get(path, user=operator))]

    def test_drivers_by_the_time_of_their_position(self, look, make_driver):
        early = make_driver(*JOHANNESBURG, recorded_at=datetime(2026, 1, 1, 8, tzinfo=UTC))
        late = make_driver(*JOHANNESBURG, recorded_at=datetime(2026, 1, 1, 9, tzinfo=UTC))
        make_driver(None, None)
        assert look("drivers/?datetime=2026-01-01T08:00:00Z/..") == [early.pk, late.pk]
        assert look("drivers/?datetime=../2026-01-01T08:59:59Z") == [early.pk]
        assert look("drivers/?datetime=2026-01-01T09:00:00Z") == [late.pk]
        assert look("drivers/?datetime=2026-01-01T11:00:00%2B02:00") == [late.pk]
        assert look("drivers/?datetime=2026-01-01T11:00:00+02:00/") == [late.pk]

    def test_rides_by_when_they_were_asked_for(self, look, ride):
        booking = ride()
        at = booking.requested_at.isoformat().replace("+00:00", "Z")
        assert look(f"bookings/?datetime={at}") == [booking.pk]
        assert look(f"bookings/?datetime=2020-01-01T00:00:00Z/{at}") == [booking.pk]
        assert look("bookings/?datetime=2020-01-01T00:00:00Z/2020-01-02T00:00:00Z") == []

    def test_rides_by_where_their_line_is(self, look, ride):
        here = ride()  # from -26.2041, 28.0473 to -26.1041, 28.1473
        pacific = ride(pickup=lat_lon(-17.0, 179.9), dropoff=lat_lon(-17.0, -179.9), distance_km=None)
        assert look("bookings/?bbox=28.09,-26.16,28.10,-26.15") == [here.pk]  # neither end is in it
        assert look("bookings/?bbox=28.12,-26.2,28.14,-26.18") == []  # only in the line's own box
        assert look("bookings/?bbox=179.95,-18,-179.95,-16") == [pacific.pk]
        assert look("bookings/?bbox=0,-18,1,-16") == []  # the long way round is not its way
        assert look("bookings/?near=-26.1541,28.0973&radius_m=500") == [here.pk]
        assert look("bookings/?near=-17,180&radius_m=500") == [pacific.pk]
        assert look("bookings/?near=-26.2041,28.1473&radius_m=500") == []

    def test_fields(self, api, operator, make_driver):
        make_driver(*JOHANNESBURG)
        (feature,) = features(api.get("drivers/?fields=status,rating", user=operator))
        assert feature["properties"] == {"status": "available", "rating": 5.0}
        (feature,) = features(api.get("drivers/?fields=", user=operator))
        assert feature["properties"] == {}
        assert feature["geometry"]

    @pytest.mark.parametrize("path", ["bookings/", "service-areas/"])
    def test_not_everybody_who_can_register_may_export(self, api, make_user, path):
        assert problem(api.get(f"{path}?export=1", user=make_user())) == (400, "invalid_parameter", "export")

    def test_a_passenger_cannot_ask_for_an_operators_field(self, api, make_user):
        response = api.get("bookings/?fields=attention_since", user=make_user())
        assert problem(response) == (400, "invalid_parameter", "fields")

    @pytest.mark.parametrize(
        ("query", "named"),
        [
            ("datetime=yesterday", "datetime"), ("datetime=2026-01-01", "datetime"), ("datetime=../..", "datetime"),
            ("datetime=2026-01-01T08:00:00", "datetime"), ("datetime=", "datetime"), ("datetime=/", "datetime"),
            ("datetime=2026-01-02T00:00:00Z/2026-01-01T00:00:00Z", "datetime"), ("datetime=nan/..", "datetime"),
            ("datetime=0000-01-01T00:00:00Z", "datetime"), ("datetime=2026-01-01T00:00:00Z/a/b", "datetime"),
            ("datetime=0001-01-01T00:00:00%2B14:00", "datetime"), ("datetime=9999-12-31T23:59:59-14:00", "datetime"),
            ("fields=geometry", "fields"), ("fields=status;drop", "fields"), ("export=yes", "export"),
            ("export=", "export"),
            ("export=1&limit=5", "limit"), ("export=1&cursor=MQ", "cursor"), ("limit=0", "limit"),
            ("limit=1e3", "limit"),
            ("bbox=1,2,nan,4", "bbox"), ("bbox=1,2,3,inf", "bbox"), ("bbox=1,4,3,2", "bbox"),
            ("bbox=1,2,3,4,5", "bbox"),
            ("near=1,2&radius_m=-1", "radius_m"), ("near=1,2&radius_m=inf", "radius_m"),
            ("near=1,2,3&radius_m=1", "near"),
            ("near=1,nan&radius_m=1", "near"), ("status=lost", "status"), ("colour=red", "colour"),
            ("bbox=1,2,3,4&bbox=1,2,3,4", "bbox"), ("cursor=x", "cursor"), ("cursor=%2527", "cursor"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("path", ["drivers/", "bookings/"])
    def test_a_bad_parameter_is_named(self, api, operator, path, query, named):
        assert problem(api.get(f"{path}?{query}", user=operator)) == (400, "invalid_parameter", named)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
    @given(st.sampled_from(["datetime", "fields", "bbox", "near", "cursor", "status", "export"]), st.text(max_size=40))
    def test_any_text_is_answered_or_refused(self, api, operator, name, text):
        for path in ("drivers/", "bookings/"):
            response = api.client.get(
                f"/api/v1/{path}", {name: text}, headers={"Authorization": f"Token {token_of(operator)}"}
            )
            assert response.status_code in {200, 400}, response.content


class TestPages:
    def test_pages_of_rides_are_all_of_them_once(self, api, operator, ride):
        made = [ride(ride_id=f"r{n}").pk for n in range(7)]
        seen, path = [], "bookings/?limit=3&fields=status"
        while path:
            body = json.loads(api.get(path, user=operator).content)
            assert body["numberReturned"] == len(body["features"]) <= 3
            assert all(list(f["properties"]) == ["status"] for f in body["features"])
            seen += [f["id"] for f in body["features"]]
            path = body["next"] and body["next"].partition("/api/v1/")[2]
        assert sorted(seen) == sorted(made)

    def test_a_page_is_three_statements(self, api, operator, make_driver, ride, statements):
        make_driver(*JOHANNESBURG)
        ride()
        headers = {"Authorization": f"Token {token_of(operator)}"}
        for path in ("drivers/", "bookings/"):
            with statements() as sent:
                api.get(path, headers=headers)
            assert len(sent) == 3, sent  # who asks, the version, and the collection


class TestCoding:
    def test_gzip_for_those_who_take_it(self, api, operator, make_driver):
        for _ in range(20):
            make_driver(*JOHANNESBURG)
        plain = api.get("drivers/", user=operator)
        packed = api.get("drivers/", user=operator, headers={"Accept-Encoding": "br, gzip;q=0.5"})
        assert "Content-Encoding" not in plain.headers
        assert packed["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.content) == plain.content
        assert "Accept-Encoding" in packed["Vary"]
        assert packed["ETag"] != plain["ETag"]

    @pytest.mark.parametrize("header", ["", "identity", "gzip;q=0", "gzip; q=0.0", "br"])
    def test_not_for_those_who_do_not(self, api, operator, make_driver, header):
        for _ in range(20):
            make_driver(*JOHANNESBURG)
        response = api.get("drivers/", user=operator, headers={"Accept-Encoding": header})
        assert "Content-Encoding" not in response.headers

    def test_a_small_answer_stays_as_it_is(self, api, operator):
        response = api.get("drivers/", user=operator, headers={"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in response.headers


class TestHistory:
    @pytest.fixture
    def driven(self, make_driver):
        driver = make_driver(*JOHANNESBURG)
        now = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
        with connection.cursor() as cursor:
            for n in range(5):
                cursor.execute(
                    "INSERT INTO mobility_position (driver_id, recorded_at, received_at, position, heading, speed,"
                    " accuracy_m, door) VALUES (%s, %s, now(), ST_SetSRID(ST_MakePoint(%s, -26.2), 4326), 90, 10, 5,"
                    " 'socket')",
                    [driver.pk, now + timedelta(seconds=n), 28 + n / 10_000],
                )
        return driver, now

    def test_of_a_day_oldest_first(self, api, operator, driven):
        driver, began = driven
        found = features(api.get(f"drivers/{driver.pk}/history/", user=operator))
        assert [f["geometry"]["coordinates"] for f in found] == [[28 + n / 10_000, -26.2] for n in range(5)]
        assert as_instants(found[0]["properties"]["recorded_at"]) == began
        assert found[0]["id"] == int(began.timestamp() * 1_000_000)
        assert found[0]["properties"]["jump"] is False
        assert found[0]["properties"]["door"] == "socket"

    def test_by_time_place_and_page(self, api, operator, driven):
        driver, began = driven
        path = f"drivers/{driver.pk}/history/"
        second = (began + timedelta(seconds=1)).isoformat().replace("+00:00", "Z")
        assert len(features(api.get(f"{path}?datetime={second}/..", user=operator))) == 4
        assert len(features(api.get(f"{path}?datetime={second}", user=operator))) == 1
        assert len(features(api.get(f"{path}?bbox=28.00015,-27,28.00025,-26", user=operator))) == 1
        seen, following = [], f"{path}?limit=2"
        while following:
            body = json.loads(api.get(following, user=operator).content)
            seen += [f["id"] for f in body["features"]]
            following = body["next"] and body["next"].partition("/api/v1/")[2]
        assert len(seen) == len(set(seen)) == 5

    @pytest.mark.parametrize(
        "between", ["2026-01-01T00:00:00Z/2026-01-02T00:00:01Z", "2026-01-01T00:00:00Z/2027-01-01T00:00:00Z"]
    )
    def test_more_than_a_day_is_refused(self, api, operator, driven, between):
        path = f"drivers/{driven[0].pk}/history/?datetime={between}"
        assert problem(api.get(path, user=operator)) == (400, "invalid_parameter", "datetime")

    def test_who_may_not(self, api, make_user, make_driver, operator):
        driver = make_driver(*JOHANNESBURG)
        path = f"drivers/{driver.pk}/history/"
        assert problem(api.get(path)) == (401, "unauthenticated", None)
        for user in (make_user(), driver.user):
            assert problem(api.get(path, user=user)) == (403, "forbidden", None)
        assert problem(api.get("drivers/999999/history/", user=operator)) == (404, "not_found", None)
        assert Driver.objects.count() == 1
