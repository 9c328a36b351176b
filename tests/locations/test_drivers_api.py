"""Drivers on a map: who may look, what is shown, what is asked for."""

from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mobility.models import Driver
from tests.rest import problem, token_of

pytestmark = pytest.mark.django_db
JOHANNESBURG = (-26.2041, 28.0473)


@pytest.fixture
def operator(make_user):
    return make_user(roles=["operator"])


@pytest.fixture
def look(api, operator):
    """look(query): the ids on the map."""

    def ids(query=""):
        response = api.get(f"drivers/{query}", user=operator)
        assert response.status_code == 200, response.content
        assert response["Content-Type"] == "application/geo+json"
        return [feature["id"] for feature in response.json()["features"]]

    return ids


class TestWhoMayLook:
    @pytest.mark.parametrize("path", ["drivers/", "drivers/1/", "drivers/999999/"])
    def test_nobody_is_shown_to_strangers_passengers_or_drivers(self, api, make_user, make_driver, path):
        driver = make_driver(*JOHANNESBURG)
        assert problem(api.get(path)) == (401, "unauthenticated", None)
        for user in (make_user(), driver.user):
            assert problem(api.get(path, user=user)) == (403, "forbidden", None)

    @pytest.mark.parametrize("fields", [{"is_staff": True}, {"roles": ["operator"]}, {"roles": ["driver", "operator"]}])
    def test_staff_and_operators_may(self, api, make_user, fields):
        assert api.get("drivers/", user=make_user(**fields)).status_code == 200

    def test_nothing_can_be_written_here(self, api, operator, make_driver):
        driver = make_driver(*JOHANNESBURG)
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            for path in ("drivers/", f"drivers/{driver.pk}/"):
                assert problem(api(method, path, {}, user=operator)) == (405, "method_not_allowed", None)
        assert Driver.objects.count() == 1


class TestWhatIsShown:
    def test_a_feature_is_geojson_with_the_phone_masked(self, api, operator, make_driver):
        driver = make_driver(-26.20410049, 28.04730051, phone="+27829876543", rating="4.8")
        response = api.get(f"drivers/{driver.pk}/", user=operator)
        assert response["Content-Type"] == "application/geo+json"
        assert response["Cache-Control"] == "no-store"
        feature = response.json()
        assert list(feature) == ["id", "type", "geometry", "properties"]
        assert (feature["id"], feature["type"]) == (driver.pk, "Feature")
        assert feature["geometry"] == {"type": "Point", "coordinates": [28.047301, -26.2041]}
        shown = feature["properties"]
        assert shown["phone"] == "+27*******43"
        assert "9876543" not in response.content.decode()
        assert shown["rating"] == 4.8
        assert set(shown) == {
            "name", "phone", "vehicle_type", "vehicle_registration", "status", "rating", "total_rides", "verified",
            "stationary", "silent", "heading", "speed", "recorded_at", "received_at",
        }  # fmt: skip
        assert shown["recorded_at"].endswith("Z")

    def test_an_empty_map_is_a_collection_without_features(self, api, operator):
        assert api.get("drivers/", user=operator).json() == {
            "type": "FeatureCollection", "features": [], "numberReturned": 0, "next": None,
        }  # fmt: skip

    def test_a_driver_without_a_position_has_a_null_geometry(self, api, operator, make_driver, look):
        driver = make_driver(None, None)
        feature = api.get(f"drivers/{driver.pk}/", user=operator).json()
        assert feature["geometry"] is None
        assert feature["properties"]["recorded_at"] is None
        assert look() == [driver.pk]
        assert look("?bbox=-180,-90,180,90") == []

    def test_an_absent_driver_is_not_found(self, api, operator):
        assert problem(api.get("drivers/999999/", user=operator)) == (404, "not_found", None)
        assert problem(api.get(f"drivers/{10**30}/", user=operator)) == (404, "not_found", None)

    def test_a_page_of_any_size_is_three_statements(self, api, operator, make_driver, statements):
        for _ in range(5):
            make_driver(*JOHANNESBURG)
        token = token_of(operator)
        with statements() as sent:
            api.get("drivers/", headers={"Authorization": f"Token {token}"})
        assert len(sent) == 3, sent  # who asks, the version, and the drivers


