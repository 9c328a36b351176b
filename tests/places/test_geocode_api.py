"""Places over REST."""

import pytest

from mobility.models import GeocoderTurn
from tests.places.provider import GROOTE_SCHUUR
from tests.rest import problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def user(make_user):
    return make_user()


def test_places_are_a_feature_collection(api, user, nominatim):
    answer = api.get("geocode/?q=groote+schuur", user=user)
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("application/geo+json")
    assert answer["Cache-Control"] == "no-store"
    assert answer.json() == {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [18.4653, -33.9412]},
                "properties": {
                    "label": GROOTE_SCHUUR["display_name"], "name": "Groote Schuur Hospital", "kind": "hospital",
                    "source": "nominatim", "attribution": "OpenStreetMap contributors, ODbL",
                },
            }
        ],
    }  # fmt: skip


def test_limit_and_near(api, user, nominatim):
    features = api.get("geocode/?q=main+road&near=-33.95,18.5", user=user).json()["features"]
    assert [f["properties"]["label"].split(",")[1] for f in features] == [" Observatory", " London"]
    assert len(api.get("geocode/?q=main+road&limit=1", user=user).json()["features"]) == 1
    assert len(api.get("geocode/?q=main+road&limit=9999", user=user).json()["features"]) == 2


def test_what_is_at_a_position(api, user, nominatim):
    (feature,) = api.get("geocode/reverse/?lat=-26.2041&lon=28.0473", user=user).json()["features"]
    assert feature["properties"]["label"].startswith("123 Main Street")
    answer = api.get("geocode/reverse/?lat=1&lon=1", user=user)
    assert (answer.status_code, answer.json()) == (200, {"type": "FeatureCollection", "features": []})


def test_the_gazetteer_answers_alike(api, user, gazetteer):
    (feature,) = api.get("geocode/?q=bloem", user=user).json()["features"]
    assert feature["geometry"]["coordinates"] == [26.2155, -29.1164]
    assert feature["properties"] == {
        "label": "Bloemfontein, Free State", "name": "Bloemfontein", "kind": "city", "source": "test",
        "attribution": "",
    }  # fmt: skip
    (feature,) = api.get("geocode/reverse/?lat=-33.9412&lon=18.4653", user=user).json()["features"]
    assert feature["properties"]["name"] == "Groote Schuur Hospital"


def test_only_for_those_who_are_logged_in(api, nominatim):
    for path in ("geocode/?q=groote+schuur", "geocode/reverse/?lat=1&lon=1"):
        assert problem(api.get(path)) == (401, "unauthenticated", None)
    assert nominatim.asked == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "q"), ("q=", "q"), ("q=x", "q"), ("q=+x+", "q"), ("q=" + "x" * 201, "q"), ("q=a%00b", "q"),
        ("q=a%1bb", "q"), ("q=ab&q=cd", "q"), ("q=ab&limit=0", "limit"), ("q=ab&limit=x", "limit"),
        ("q=ab&limit=-1", "limit"), ("q=ab&near=1", "near"), ("q=ab&near=1,2,3", "near"), ("q=ab&near=91,0", "near"),
        ("q=ab&near=nan,0", "near"), ("q=ab&near=0,inf", "near"), ("q=ab&near=", "near"), ("q=ab&colour=red", "colour"),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_named(api, user, nominatim, query, field):
    assert problem(api.get(f"geocode/?{query}", user=user)) == (400, "invalid_parameter", field)
    assert nominatim.asked == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "lat"), ("lat=1", "lon"), ("lon=1", "lat"), ("lat=x&lon=1", "lat"), ("lat=91&lon=1", "lat"),
        ("lat=1&lon=181", "lon"), ("lat=nan&lon=1", "lat"), ("lat=1&lon=-inf", "lon"), ("lat=1&lon=2&lon=3", "lon"),
        ("lat=1&lon=2&q=ab", "q"), ("lat=&lon=2", "lat"), ("lat=1%00&lon=2", "lat"),
    ],
)  # fmt: skip
def test_a_bad_position_is_named(api, user, nominatim, query, field):
    assert problem(api.get(f"geocode/reverse/?{query}", user=user)) == (400, "invalid_parameter", field)
    assert nominatim.asked == []


@pytest.mark.parametrize("path", ["geocode/?q=ab", "geocode/reverse/?lat=1&lon=1"])
class TestNoAnswer:
    def test_with_no_geocoder_it_says_so(self, api, user, settings, path):
        settings.GEOCODER = ""
        assert problem(api.get(path, user=user)) == (503, "geocoder_not_configured", None)

    def test_and_with_one_that_cannot_be(self, api, user, settings, path):
        settings.GEOCODER, settings.GEOCODER_OPTIONS = "opencage", {"nonsense": 1}
        assert problem(api.get(path, user=user)) == (503, "geocoder_not_configured", None)

    def test_one_that_is_down_says_when_to_come_again(self, api, user, nominatim, path):
        nominatim.says(500)
        answer = api.get(path, user=user)
        assert problem(answer) == (503, "geocoder_unavailable", None)
        assert answer["Retry-After"] == "5"
        assert answer["Cache-Control"] == "no-store"

    def test_one_that_has_enough_of_us_too(self, api, user, nominatim, path):
        nominatim.says(429, Retry_After="31")
        answer = api.get(path, user=user)
        assert (problem(answer), answer["Retry-After"]) == ((503, "geocoder_unavailable", None), "31")

    def test_one_that_does_not_know_us_neither(self, api, user, nominatim, path):
        nominatim.says(403, "you are blocked")
        answer = api.get(path, user=user)
        assert (problem(answer), answer["Retry-After"]) == ((503, "geocoder_unavailable", None), "10")
        assert "blocked" not in answer.content.decode()

    def test_and_a_line_that_is_too_long(self, api, user, nominatim, settings, path):
        settings.GEOCODER_RATE_PER_S, settings.GEOCODER_WAIT_S = 0.01, 1.0
        api.get("geocode/?q=main+road", user=user)
        answer = api.get(path, user=user)
        assert problem(answer) == (503, "geocoder_unavailable", None)
        assert 95 <= int(answer["Retry-After"]) <= 100
        assert len(nominatim.asked) == 1


def test_each_person_has_so_many_questions(api, user, make_user, gazetteer, set_knobs):
    set_knobs(geocodes_per_minute=2)
    for _ in range(2):
        assert api.get("geocode/?q=bloem", user=user).status_code == 200
    for path in ("geocode/?q=bloem", "geocode/reverse/?lat=1&lon=1"):
        answer = api.get(path, user=user)
        assert problem(answer) == (429, "too_many_tries", None)
        assert int(answer["Retry-After"]) > 0
    assert api.get("geocode/?q=bloem", user=make_user()).status_code == 200


def test_a_question_that_cannot_be_understood_costs_nothing(api, user, gazetteer, set_knobs):
    set_knobs(geocodes_per_minute=1)
    assert api.get("geocode/?q=x", user=user).status_code == 400
    assert api.get("geocode/?q=bloem", user=user).status_code == 200


def test_who_only_reads_what_is_known_books_no_turn(api, user, nominatim):
    api.get("geocode/?q=groote+schuur", user=user)
    before = GeocoderTurn.objects.get().next_at
    api.get("geocode/?q=groote+schuur", user=user)
    assert GeocoderTurn.objects.get().next_at == before
