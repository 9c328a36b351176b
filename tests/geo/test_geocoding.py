"""Geocoders through geopy, against a real HTTP server that speaks Nominatim's JSON, or does not."""

import inspect
import json
import time
import traceback

import pytest
from geopy.geocoders import SERVICE_TO_GEOCODER, get_geocoder_for_service

from geo.coordinates import Bounds, lat_lon
from geo.geocoding.geocoder import Misconfigured, Refused, TimedOut, Unavailable, around, plain
from geo.geocoding.services import DIALECTS, FAILURES, GeopyGeocoder
from tests.geo.hostile import drips, hostile, is_silent, says, says_raw
from tests.places.provider import GROOTE_SCHUUR, MAIN_ROAD_CAPE_TOWN, MAIN_ROAD_LONDON, providing

AGENT = "careconnect-tests (ops@example.org)"
CAPE = Bounds(18.2, -34.4, 19.0, -33.5)


def nominatim(domain: str, *, timeout_s: float = 5.0, service: str = "nominatim", **options: str) -> GeopyGeocoder:
    return GeopyGeocoder(
        service, {"domain": domain, "scheme": "http", **options}, user_agent=AGENT, timeout_s=timeout_s
    )


@pytest.fixture
def provider():
    with providing() as running:
        yield running


def test_a_text_becomes_places(provider):
    found = nominatim(provider.domain).forward("groote schuur", limit=3)
    assert [(place.label, place.name, place.kind, place.importance, place.source) for place in found] == [
        (GROOTE_SCHUUR["display_name"], "Groote Schuur Hospital", "hospital", 0.41, "nominatim")
    ]
    assert found[0].at == lat_lon(-33.9412, 18.4653)
    assert "OpenStreetMap" in found[0].attribution
    (asked,) = provider.asked
    assert (asked.path, asked.params["q"], asked.params["limit"]) == ("/search", "groote schuur", "3")
    assert asked.headers["User-Agent"] == AGENT


def test_nothing_found_is_no_failure(provider):
    geocoder = nominatim(provider.domain)
    assert geocoder.forward("nowhere at all", limit=3) == []
    assert geocoder.reverse(lat_lon(0.5, 0.5)) is None


def test_a_position_becomes_a_place(provider):
    place = nominatim(provider.domain).reverse(lat_lon(-26.2041, 28.0473))
    assert place.label.startswith("123 Main Street")
    assert (provider.asked[0].params["lat"], provider.asked[0].params["lon"]) == ("-26.2041", "28.0473")


def test_what_is_inside_the_box_comes_first_and_nominatim_is_told_the_box(provider):
    geocoder = nominatim(provider.domain)
    labels = [place.label for place in geocoder.forward("main road", limit=5)]
    assert labels == [MAIN_ROAD_LONDON["display_name"], MAIN_ROAD_CAPE_TOWN["display_name"]]
    labels = [place.label for place in geocoder.forward("main road", limit=5, box=CAPE)]
    assert labels == [MAIN_ROAD_CAPE_TOWN["display_name"], MAIN_ROAD_LONDON["display_name"]]
    assert [float(edge) for edge in provider.asked[1].params["viewbox"].split(",")] == [18.2, -34.4, 19.0, -33.5]


def test_a_box_across_the_antimeridian_only_ranks(provider):
    nominatim(provider.domain).forward("main road", limit=5, box=Bounds(170, -50, -170, -10))
    assert "viewbox" not in provider.asked[0].params


def test_what_is_near_comes_first(provider):
    found = nominatim(provider.domain).forward("main road", limit=5, near=lat_lon(-33.95, 18.5))
    assert found[0].label == MAIN_ROAD_CAPE_TOWN["display_name"]
    west, south, east, north = (float(edge) for edge in provider.asked[0].params["viewbox"].split(","))
    assert (west, south, east, north) == pytest.approx((17.957, -34.400, 19.043, -33.500), abs=0.001)


def test_around_a_position_there_is_a_box():
    for at in (lat_lon(0, 0), lat_lon(-33.9, 18.4), lat_lon(10, 180), lat_lon(10, -179.9), lat_lon(-90, 0)):
        box = around(at)
        assert box.contains(at)
        assert -90 <= box.south < box.north <= 90
    assert around(lat_lon(10, 179.9)).west > around(lat_lon(10, 179.9)).east


PHOTON = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [18.4653, -33.9412]},
            "properties": {"name": "Groote Schuur Hospital", "city": "Cape Town", "osm_value": "hospital"},
        }
    ],
}