class TestWhatIsAskedFor:
    def test_a_box(self, look, make_driver):
        here, there = make_driver(*JOHANNESBURG), make_driver(-33.9, 18.4)
        assert look("?bbox=27,-27,29,-25") == [here.pk]
        assert look("?bbox=18,-34,19,-33") == [there.pk]
        assert look("?bbox=0,0,1,1") == []

    def test_a_box_over_the_antimeridian(self, look, make_driver):
        west, east, _elsewhere = make_driver(-18, 179.5), make_driver(-18, -179.5), make_driver(-18, 0)
        assert look("?bbox=179,-20,-179,-15") == [west.pk, east.pk]

    def test_a_circle_in_true_metres(self, look, make_driver):
        # A degree of longitude at 60 north is 55.8 km, half of one at the equator.
        near, far = make_driver(60, 25.17), make_driver(60, 25.19)
        assert look("?near=60,25&radius_m=10000") == [near.pk]
        assert look("?near=60,25&radius_m=11000") == [near.pk, far.pk]

    def test_a_circle_and_a_status_together(self, look, make_driver):
        make_driver(*JOHANNESBURG)
        offline = make_driver(*JOHANNESBURG, status="offline")
        make_driver(-33.9, 18.4, status="offline")
        assert look("?near=-26.2041,28.0473&radius_m=1&status=offline") == [offline.pk]

    def test_several_statuses(self, look, make_driver):
        available, offline = make_driver(*JOHANNESBURG), make_driver(*JOHANNESBURG, status="offline")
        assert look("?status=offline") == [offline.pk]
        assert look("?status=available,offline") == [available.pk, offline.pk]
        assert look("?status=busy") == []

    @pytest.mark.parametrize(
        ("query", "named"),
        [
            ("bbox=1,2,3", "bbox"), ("bbox=nan,0,1,1", "bbox"), ("bbox=0,0,inf,1", "bbox"),
            ("bbox=0,0,1e400,1", "bbox"),
            ("bbox=0,10,1,5", "bbox"), ("bbox=", "bbox"), ("bbox=%00", "bbox"), ("near=1,2", "radius_m"),
            ("radius_m=5", "near"), ("near=91,0&radius_m=5", "near"), ("near=1,2&radius_m=nan", "radius_m"),
            ("near=1,2&radius_m=200001", "radius_m"), ("status=gone", "status"), ("status=", "status"),
            ("limit=0", "limit"), ("limit=-1", "limit"), ("limit=x", "limit"), ("cursor=x", "cursor"),
            ("cursor=%C3%A9", "cursor"), ("cursor=" + "A" * 500, "cursor"), ("colour=red", "colour"),
            ("driver_id=1", "driver_id"), ("status=busy&status=busy", "status"), ("page_size=10", "page_size"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_used_is_refused_by_name(self, api, operator, query, named):
        assert problem(api.get(f"drivers/?{query}", user=operator)) == (400, "invalid_parameter", named)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        name=st.sampled_from(["bbox", "near", "radius_m", "status", "limit", "cursor", "x"]),
        value=st.one_of(st.text(max_size=20), st.floats().map(repr), st.just("0,0,0,0"), st.just("MQ")),
    )
    def test_no_parameter_makes_a_fault(self, api, operator, name, value):
        from urllib.parse import quote

        response = api.get(f"drivers/?{name}={quote(value, errors='replace')}", user=operator)
        assert response.status_code in {200, 400}


class TestPages:
    def test_following_next_shows_each_driver_once_in_order(self, api, operator, make_driver):
        made = [make_driver(*JOHANNESBURG).pk for _ in range(5)]
        seen, path = [], "drivers/?limit=2&status=available"
        while path:
            page = api.get(path, user=operator).json()
            assert page["numberReturned"] == len(page["features"]) <= 2
            seen += [feature["id"] for feature in page["features"]]
            path = None
            if page["next"]:
                parts = urlsplit(page["next"])
                assert (parts.scheme, parts.netloc, parts.path) == ("http", "testserver", "/api/v1/drivers/")
                path = f"drivers/?{parts.query}"
        assert seen == made

    def test_a_limit_beyond_the_highest_is_the_highest(self, look, make_driver, monkeypatch):
        monkeypatch.setattr("mobility.locations.api.MAX_LIMIT", 2)
        for _ in range(3):
            make_driver(*JOHANNESBURG)
        assert len(look("?limit=1000000")) == 2
