"""The gazetteer: places of South Africa, in the real table."""

import pytest
from django.db import connection

from geo.coordinates import Bounds, lat_lon
from geo.geodesy import destination
from mobility.places.folding import folded
from mobility.places.lookup import place_at, places_named

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("gazetteer")]
GAUTENG = "27.0,-27.0,29.0,-25.0"


def labels(text: str, **options) -> list[str]:
    return [place.label for place in places_named(text, limit=5, **options)]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Johannesburg", "Johannesburg, Gauteng"),
        ("johanesburg", "Johannesburg, Gauteng"),  # misspelt
        ("Bloem", "Bloemfontein, Free State"),  # only begun
        ("blo", "Bloemfontein, Free State"),
        ("groote schuur", "Groote Schuur Hospital, Observatory, Cape Town"),
        ("GROOTE-SCHUUR hospital, cape town", "Groote Schuur Hospital, Observatory, Cape Town"),
        ("Baragwanath", "Chris Hani Baragwanath Hospital, Diepkloof"),
        ("12 Long Street, Cape Town", "Long Street, Cape Town City Centre, Cape Town"),
        ("morester", "Môrester Kliniek, Stellenbosch"),  # without its accent
        ("Port Elizabeth", "Gqeberha (Port Elizabeth), Eastern Cape"),
    ],
)
def test_a_place_is_found(text, label):
    assert labels(text)[0] == label


@pytest.mark.parametrize("text", ["Ulaanbaatar", "??", "'; DROP TABLE mobility_place; --", "%_%", "xx"])
def test_what_is_not_there_is_not_found(text):
    assert labels(text) == []


def test_what_is_inside_the_box_comes_first(settings):
    assert labels("long street")[0] == "Long Street, Cape Town City Centre, Cape Town"
    settings.GEOCODER_BOUNDS = GAUTENG
    assert labels("long street") == [
        "Long Street, Kempton Park, Gauteng", "Long Street, Cape Town City Centre, Cape Town",
    ]  # fmt: skip


def test_a_box_may_cross_the_antimeridian(settings):
    settings.GEOCODER_BOUNDS = "27.5,-27.0,-170.0,-25.0"
    assert labels("long street")[0] == "Long Street, Kempton Park, Gauteng"
    assert Bounds(27.5, -27.0, -170.0, -25.0).contains(lat_lon(-26.0987, 28.2337))


def test_what_is_near_comes_first():
    assert labels("long street", near=lat_lon(-26.1, 28.2))[0] == "Long Street, Kempton Park, Gauteng"


def test_no_more_than_were_asked_for():
    assert len(places_named("long street", limit=1)) == 1


def test_what_is_told_of_a_place(settings):
    settings.GEOCODER_ATTRIBUTION = "Our own survey"
    (place,) = places_named("bloemfontein", limit=5)
    assert (place.name, place.kind, place.importance, place.source, place.attribution) == (
        "Bloemfontein", "city", 0.6, "test", "Our own survey",
    )  # fmt: skip
    assert place.at == pytest.approx((-29.1164, 26.2155))


def test_the_nearest_place_is_what_is_at_a_position():
    hospital = lat_lon(-33.9412, 18.4653)
    for metres, is_there in ((0, True), (249, True), (251, False)):
        at = destination(hospital, bearing_deg=90, distance_m=metres)
        assert (place_at(at) is not None) == is_there
    assert place_at(hospital).name == "Groote Schuur Hospital"


def test_both_searches_go_by_an_index():
    """In a table worth one: without the index they would not be able to."""
    from mobility.transactions import _statement

    box = dict.fromkeys(("west", "south", "east", "north", "latitude", "longitude"))
    for statement, params, index in (
        ("places/sql/search", {"text": "long", "limit": 5, **box}, "place_folded"),
        ("places/sql/nearest", {"latitude": -33.9, "longitude": 18.4, "within_m": 500.0}, "place_by_nearness"),
    ):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("EXPLAIN " + _statement(statement).decode(), params)
            assert index in "\n".join(line for (line,) in cursor.fetchall())


def test_texts_are_compared_without_case_accents_and_punctuation():
    assert folded("  Môrester, ST.-JOHN's  ") == "morester st john s"
    assert folded("Straße") == "strasse"
    assert folded("東京 1") == "東京 1"
    assert folded("--- !") == ""
