"""The candidates query: right everywhere on Earth, and on the index."""

import random
from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.db.models.functions import Now
from geopy.distance import geodesic

from geo.coordinates import LatLon, lat_lon
from geo.geodesy import destination
from mobility.dispatch.queries import Candidate, nearest_available, search_params
from mobility.models import Driver, DriverLocation
from mobility.sql import sql
from tests.brute_force import five_nearest

JOHANNESBURG = lat_lon(-26.2041, 28.0473)
SEED = 20_250_823
CENTRES = [
    JOHANNESBURG, lat_lon(-33.92, 18.42), lat_lon(0, 0), lat_lon(51.48, 0.0), lat_lon(89.999, 10),
    lat_lon(-89.999, -100), lat_lon(90, 0), lat_lon(-17.8, 179.99), lat_lon(65.0, -179.995), lat_lon(0, 180),
    lat_lon(64.1, -21.9),
]  # fmt: skip


@pytest.mark.django_db
def test_nearest_comes_first_and_the_distance_is_on_the_spheroid(make_driver):
    far = make_driver(-26.2241, 28.0473)
    near = make_driver(-26.2051, 28.0473)
    found = nearest_available(JOHANNESBURG)
    assert [c.driver_id for c in found] == [near.pk, far.pk]
    assert found[0].distance_m == pytest.approx(geodesic(JOHANNESBURG, found[0].position).meters, abs=0.001)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change",
    [
        {"status": "offline"}, {"verified": False},
        {"recorded_at": Now() - timedelta(seconds=61)}, {"received_at": Now() - timedelta(seconds=61),
                                                         "recorded_at": Now() - timedelta(seconds=61)},
    ],
)  # fmt: skip
def test_who_cannot_be_sent_is_not_a_candidate(make_driver, change):
    make_driver(-26.2041, 28.0473, **change)
    assert nearest_available(JOHANNESBURG) == []


@pytest.mark.django_db
def test_a_stationary_driver_stays_a_candidate(make_driver):
    old = Now() - timedelta(hours=5)
    driver = make_driver(-26.2041, 28.0473, stationary=True, recorded_at=old, received_at=old)
    assert [c.driver_id for c in nearest_available(JOHANNESBURG)] == [driver.pk]


@pytest.mark.django_db
def test_the_radius_is_in_true_metres(make_driver):
    inside = destination(JOHANNESBURG, bearing_deg=45, distance_m=9_999)
    outside = destination(JOHANNESBURG, bearing_deg=200, distance_m=10_001)
    driver = make_driver(*inside)
    make_driver(*outside)
    assert [c.driver_id for c in nearest_available(JOHANNESBURG)] == [driver.pk]


@pytest.mark.django_db
def test_vehicle_type_filters(make_driver):
    make_driver(-26.2041, 28.0473)
    ramp = make_driver(-26.2341, 28.0473, vehicle_type="wheelchair_accessible")
    found = nearest_available(JOHANNESBURG, vehicle_type="wheelchair_accessible")
    assert [c.driver_id for c in found] == [ramp.pk]


@pytest.mark.django_db
def test_a_rare_vehicle_behind_many_others_is_found(make_driver):
    for n in range(70):
        make_driver(-26.2041 + n * 1e-5, 28.0473)
    ramp = make_driver(-26.2341, 28.0473, vehicle_type="wheelchair_accessible")
    assert [c.driver_id for c in nearest_available(JOHANNESBURG, vehicle_type="wheelchair_accessible")] == [ramp.pk]


@pytest.mark.django_db
def test_the_passenger_is_not_their_own_candidate(make_driver):
    driver = make_driver(-26.2041, 28.0473)
    assert nearest_available(JOHANNESBURG, passenger_id=driver.user_id) == []


@pytest.mark.django_db
def test_many_at_one_distance_are_ordered_exactly(make_driver):
    """A ring where sphere and spheroid disagree about the order: the first 16 of the index walk are not the nearest."""
    ring = [destination(JOHANNESBURG, bearing_deg=b * 4.5, distance_m=3_000 + (b % 7)) for b in range(80)]
    drivers = [make_driver(*at).pk for at in ring]
    exact = sorted(zip((geodesic(JOHANNESBURG, at).meters for at in ring), drivers, strict=True))
    found = nearest_available(JOHANNESBURG)
    assert [c.distance_m for c in found] == pytest.approx([d for d, _ in exact[:5]], abs=0.001)
    assert {c.driver_id for c in found} <= {pk for d, pk in exact if d < exact[4][0] + 0.01}


