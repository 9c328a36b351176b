"""OSRM and Valhalla themselves, with the centre of Helsinki."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from structlog.testing import capture_logs

from geo.coordinates import LatLon
from geo.geodesy import distance_m
from geo.routing import engine as engines
from geo.routing.osrm import Osrm
from geo.routing.router import GreatCircle
from geo.routing.valhalla import Valhalla
from tests.engines import ACROSS, SOUTH, STREETS, WEST, route

OTHERWISE = GreatCircle(detour=1.3, speed_km_h=30)
# A place that no road on this map leads away from, and one far outside the map.
DEAD_END, OUTSIDE = LatLon(60.172, 24.93902), LatLon(60.25, 25.0)
EAST = LatLon(60.17001, 24.94537)
TIMEOUT_S, SLACK_S = 2.0, 0.5


@pytest.fixture(params=["osrm", "valhalla"])
def router(request):
    """Each of the two engines."""
    kind = {"osrm": Osrm, "valhalla": Valhalla}[request.param]
    asked = kind(request.getfixturevalue(request.param).url, timeout_s=TIMEOUT_S, otherwise=OTHERWISE)
    yield asked
    asked.close()


@pytest.fixture
def mortal(mortal_osrm, monkeypatch):
    """An OSRM that may be killed, asked by a router with short patience and rest."""
    monkeypatch.setattr(engines, "REST_S", 0.5)
    asked = Osrm(mortal_osrm.url, timeout_s=0.4, otherwise=OTHERWISE)
    yield asked
    asked.close()


def test_roads_are_longer_than_the_great_circle_and_take_time(router):
    origins = [ACROSS, SOUTH, *STREETS]
    legs = router.legs(origins, WEST)
    assert {leg.engine for leg in legs} == {router.name}
    for origin, leg in zip(origins, legs, strict=True):
        assert leg.distance_m > distance_m(origin, WEST)
        assert 5 < leg.distance_m / leg.duration_s * 3.6 < 80  # km/h
    assert legs[0].distance_m > 10 * distance_m(ACROSS, WEST)  # around the tracks


def test_legs_are_in_the_order_of_their_origins(router):
    legs = router.legs(STREETS, WEST)  # more than one question
    router.close()
    again = type(router)(router._url, timeout_s=TIMEOUT_S, otherwise=OTHERWISE)
    try:
        assert [again.legs([origin], WEST)[0] for origin in STREETS] == legs
    finally:
        again.close()
    assert len({leg.duration_s for leg in legs}) > 20


def test_osrm_says_the_same_by_table_and_by_route(osrm):
    asked = Osrm(osrm.url, timeout_s=TIMEOUT_S, otherwise=OTHERWISE)
    for origin in (ACROSS, SOUTH):
        metres, seconds, _ = route(osrm, origin, WEST)
        assert asked.legs([origin], WEST)[0] == (pytest.approx(metres, abs=1), pytest.approx(seconds, abs=1), "osrm")
    asked.close()


def test_drives_between_different_places_are_the_same_as_legs(router):
    pairs = [(STREETS[n], STREETS[39 - n]) for n in range(20)] + [(ACROSS, WEST), (SOUTH, WEST)]
    drives = router.drives(pairs)
    router._cache._drives.clear()
    assert drives == [router.legs([origin], destination)[0] for origin, destination in pairs]
    assert {leg.engine for leg in drives} == {router.name}


def test_where_no_road_leads_it_is_the_great_circle_and_the_log_says_so(router):
    origins = [SOUTH, OUTSIDE, DEAD_END]
    with capture_logs() as lines:
        legs = router.legs(origins, EAST)
    assert [leg.engine for leg in legs] == [router.name, "great_circle", "great_circle"]
    assert legs[1:] == OTHERWISE.legs(origins[1:], EAST)
    assert [(line["event"], line["reason"], line["legs"]) for line in lines] == [("routing_fell_back", "no_route", 2)]
    assert router.legs([SOUTH, ACROSS], OUTSIDE) == OTHERWISE.legs([SOUTH, ACROSS], OUTSIDE)


def test_many_threads_share_an_engine(router):
    expected = {n: router.legs([STREETS[n]], WEST)[0] for n in range(40)}
    router._cache._drives.clear()
    with ThreadPoolExecutor(16) as threads:
        found = dict(threads.map(lambda n: (n, router.legs([STREETS[n]], WEST)[0]), [*range(40)] * 5))
    assert found == expected


def test_a_connection_the_engine_ends_after_its_number_of_requests_is_replaced(osrm):
    """osrm-routed closes each after 512."""
    asked = Osrm(osrm.url, timeout_s=TIMEOUT_S, otherwise=OTHERWISE)
    for _ in range(520):
        asked._cache._drives.clear()
        assert asked.legs(STREETS[:1], WEST)[0].engine == "osrm"
    asked.close()


def test_what_is_known_is_not_asked_again(mortal, mortal_osrm):
    origins = [ACROSS, SOUTH, DEAD_END]
    before = mortal.legs(origins, EAST)
    assert [leg.engine for leg in before] == ["osrm", "osrm", "great_circle"]
    mortal_osrm.kill()
    assert mortal.legs(origins, EAST) == before
    assert mortal.drives([(origin, EAST) for origin in origins]) == before


def test_when_some_cannot_be_asked_about_all_of_the_call_are_great_circles(mortal, mortal_osrm):
    assert mortal.legs([ACROSS], WEST)[0].engine == "osrm"
    mortal_osrm.kill()
    assert mortal.legs([ACROSS, SOUTH], WEST) == OTHERWISE.legs([ACROSS, SOUTH], WEST)
    assert mortal.legs([ACROSS], WEST)[0].engine == "osrm"
    assert [leg.engine for leg in mortal.drives([(ACROSS, WEST), (SOUTH, WEST)])] == ["osrm", "great_circle"]


def test_a_killed_engine_is_done_without_and_used_again_when_it_is_back(mortal, mortal_osrm):
    assert mortal.legs([STREETS[0]], WEST)[0].engine == "osrm"
    mortal_osrm.kill()
    with capture_logs() as lines:
        for n in range(1, 6):
            began = time.monotonic()
            assert mortal.legs([STREETS[n]], WEST)[0].engine == "great_circle"
            assert time.monotonic() - began < 0.4 + SLACK_S
    assert {(line["event"], line["reason"]) for line in lines} == {
        ("routing_fell_back", "connect"), ("routing_rests", "connect"), ("routing_fell_back", "resting"),
    }  # fmt: skip
    mortal_osrm.start()
    with capture_logs() as lines:
        deadline = time.monotonic() + 5
        while mortal.legs([STREETS[6]], WEST)[0].engine != "osrm" and time.monotonic() < deadline:
            time.sleep(0.05)
    assert mortal.legs([STREETS[7]], WEST)[0].engine == "osrm"
    assert "routing_is_back" in {line["event"] for line in lines}


def test_an_engine_that_hangs_is_given_up_in_time_and_used_again_when_it_goes_on(mortal, mortal_osrm):
    assert mortal.legs([STREETS[0]], WEST)[0].engine == "osrm"
    with mortal_osrm.hung():
        for n in range(1, 6):
            began = time.monotonic()
            assert mortal.legs([STREETS[n]], WEST)[0].engine == "great_circle"
            assert time.monotonic() - began < 0.4 + SLACK_S
    time.sleep(0.6)
    assert mortal.legs([STREETS[6]], WEST)[0].engine == "osrm"
