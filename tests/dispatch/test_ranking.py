"""Who is asked first when that goes by travel time: a real OSRM says how long it takes."""

import time
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db.models.functions import Now

from geo.coordinates import LatLon
from geo.geodesy import distance_m
from geo.routing import engine as engines
from mobility.conf import ConfigurationMistake, read_knobs
from mobility.dispatch import rounds, travel
from mobility.dispatch.offers import RideRef, decline_offer
from mobility.dispatch.queries import Candidate
from mobility.dispatch.ranking import Ranking
from mobility.dispatch.services import find_driver
from mobility.models import Offer, Presence, SearchRound
from tests.engines import ACROSS, SOUTH, STREETS, WEST

pytestmark = pytest.mark.django_db
# No road of this map leads from here to the pickup, says OSRM; two others from which one does are farther away.
DEAD_END, FAR, FARTHER = LatLon(60.16784, 24.95341), LatLon(60.1642, 24.93666), LatLon(60.16416, 24.94498)


@pytest.fixture(autouse=True)
def engines_of_this_test():
    """Caches and breakers of other tests are not ours."""
    yield
    for engine in travel._engines.values():
        engine.close()
    travel._engines.clear()


@pytest.fixture
def by_eta(settings, osrm):
    """by_eta(**knobs): go by the travel times of OSRM."""

    def change(url=osrm.url, **knobs):
        settings.OSRM_URL = url
        patient = {"ranking": "eta", "ranking_timeout_s": 20.0, "routing_timeout_s": 20.0}  # the machine may be busy
        settings.MOBILITY = replace(settings.MOBILITY, **patient | knobs)

    return change


@pytest.fixture
def driver(make_driver):
    """driver(at): one who wants to be asked, connected."""

    def make(at, **fields):
        made = make_driver(*at, **{"auto_accept": False, "stationary": True} | fields)
        Presence.objects.create(driver=made, socket_id=uuid4(), lease_until=Now() + timedelta(hours=1))
        return made.pk

    return make


@pytest.fixture
def find(ride_request):
    """find(): a search from west of the tracks."""

    def search(ride_id="r"):
        return find_driver(None, ride_id, ride_request(pickup=WEST, dropoff=SOUTH, distance_km=None))

    return search


def asked(outcome) -> list[int]:
    """The drivers who were asked, in the order of asking."""
    return list(Offer.objects.filter(booking_id=outcome.booking_id).order_by("pk").values_list("driver_id", flat=True))


def strategy_of(outcome) -> str:
    return SearchRound.objects.filter(booking_id=outcome.booking_id).latest("round").strategy


def test_who_is_near_but_across_the_tracks_is_asked_after_who_is_there_sooner(driver, find, by_eta):
    by_eta()
    across, south = driver(ACROSS), driver(SOUTH)
    assert distance_m(ACROSS, WEST) * 1.5 < distance_m(SOUTH, WEST)
    outcome = find()
    assert asked(outcome) == [south, across]
    assert strategy_of(outcome) == "balanced by eta"


def test_of_one_place_the_sooner_gets_it(driver, find, by_eta):
    by_eta(candidate_count=1)
    driver(ACROSS)
    south = driver(SOUTH)
    assert asked(find()) == [south]


def test_who_takes_rides_by_themselves_is_bound_by_time_too(driver, find, by_eta):
    by_eta()
    driver(ACROSS, auto_accept=True)
    south = driver(SOUTH, auto_accept=True)
    assert find().driver_id == south


def test_an_offer_still_tells_the_distance_on_the_spheroid(driver, find, by_eta):
    by_eta()
    driver(ACROSS)
    driver(SOUTH)
    find()
    told = list(Offer.objects.order_by("pk").values_list("pickup_distance_m", flat=True))
    assert told == [pytest.approx(distance_m(at, WEST), abs=0.001) for at in (SOUTH, ACROSS)]


@pytest.mark.parametrize("strategy", ["balanced", "nearest"])
def test_the_order_is_that_of_the_times(driver, find, by_eta, strategy):
    by_eta(candidate_count=12, strategy=strategy)
    places = {driver(at): at for at in STREETS[:12]}
    legs = dict(zip(places, travel.router().legs(list(places.values()), WEST), strict=True))
    assert {leg.engine for leg in legs.values()} == {"osrm"}
    outcome = find()
    assert asked(outcome) == sorted(places, key=lambda pk: (legs[pk].duration_s, distance_m(places[pk], WEST)))
    assert asked(outcome) != sorted(places, key=lambda pk: distance_m(places[pk], WEST))
    assert strategy_of(outcome) == f"{strategy} by eta"


def test_later_rounds_go_by_time_too(driver, find, by_eta):
    by_eta(candidate_count=1)
    across, south, far = driver(ACROSS), driver(SOUTH), driver(FAR)
    outcome = find()
    assert asked(outcome) == [south]
    decline_offer(south, RideRef(booking_id=outcome.booking_id))
    assert asked(outcome) == [south, far]  # 328 s; across the tracks it is 354 s
    decline_offer(far, RideRef(booking_id=outcome.booking_id))
    assert asked(outcome) == [south, far, across]