@pytest.mark.django_db
def test_equals_brute_force_with_geodesics_in_a_thousand_cases(make_driver):
    print(f"seed {SEED}")
    dice = random.Random(SEED)
    fleet = _fleet(make_driver, dice)
    for case in range(1000):
        pickup = _near(dice, dice.choice(CENTRES)) if case % 10 else dice.choice(list(fleet.values()))
        radius_m = dice.choice([500.0, 5_000.0, 10_000.0, 60_000.0])
        found = nearest_available(pickup, radius_m=radius_m)
        expected = five_nearest(fleet, pickup, radius_m)
        assert [c.distance_m for c in found] == pytest.approx([d for d, _ in expected], abs=0.001), (case, pickup)
        assert _ranked(found) == _ranked(Candidate(i, d, pickup) for d, i in expected), (case, pickup)


def _fleet(make_driver, dice) -> dict[int, LatLon]:
    places = [_near(dice, centre) for centre in CENTRES for _ in range(40)]
    places += [at for at in dice.sample(places, 40) for _ in range(2)]  # identical points
    return {make_driver(*at).pk: at for at in places}


def _near(dice, centre: LatLon) -> LatLon:
    at = destination(centre, bearing_deg=dice.uniform(0, 360), distance_m=dice.expovariate(1 / 6_000))
    return lat_lon(at.latitude, (at.longitude + 180) % 360 - 180)


def _ranked(candidates) -> list[tuple[float, int]]:
    """Equal distances are ordered by id; a tenth of a millimetre is equal."""
    return sorted((round(c.distance_m, 4), c.driver_id) for c in candidates)


@pytest.mark.breaks_invariants  # the bulk load skips the triggers
def test_the_query_walks_the_partial_index_nearest_first(committed_db, admin_url):
    with psycopg.connect(admin_url, autocommit=True) as admin:
        _bulk_load(admin, 20_000)
    with connection.cursor() as cursor:
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        params = search_params(JOHANNESBURG, asking=False)
        names = list(params)
        text = sql("dispatch/sql/nearest")
        for n, name in enumerate(names, 1):
            text = text.replace(f"%({name})s", f"${n}")
        types = {
            "vehicle_type": "text",
            "passenger_id": "bigint",
            "fetch": "bigint",
            "count": "bigint",
            "booking_id": "bigint",
            "asking": "bool",
        }
        cursor.execute(f"PREPARE q ({', '.join(types.get(n, 'float8') for n in names)}) AS {text}")
        values = ", ".join("NULL" if params[n] is None else str(params[n]) for n in names)
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE q ({values})")
        plan = cursor.fetchone()[0]
    walk = next(node for node in _nodes(plan[0]["Plan"]) if node.get("Relation Name") == "mobility_driver_location")
    assert walk["Node Type"] == "Index Scan"
    assert walk["Index Name"] == "driver_location_dispatchable"
    assert "<->" in walk["Order By"]
    assert walk["Actual Rows"] == 16
    # It read little more than it gave: not the radius, not the city, not the busy drivers next door.
    assert walk.get("Rows Removed by Filter", 0) < 50


def _bulk_load(admin, drivers: int) -> None:
    admin.execute("SET session_replication_role = replica")
    admin.execute("SELECT setseed(0.5)")
    admin.execute(
        "INSERT INTO mobility_driver_location"
        " (driver_id, position, indexed_position, recorded_at, received_at, stationary, dispatchable, vehicle_type)"
        " SELECT n, place, place, now(), now(), false, n %% 10 = 0, 'sedan' FROM (SELECT n, ST_SetSRID(ST_MakePoint("
        "28.0473 + (random() - 0.5) / 5, -26.2041 + (random() - 0.5) / 5), 4326) AS place"
        " FROM generate_series(1, %s) n) places",
        [drivers],
    )
    admin.execute("ANALYZE mobility_driver_location")


def _nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)


@pytest.mark.django_db
def test_a_moved_driver_is_found_at_the_new_place(make_driver):
    driver = make_driver(10, 10)
    location = DriverLocation.objects.get(pk=driver.pk)
    location.position.coords = (28.0473, -26.2041)
    location.save()
    assert [c.driver_id for c in nearest_available(JOHANNESBURG)] == [driver.pk]
    Driver.objects.filter(pk=driver.pk).update(status="offline")
    assert nearest_available(JOHANNESBURG) == []


def test_hot_statements_are_prepared(committed_db):
    """psycopg prepares nothing when its threshold is None, which is what Django sets by default."""
    from mobility.transactions import rows

    connection.close()  # and with it what other tests have prepared
    rows("dispatch/sql/nearest", search_params(JOHANNESBURG))
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%near AS MATERIALIZED%'")
        assert cursor.fetchone() == (1,)