def test_photon_is_told_the_box_and_what_is_near():
    with hostile(says(json.dumps(PHOTON).encode())) as server:
        geocoder = nominatim(server.url.removeprefix("http://"), service="photon")
        (place,) = geocoder.forward("groote", limit=2, box=CAPE, near=lat_lon(-33.9, 18.4))
        assert (place.label, place.kind, place.source) == ("Groote Schuur Hospital, Cape Town", "hospital", "photon")
        line = server.heard[0].split(b"\r\n")[0].decode()
        assert "bbox=18.2%2C-34.4%2C19.0%2C-33.5" in line
        assert "lat=-33.9" in line
        assert "lon=18.4" in line


def test_pelias_is_told_the_box():
    answer = {"features": [{"geometry": {"coordinates": [18.4653, -33.9412]},
                            "properties": {"name": "Groote Schuur", "layer": "venue", "confidence": 0.9}}]}  # fmt: skip
    with hostile(says(json.dumps(answer).encode())) as server:
        geocoder = nominatim(server.url.removeprefix("http://"), service="pelias")
        (place,) = geocoder.forward("groote", limit=2, box=CAPE)
        assert (place.label, place.kind, place.importance) == ("Groote Schuur", "venue", 0.9)
        assert "boundary.rect.min_lon=18.2" in server.heard[0].decode()


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "headers", "kind", "retry_after_s"),
    [
        (429, {"Retry_After": "17"}, Refused, 17),
        (429, {}, Refused, None),
        (402, {}, Refused, None),
        (403, {}, Refused, None),
        (401, {}, Refused, None),
        (400, {}, Unavailable, None),
        (500, {}, Unavailable, None),
        (502, {}, Unavailable, None),
        (503, {}, TimedOut, None),
        (302, {"Location": "http://127.0.0.1:1/elsewhere"}, Unavailable, None),
    ],
)
def test_a_refusal_is_told_by_its_kind(provider, status, headers, kind, retry_after_s):
    provider.says(status, "a body that nobody may read", **headers)
    with pytest.raises(kind) as failed:
        nominatim(provider.domain).forward("groote schuur", limit=1)
    assert type(failed.value) is kind
    assert failed.value.retry_after_s == retry_after_s
    assert "nobody may read" not in str(failed.value)
    assert len(provider.asked) == 1


def test_a_redirect_is_not_followed(provider):
    with providing() as elsewhere:
        provider.says(301, Location=f"http://{elsewhere.domain}/search?q=groote+schuur")
        with pytest.raises(Unavailable):
            nominatim(provider.domain).forward("groote schuur", limit=1)
        assert elsewhere.asked == []


def test_nobody_listens():
    with pytest.raises(Unavailable):
        nominatim("127.0.0.1:1").forward("groote schuur", limit=1)


