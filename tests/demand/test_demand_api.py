"""Demand over REST and as tiles: which hexagons and hours, and who may look."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import mapbox_vector_tile
import pytest

from mobility.demand.services import count_due_hours
from mobility.models import DemandHour, DemandMade
from tests.demand.staging import PLACE, cell_of, hour_ago
from tests.layers.test_tiles import tile_at
from tests.rest import api, empty_cache, problem, token_of

__all__ = ["api", "empty_cache"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(make_user):
    return make_user(roles=["operator"])


@pytest.fixture
def counted():
    """counted(hours_ago, requests, size_m): a hexagon at the place with so many requests."""

    def make(hours_ago, requests=3, size_m=1000):
        hour = hour_ago(hours_ago)
        DemandMade.objects.get_or_create(hour=hour, defaults={"made_at": hour, "changed_at": hour})
        return DemandHour.objects.create(
            size_m=size_m, hour=hour, cell=cell_of(PLACE, size_m), requests=requests, unfulfilled=1, idle_drivers=None
        )

    return make


def features(response):
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/geo+json"
    return json.loads(response.content)["features"]


def iso(at):
    return at.isoformat().replace("+00:00", "Z")


def test_a_hexagon_around_the_pickup_with_what_was_asked_for(api, operator, counted):
    counted(2)
    (feature,) = features(api.get("demand/", user=operator))
    (ring,) = feature["geometry"]["coordinates"]
    assert (feature["geometry"]["type"], len(ring), ring[0]) == ("Polygon", 7, ring[-1])
    west, east = min(x for x, _ in ring), max(x for x, _ in ring)
    south, north = min(y for _, y in ring), max(y for _, y in ring)
    assert west < PLACE.longitude < east
    assert south < PLACE.latitude < north
    # Counter-clockwise, as RFC 7946 has it.
    assert sum((x2 - x1) * (y2 + y1) for (x1, y1), (x2, y2) in pairwise(ring)) < 0
    shown = feature["properties"]
    assert datetime.fromisoformat(shown.pop("hour")) == hour_ago(2)
    assert shown == {"cell": cell_of(PLACE, 1000), "requests": 3, "unfulfilled": 1, "idle_drivers": None}


def test_hours_sizes_and_boxes(api, operator, counted):
    for hours in (2, 3, 30):
        counted(hours, requests=hours)
    counted(2, requests=7, size_m=250)

    def requests(query=""):
        return [f["properties"]["requests"] for f in features(api.get(f"demand/{query}", user=operator))]

    assert requests() == [3, 2]  # of a day
    assert requests("?size_m=250") == [7]
    assert requests(f"?datetime={iso(hour_ago(30))}/..") == [30, 3, 2]
    in_it = hour_ago(3) + timedelta(minutes=59)
    assert requests(f"?datetime={iso(in_it)}") == [3]
    assert requests(f"?datetime={iso(in_it)}/{iso(hour_ago(2))}") == [3, 2]
    assert requests("?bbox=28,-27,29,-26") == [3, 2]
    assert requests("?bbox=18,-34,19,-33") == []
    assert requests("?fields=requests&limit=1") == [3]


def test_pages_are_all_of_it_once(api, operator, counted):
    for hours in range(1, 8):
        counted(hours, requests=hours)
    seen, path = [], "demand/?limit=3"
    while path:
        body = json.loads(api.get(path, user=operator).content)
        seen += [f["properties"]["requests"] for f in body["features"]]
        path = body["next"] and body["next"].partition("/api/v1/")[2]
    assert seen == [7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("size_m=300", "size_m"), ("size_m=", "size_m"), ("size_m=1e3", "size_m"), ("status=x", "status"),
        ("datetime=2026-01-01T00:00:00Z/2026-02-02T00:00:00Z", "datetime"), ("cursor=abc", "cursor"),
        ("bbox=1,2,3", "bbox"), ("fields=geom", "fields"),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_named(api, operator, query, named):
    assert problem(api.get(f"demand/?{query}", user=operator)) == (400, "invalid_parameter", named)


def test_only_operators_look(api, make_user, make_driver):
    assert problem(api.get("demand/")) == (401, "unauthenticated", None)
    for user in (make_user(), make_driver(-26.2, 28.0).user):
        assert problem(api.get("demand/", user=user)) == (403, "forbidden", None)


def test_the_tag_is_new_when_something_was_counted(api, operator, make_user, make_driver, ride_request):
    from mobility.dispatch.services import find_driver

    token = {"Authorization": f"Token {token_of(operator)}"}
    before = api.get("demand/", headers=token)
    assert api.get("demand/", headers=token | {"If-None-Match": before["ETag"]}).status_code == 304
    find_driver(make_user().pk, "r1", ride_request())
    count_due_hours()
    after = api.get("demand/", headers=token | {"If-None-Match": before["ETag"]})
    assert after.status_code == 200
    assert [f["properties"]["requests"] for f in features(after)] == [1]


def test_a_tile_shows_the_last_whole_hour(api, operator, counted):
    counted(1, requests=5), counted(2, requests=6)
    at = tile_at(PLACE.latitude, PLACE.longitude, 12)
    response = api.client.get(f"/tiles/demand/{at}.mvt", headers={"Authorization": f"Token {token_of(operator)}"})
    assert response.status_code == 200
    assert response["Cache-Control"] == "private, max-age=60"
    (feature,) = mapbox_vector_tile.decode(response.content)["demand"]["features"]
    assert feature["geometry"]["type"] == "Polygon"
    assert feature["properties"]["requests"] == 5
    assert feature["properties"]["hour"] == hour_ago(1).timestamp()
    assert "idle_drivers" not in feature["properties"]
    assert datetime.now(UTC) > hour_ago(1)
