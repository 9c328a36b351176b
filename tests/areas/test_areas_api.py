"""GET /api/v1/service-areas/ and the tiles of areas."""

import json

import pytest
from django.contrib.gis.geos import Polygon

from mobility.models import ServiceArea
from tests.rest import problem

pytestmark = pytest.mark.django_db
JOZI, CAPE = (28.0, -26.3, 28.2, -26.1), (18.3, -34.2, 18.7, -33.8)
FIJI = [(179.0, -18.0, 180.0, -16.0), (-180.0, -18.0, -179.0, -16.0)]


@pytest.fixture
def areas(make_area):
    """Jozi and Fiji active, the Cape not; by name."""
    return {
        "Jozi": make_area("Jozi", JOZI, matching_radius_m=4_000).pk, "Cape": make_area("Cape", CAPE, active=False).pk,
        "Fiji": make_area("Fiji", *FIJI).pk,
    }  # fmt: skip


@pytest.fixture
def look(api, areas):
    """look(query, user): the names of what is listed."""

    def names(query, user):
        response = api.get(f"service-areas/{query}", user=user)
        assert response.status_code == 200, response.content
        return [f["properties"]["name"] for f in json.loads(response.content)["features"]]

    return names


def test_what_one_says(api, areas, operator):
    response = api.get("service-areas/?bbox=28,-26.2,28.1,-26.15", user=operator)
    assert response["Content-Type"] == "application/geo+json"
    (feature,) = json.loads(response.content)["features"]
    stored = ServiceArea.objects.get(name="Jozi")
    west, south, east, north = JOZI
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    (((shown,),),) = (feature["geometry"]["coordinates"],)
    assert feature["geometry"]["type"] == "MultiPolygon"
    assert sorted(map(tuple, shown)) == sorted(map(tuple, ring))
    assert shown[0] == shown[-1]
    assert Polygon(shown).shell.is_counterclockwise
    times = {name: feature["properties"].pop(name) for name in ("created_at", "updated_at")}
    assert all(text.endswith("Z") for text in times.values())
    assert feature["properties"] == {"name": "Jozi", "active": True, "matching_radius_m": 4000}
    assert feature["id"] == stored.pk


def test_passengers_see_active_areas_and_operators_all(look, make_user, operator):
    passenger = make_user()
    assert look("", passenger) == ["Jozi", "Fiji"]
    assert look("", operator) == ["Jozi", "Cape", "Fiji"]
    assert look("?active=true", operator) == ["Jozi", "Fiji"]
    assert look("?active=false", operator) == ["Cape"]


def test_by_place(look, operator):
    assert look("?bbox=18,-35,28.1,-26.2", operator) == ["Jozi", "Cape"]
    assert look("?bbox=179.5,-17,-179.5,-16.5", operator) == ["Fiji"]
    assert look("?bbox=-180,-17,-179.9,-16.5", operator) == ["Fiji"]
    assert look("?near=-26.05,28.1&radius_m=5000", operator) == []
    assert look("?near=-26.05,28.1&radius_m=6000", operator) == ["Jozi"]
    assert look("?near=-17,178.9&radius_m=20000", operator) == ["Fiji"]


def test_fields_and_pages(api, areas, operator):
    address, names = "service-areas/?limit=1&fields=name", []
    while address:
        page = json.loads(api.get(address.rsplit("/api/v1/", maxsplit=1)[-1], user=operator).content)
        (feature,) = page["features"]
        names.append(feature["properties"])
        address = page["next"]
    assert names == [{"name": "Jozi"}, {"name": "Cape"}, {"name": "Fiji"}]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("active=1", "active"), ("bbox=1,2,3", "bbox"), ("near=1,2", "radius_m"), ("fields=area", "fields"),
        ("limit=0", "limit"), ("cursor=x", "cursor"), ("status=a", "status"), ("export=1&limit=5", "limit"),
        ("cursor=LTE", "cursor"), ("cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk", "cursor"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(api, operator, query, field):
    assert problem(api.get(f"service-areas/?{query}", user=operator)) == (400, "invalid_parameter", field)


def test_passengers_cannot_ask_for_inactive_ones(api, areas, make_user):
    assert problem(api.get("service-areas/?active=false", user=make_user())) == (400, "invalid_parameter", "active")


def test_nobody_without_a_login(api, areas):
    assert problem(api.get("service-areas/"))[:2] == (401, "unauthenticated")


def test_nothing_is_an_empty_collection(api, operator):
    page = json.loads(api.get("service-areas/", user=operator).content)
    assert page == {"type": "FeatureCollection", "features": [], "numberReturned": 0, "next": None}


def test_the_entity_tag_changes_with_the_areas(api, areas, operator):
    tag = api.get("service-areas/", user=operator)["ETag"]
    assert api.get("service-areas/", user=operator, headers={"If-None-Match": tag}).status_code == 304
    ServiceArea.objects.filter(name="Cape").update(active=True)
    assert api.get("service-areas/", user=operator, headers={"If-None-Match": tag}).status_code == 200


def test_of_operators_and_passengers_it_differs(api, areas, operator, make_user):
    tag = api.get("service-areas/", user=operator)["ETag"]
    assert api.get("service-areas/", user=make_user(), headers={"If-None-Match": tag}).status_code == 200


def test_a_tile(client, areas, operator):
    import mapbox_vector_tile

    client.force_login(operator)
    tile = client.get("/tiles/areas/0/0/0.mvt")
    assert tile.status_code == 200
    assert "max-age=60" in tile["Cache-Control"]
    told = mapbox_vector_tile.decode(tile.content)["areas"]["features"]
    assert {f["properties"]["name"]: f["properties"]["active"] for f in told} == {
        "Jozi": True, "Cape": False, "Fiji": True,
    }  # fmt: skip
    assert client.get("/tiles/areas.json").json()["minzoom"] == 0