def test_equal_times_go_by_distance_and_then_by_id(driver, find, by_eta):
    by_eta(candidate_count=3)
    nearer, same = LatLon(SOUTH.latitude + 0.00001, SOUTH.longitude), SOUTH
    drivers = [driver(same), driver(same), driver(nearer)]
    travel.router().legs([same], WEST)
    assert len({leg.duration_s for leg in travel.router().legs([nearer, same], WEST)}) == 1  # one place to the cache
    assert asked(find()) == [drivers[2], drivers[0], drivers[1]]


def test_who_cannot_get_there_by_road_comes_last(driver, find, by_eta):
    by_eta()
    dead_end, far, farther = driver(DEAD_END), driver(FAR), driver(FARTHER)
    assert distance_m(DEAD_END, WEST) < distance_m(FAR, WEST) < distance_m(FARTHER, WEST)
    outcome = find()
    assert asked(outcome) == [far, farther, dead_end]
    assert strategy_of(outcome) == "balanced by eta"


def test_when_nobody_can_get_there_by_road_it_goes_by_distance(driver, find, by_eta):
    by_eta()
    first, second = driver(DEAD_END), driver(LatLon(DEAD_END.latitude, DEAD_END.longitude + 0.0001))
    outcome = find()
    assert asked(outcome) == [first, second]
    assert strategy_of(outcome) == "balanced"


def test_by_default_it_goes_by_distance(driver, find, by_eta):
    by_eta(ranking="distance")
    south, across = driver(SOUTH), driver(ACROSS)
    outcome = find()
    assert asked(outcome) == [across, south]
    assert strategy_of(outcome) == "balanced"


def test_without_an_engine_it_goes_by_distance(driver, find, by_eta):
    by_eta(url="")
    south, across = driver(SOUTH), driver(ACROSS)
    outcome = find()
    assert asked(outcome) == [across, south]
    assert strategy_of(outcome) == "balanced"


def test_when_the_engine_is_gone_it_goes_by_distance(driver, find, by_eta, mortal_osrm):
    by_eta(url=mortal_osrm.url)
    south, across = driver(SOUTH), driver(ACROSS)
    mortal_osrm.kill()
    outcome = find()
    assert asked(outcome) == [across, south]
    assert strategy_of(outcome) == "balanced"


def test_an_engine_that_hangs_holds_a_search_up_for_the_bound_only(driver, find, by_eta, mortal_osrm):
    by_eta(url=mortal_osrm.url, ranking_timeout_s=0.2, routing_timeout_s=30.0)
    south, across = driver(SOUTH), driver(ACROSS)
    with mortal_osrm.hung():
        began = time.monotonic()
        outcome = find()
        assert time.monotonic() - began < 0.2 + 0.6
    assert asked(outcome) == [across, south]
    assert strategy_of(outcome) == "balanced"


def test_the_engine_is_asked_once_in_a_look_however_often_it_is_widened(by_eta, monkeypatch):
    by_eta()
    across, south = Candidate(1, 231.0, ACROSS), Candidate(2, 447.0, SOUTH)
    ranking = Ranking()
    assert ranking.ranked(WEST, [across, south]) == [south, across]
    monkeypatch.setattr(engines.Engine, "legs", lambda *_args, **_kwargs: pytest.fail("asked again"))
    others = [Candidate(3, 300.0, STREETS[0]), Candidate(4, 900.0, STREETS[1])]
    assert ranking.ranked(WEST, [across, others[0], south, others[1]]) == [south, across, *others]


def test_the_first_sixteen_are_ranked_and_the_others_stay_behind(by_eta):
    by_eta()
    candidates = [Candidate(n, 100.0 * n, at) for n, at in enumerate([*STREETS[:16], SOUTH, ACROSS])]
    ranked = Ranking().ranked(WEST, candidates)
    legs = travel.router().legs([c.position for c in candidates], WEST)
    assert ranked[:16] == sorted(candidates[:16], key=lambda c: (legs[c.driver_id].duration_s, c.distance_m))
    assert ranked[16:] == candidates[16:]
    assert legs[16].duration_s < legs[0].duration_s


def test_the_engine_is_not_asked_for_a_single_driver(driver, find, by_eta, monkeypatch):
    by_eta()
    only = driver(SOUTH)
    monkeypatch.setattr(engines.Engine, "legs", lambda *_args, **_kwargs: pytest.fail("asked"))
    outcome = find()
    assert asked(outcome) == [only]
    assert strategy_of(outcome) == "balanced"


def test_no_driver_is_locked_before_the_engine_has_answered(driver, find, by_eta, monkeypatch):
    """Drivers are what other rides wait for; the ride's own row is wanted by nobody else."""
    by_eta()
    driver(SOUTH)
    driver(ACROSS)
    done: list[str] = []
    really_rows, really_legs = rounds.rows, engines.Engine.legs
    monkeypatch.setattr(rounds, "rows", lambda name, params: done.append(name) or really_rows(name, params))
    monkeypatch.setattr(engines.Engine, "legs", lambda *args, **kw: done.append("engine") or really_legs(*args, **kw))
    find()
    assert done[:3] == ["engine", "dispatch/sql/lock_drivers", "dispatch/sql/ask"]
    assert done.count("engine") == 1


def test_a_ranking_that_does_not_exist_does_not_start():
    with pytest.raises(ConfigurationMistake, match="CARECONNECT_RANKING must be one of distance, eta"):
        read_knobs({"CARECONNECT_RANKING": "speed"}, demo=False)