@pytest.mark.parametrize(
    "behave", [is_silent, drips(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n[", b" ")], ids=["silent", "drips"]
)
def test_it_is_given_up_in_time(behave):
    with hostile(behave) as server:
        began = time.monotonic()
        with pytest.raises(TimedOut):
            nominatim(server.url.removeprefix("http://"), timeout_s=0.3).forward("groote schuur", limit=1)
        assert time.monotonic() - began < 2


HERE = {"lat": "-33.9", "lon": "18.4", "display_name": "Here"}
NONSENSE = {
    "html": b"<html><body>Wait a moment</body></html>",
    "nothing": b"",
    "half": b'[{"lat": "-33.9",',
    "not utf-8": b"\xff\xfe\xfa",
    "a number": b"5",
    "a list of numbers": b"[5]",
    "a list of lists": b"[[[]]]",
    "nested": b"[" * 100_000,
    "NaN, a constant": b'[{"lat": NaN, "lon": 18.4, "display_name": "Here"}]',
    "NaN, a text": json.dumps([HERE | {"lat": "NaN"}]).encode(),
    "NaN, elsewhere": b'[{"lat": "-33.9", "lon": "18.4", "display_name": "Here", "importance": NaN}]',
    "infinite": json.dumps([HERE | {"lon": "Infinity"}]).encode(),
    "off Earth": json.dumps([HERE | {"lat": "91"}]).encode(),
    "no position": json.dumps([{"display_name": "Here"}]).encode(),
    "no name": json.dumps([HERE | {"display_name": None}]).encode(),
    "an empty name": json.dumps([HERE | {"display_name": " \u0000 "}]).encode(),
    "a name that is a list": json.dumps([HERE | {"display_name": ["Here"]}]).encode(),
    "5 MB": b"[" + b" " * 5_000_000 + b"]",
}


@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_refused(provider, body):
    provider.says(200, body)
    with pytest.raises(Unavailable):
        nominatim(provider.domain).forward("groote schuur", limit=3)


@pytest.mark.parametrize("raw", [b"HTTP/1.1 200 OK\r\nContent-Le", b"not HTTP\r\n\r\n"], ids=["half", "not http"])
def test_what_is_no_http_is_refused(raw):
    with hostile(says_raw(raw)) as server, pytest.raises(Unavailable):
        nominatim(server.url.removeprefix("http://")).forward("groote schuur", limit=1)


def test_texts_are_made_plain(provider):
    name = "<b>Here</b>\u0000\n\u2028 and\ud800 there" + "x" * 400
    provider.says(200, json.dumps([HERE | {"display_name": name}]))
    (place,) = nominatim(provider.domain).forward("groote schuur", limit=3)
    assert place.label.startswith("<b>Here</b> and therexxx")  # a page escapes it; here it is text
    assert len(place.label) == 300
    assert plain(place.label) == place.label


def test_what_is_told_beside_a_place_may_be_nonsense(provider):
    odd = {"type": {"a": "dict"}, "importance": "very", "name": 5}
    provider.says(200, json.dumps([HERE | odd, HERE | {"importance": 7, "type": None}, HERE | {"importance": True}]))
    places = nominatim(provider.domain).forward("groote schuur", limit=3)
    assert [(place.name, place.kind, place.importance) for place in places] == [
        ("Here", "", None), ("Here", "", 1.0), ("Here", "", None),
    ]  # fmt: skip


def test_what_was_asked_and_answered_is_in_no_failure(provider):
    told = "canary"
    for status, body in ((400, told), (500, told), (200, json.dumps({"error": told})), (200, told)):
        provider.says(status, body)
        with pytest.raises(Unavailable) as failed:
            nominatim(provider.domain).forward(told, limit=1)
        assert told not in "".join(traceback.format_exception(failed.value))


def test_after_three_failures_it_is_left_alone(provider):
    geocoder = nominatim(provider.domain)
    provider.says(500)
    for _ in range(FAILURES):
        with pytest.raises(Unavailable):
            geocoder.forward("groote schuur", limit=1)
    assert geocoder.is_resting
    provider.is_well()
    with pytest.raises(Unavailable, match="resting"):
        geocoder.forward("groote schuur", limit=1)
    assert len(provider.asked) == FAILURES


def test_a_question_it_does_not_take_is_no_failure_of_its_own(provider):
    geocoder = nominatim(provider.domain)
    provider.says(400)
    for _ in range(FAILURES + 1):
        with pytest.raises(Unavailable, match="bad_question"):
            geocoder.forward("groote schuur", limit=1)
    assert not geocoder.is_resting


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "options", "says_why"),
    [
        ("nowhere", {}, "geopy knows no service"),
        ("nominatim", {"nonsense": 1}, "does not take these options"),
        ("nominatim", {"scheme": "ftp"}, "does not take these options"),
        ("nominatim", {"timeout": 99}, "cannot be an option"),
        ("nominatim", {"adapter_factory": "x"}, "cannot be an option"),
        ("opencage", {}, "does not take these options"),
    ],
)
def test_a_geocoder_that_cannot_be_says_why(service, options, says_why):
    with pytest.raises(Misconfigured, match=says_why):
        GeopyGeocoder(service, options, user_agent=AGENT, timeout_s=1)


def test_one_that_knows_no_positions_says_so():
    geocoder = GeopyGeocoder("databc", {}, user_agent=AGENT, timeout_s=1)
    with pytest.raises(Misconfigured, match="cannot tell what is at a position"):
        geocoder.reverse(lat_lon(-26, 28))


def test_what_is_said_of_services_is_so():
    """Each is one of geopy's, and its method takes what it is to be told under these names."""
    for service, dialect in DIALECTS.items():
        known = inspect.signature(get_geocoder_for_service(service).geocode).parameters
        assert {dialect.box, dialect.near} - {""} <= set(known), service


def test_three_services_cannot_tell_what_is_at_a_position():
    """As docs/geocoding.md says."""
    assert {name for name, kind in SERVICE_TO_GEOCODER.items() if not hasattr(kind, "reverse")} == {
        "databc", "geolake", "liveaddress",
    }  # fmt: skip
