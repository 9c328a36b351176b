"""Connections break at random bytes, and nobody misses anything: old state plus replayed moves is the snapshot."""

import os

import pytest
from knox.models import AuthToken

from mobility.bookings.states import EventName
from mobility.models import Command, RideEvent
from tests.faults.drops import PLACES_APART_DEG, SETTINGS, Place, run
from tests.realtime.sync import in_thread
from tests.server import EXAMPLE, serving

pytestmark = pytest.mark.usefixtures("committed_db")
# `make chaos` sets 10,000.
MANY = int(os.environ.get("DROPS", "2000"))
SEED = int(os.environ.get("DROPS_SEED", "20260801"))
# The name of a log row -> the type of the frame that says it.
TOLD_AS = {"ride_requested": "searching", "search_started": "searching"}
NEVER_HERE = {"ride_scheduled"}


def make_places(n, make_user, make_driver):
    """So many places, all their people logged in; and an operator's token."""

    def token(user):
        return AuthToken.objects.create(user)[1]

    places = []
    for number in range(n):
        latitude = EXAMPLE["pickup_latitude"] + number * PLACES_APART_DEG
        drivers = [
            make_driver(latitude, EXAMPLE["pickup_longitude"], auto_accept=False, stationary=True, status="offline")
            for _ in range(2)
        ]
        places.append(Place(number, token(make_user()), tuple((d.pk, token(d.user)) for d in drivers)))
    return places, token(make_user(roles=["operator"]))


def logged():
    """What the log says each ride's app must have been told."""
    told = {}
    for ride_id, event in RideEvent.objects.order_by("booking_id", "seq").values_list("booking__ride_id", "event"):
        told.setdefault(ride_id, []).append(TOLD_AS.get(event, event))
    return told


@pytest.mark.parametrize(
    "breaks", [500, pytest.param(MANY, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])], ids=str
)
async def test_nobody_misses_anything_or_is_told_twice(tmp_path, make_user, make_driver, breaks):
    print(f"DROPS_SEED={SEED}")
    places, operator = await in_thread(make_places, 4, make_user, make_driver)
    with serving(tmp_path, **SETTINGS) as server:
        outcome = await run(server.port, places, operator, breaks, SEED)
        print(f"{outcome.breaks} of {outcome.connections} connections broke, {len(outcome.logs)} rides")
        assert not outcome.odd, "\n".join(outcome.odd)
        assert "Traceback" not in server.output
    assert sum(outcome.breaks.values()) >= breaks
    assert {ride_id: log for (_, ride_id), log in outcome.logs.items()} == await in_thread(logged)
    events = await in_thread(lambda: set(RideEvent.objects.values_list("event", flat=True)))
    assert events == set(EventName.values) - NEVER_HERE
    # Each command was done once, however often it had to be sent.
    assert await in_thread(Command.objects.count) > len(outcome.logs)
