"""The silent leave matching's index by the sweep and return with the next position."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from geo.coordinates import lat_lon
from mobility.dispatch.queries import nearest_available
from mobility.dispatch.services import find_driver
from mobility.invariants.queries import broken_invariants
from mobility.locations import freshness
from mobility.locations.freshness import mark_returned, sweep_silent
from mobility.locations.ingest import write_fixes
from mobility.locations.queries import drivers_with_location
from mobility.models import Driver, DriverLocation
from tests.positions import fix

HERE = lat_lon(-26.2, 28.05)


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


@pytest.fixture
def silent(make_driver):
    """silent(**fields): a driver whose newest position is five minutes old."""
    return lambda **fields: make_driver(*HERE, **{"recorded_at": ago(300), "received_at": ago(300)} | fields)


def state(driver: Driver) -> tuple[bool, bool]:
    """Whether the driver is stale, and whether they are in the index of matching."""
    place = DriverLocation.objects.get(pk=driver.pk)
    return place.stale, place.dispatchable


def test_the_silent_leave_the_index_and_return_with_the_next_position(committed_db, silent, make_driver):
    driver, other = silent(), make_driver(*HERE)
    assert state(driver) == (False, True)
    assert sweep_silent() == 1
    assert sweep_silent() == 0
    assert (state(driver), state(other)) == ((True, False), (False, True))
    assert [c.driver_id for c in nearest_available(HERE)] == [other.pk]
    assert broken_invariants() == []
    write_fixes([fix(driver.pk, HERE)])
    assert state(driver) == (False, True)
    assert {c.driver_id for c in nearest_available(HERE)} == {driver.pk, other.pk}
    assert broken_invariants() == []


@pytest.mark.parametrize("times", [{"recorded_at": 300, "received_at": 1}, {"recorded_at": 300, "received_at": 300}])
@pytest.mark.django_db
def test_the_older_of_the_two_times_decides(silent, times):
    driver = silent(**{name: ago(seconds) for name, seconds in times.items()})
    assert sweep_silent() == 1
    assert state(driver) == (True, False)


def test_a_late_position_brings_nobody_back(committed_db, silent):
    driver = silent()
    sweep_silent()
    write_fixes([fix(driver.pk, HERE, ago(120))])
    assert state(driver) == (True, False)


@pytest.mark.django_db
def test_only_the_free_and_moving_are_swept(silent, make_user, make_driver, ride_request):
    busy = make_driver(*HERE)
    find_driver(make_user().pk, "ride", ride_request(pickup=HERE))
    DriverLocation.objects.filter(pk=busy.pk).update(recorded_at=ago(-1), received_at=ago(0))
    silent(stationary=True)
    silent(status="offline")
    assert sweep_silent() == 0
    assert not DriverLocation.objects.filter(stale=True).exists()


@pytest.mark.django_db
def test_on_and_off_duty_the_silent_stay_out_of_the_index(silent):
    driver = silent()
    sweep_silent()
    for status in ("offline", "available"):
        Driver.objects.filter(pk=driver.pk).update(status=status)
        assert state(driver) == (True, False)
    assert broken_invariants() == []


def test_whoever_is_busy_or_offline_returns_without_being_matched(committed_db, silent):
    driver = silent()
    sweep_silent()
    Driver.objects.filter(pk=driver.pk).update(status="offline")
    write_fixes([fix(driver.pk, HERE)])
    assert state(driver) == (False, False)
    Driver.objects.filter(pk=driver.pk).update(status="available")
    assert state(driver) == (False, True)


@pytest.mark.django_db
def test_who_is_made_stationary_is_silent_no_more(silent):
    driver = silent()
    sweep_silent()
    Driver.objects.filter(pk=driver.pk).update(stationary=True)
    assert state(driver) == (False, True)


def test_a_crowd_is_swept_in_portions(committed_db, silent, monkeypatch):
    monkeypatch.setattr(freshness, "AT_ONCE", 3)
    for _ in range(7):
        silent()
    assert sweep_silent() == 7
    assert DriverLocation.objects.filter(stale=True).count() == 7


def test_whoever_is_being_changed_is_passed_over(committed_db, silent):
    """Neither the sweep nor a return waits for a ride that holds the driver, so there is nothing to deadlock with."""
    driver, held, go = silent(), threading.Event(), threading.Event()
    other = silent()
    sweep_silent()

    def hold() -> None:
        try:
            with transaction.atomic():
                Driver.objects.filter(pk=driver.pk).update(status="offline")
                held.set()
                assert go.wait(10)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(10)
        DriverLocation.objects.filter(pk=other.pk).update(recorded_at=ago(0), received_at=ago(0))
        assert mark_returned([driver.pk, other.pk]) == 1
        assert state(other) == (False, True)
    finally:
        go.set()
        thread.join(10)
    write_fixes([fix(driver.pk, HERE)])
    assert state(driver) == (False, False)
    assert broken_invariants() == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "is_silent"),
    [
        ({}, True), ({"recorded_at": 1, "received_at": 1}, False), ({"stationary": True}, False),
        ({"status": "offline"}, False), ({"recorded_at": 300, "received_at": 1}, True),
    ],
)  # fmt: skip
def test_a_driver_who_went_silent_shows_as_such(api, make_user, silent, fields, is_silent):
    times = {name: ago(fields.pop(name)) for name in ("recorded_at", "received_at") if name in fields}
    driver = silent(**fields, **times)
    feature = api.get(f"drivers/{driver.pk}/", user=make_user(roles=["operator"])).json()
    assert feature["properties"]["silent"] is is_silent
    assert drivers_with_location().get(pk=driver.pk).silent is is_silent


@pytest.mark.django_db
def test_a_driver_on_duty_who_never_told_a_position_is_silent(make_driver):
    driver = make_driver(None, None)
    assert drivers_with_location().get(pk=driver.pk).silent is True
