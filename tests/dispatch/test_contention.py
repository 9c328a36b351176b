"""Real concurrent connections: nobody is booked twice, nobody is overlooked."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from mobility.bookings.models import Booking
from mobility.bookings.services import Actor
from mobility.bookings.states import ActorRole, Status
from mobility.dispatch.dispatcher import sweep
from mobility.dispatch.services import cancel_ride, find_driver
from mobility.models import Driver
from tests.environment import libpq

PASSENGERS, DRIVERS = 200, 100


def at_once(n: int, work):
    """Run work(0) ... work(n - 1) on n threads with a connection each, all released together."""
    ready = threading.Barrier(n)

    def run(i):
        try:
            connection.ensure_connection()
            ready.wait(30)
            return work(i)
        finally:
            connection.close()

    with ThreadPoolExecutor(n) as threads:
        return list(threads.map(run, range(n)))


def test_200_passengers_for_100_drivers_on_one_spot(committed_db, make_user, make_driver, ride_request):
    for _ in range(DRIVERS):
        make_driver(-26.2041, 28.0473, stationary=True)
    passengers = [make_user().pk for _ in range(PASSENGERS)]
    width = 50  # connections at once; each takes four passengers in turn

    def ask(i):
        return [find_driver(passengers[n], "r", ride_request()).status for n in range(i, PASSENGERS, width)]

    answers = Counter(status for batch in at_once(width, ask) for status in batch)
    # Whoever found every driver taken or held keeps searching.
    assert answers[Status.CONFIRMED] + answers[Status.PENDING] == PASSENGERS
    Booking.objects.filter(status=Status.PENDING).update(due_at=Now())
    sweep()
    statuses = Counter(Booking.objects.values_list("status", flat=True))
    assert statuses == {Status.CONFIRMED: DRIVERS, Status.PENDING: PASSENGERS - DRIVERS}
    bound = Booking.objects.filter(status=Status.CONFIRMED).values_list("driver_id", flat=True)
    assert len(set(bound)) == DRIVERS
    assert not Driver.objects.exclude(status="busy").exists()


def test_one_passenger_asking_twenty_times_at_once_has_one_booking(committed_db, make_user, make_driver, ride_request):
    for _ in range(20):
        make_driver(-26.2041, 28.0473)
    passenger = make_user().pk
    outcomes = at_once(20, lambda _: find_driver(passenger, "r", ride_request()))
    assert len({o.booking_id for o in outcomes}) == 1
    assert Counter(o.new_search for o in outcomes)[True] == 1
    assert (Booking.objects.count(), Driver.objects.filter(status="busy").count()) == (1, 1)


def test_guests_asking_at_once_under_one_ride_id_share_one_booking(committed_db, make_driver, ride_request):
    for _ in range(20):
        make_driver(-26.2041, 28.0473)
    outcomes = at_once(20, lambda _: find_driver(None, "12345", ride_request()))
    assert len({o.booking_id for o in outcomes}) == 1


def test_cancelling_and_asking_in_a_loop_leaves_no_driver_busy(committed_db, make_user, make_driver, ride_request):
    for _ in range(5):
        make_driver(-26.2041, 28.0473)
    passengers = [make_user().pk for _ in range(10)]

    def loop(i):
        for n in range(10):
            outcome = find_driver(passengers[i], f"r{n}", ride_request())
            cancel_ride(outcome.booking_id, Actor(passengers[i], ActorRole.PASSENGER))

    at_once(10, loop)
    assert set(Booking.objects.values_list("status", flat=True)) == {Status.CANCELLED}
    assert set(Driver.objects.values_list("status", flat=True)) == {"available"}


def test_a_driver_locked_for_another_reason_is_not_overlooked(committed_db, make_driver, ride_request, admin_url):
    """SKIP LOCKED alone would say that nobody is there."""
    driver = make_driver(-26.2041, 28.0473)
    with psycopg.connect(admin_url) as other:
        other.execute("UPDATE mobility_driver SET rating = 4.5")
        outcome = find_driver(None, "r", ride_request())
        assert outcome.status == Status.PENDING
        due = Booking.objects.values_list("due_at", flat=True).get()
        assert due < Booking.objects.values_list("search_started_at", flat=True).get() + timedelta(seconds=0.5)
        other.commit()
    Booking.objects.update(due_at=Now())
    sweep()
    assert Booking.objects.get().driver_id == driver.pk


def test_a_deadlock_is_tried_again(committed_db, make_user, make_driver, ride_request, admin_url):
    """Somebody with psql locks in the wrong order; the service's transaction is the victim and simply runs again."""
    driver = make_driver(-26.2041, 28.0473)
    booking_id = find_driver(make_user().pk, "r", ride_request()).booking_id
    with psycopg.connect(admin_url) as other, ThreadPoolExecutor(1) as thread:
        # The deadlock check of the other side comes late, so that ours is the one that is told.
        other.execute("SET deadlock_timeout = '20s'")
        other.execute("UPDATE mobility_driver SET rating = 4.4 WHERE id = %s", [driver.pk])
        asked = thread.submit(lambda: _and_close(cancel_ride, booking_id, Actor(None, ActorRole.OPERATOR)))
        wait_until_blocked(admin_url)
        other.execute("UPDATE mobility_booking SET notes = 'psql' WHERE id = %s", [booking_id])
        other.commit()
        assert asked.result(20) == 3
    assert Booking.objects.get(pk=booking_id).status == Status.CANCELLED
    assert Driver.objects.get().status == "available"


def test_nothing_of_a_failed_search_remains(committed_db, make_user, make_driver, ride_request, monkeypatch):
    make_driver(-26.2041, 28.0473)
    monkeypatch.setattr("mobility.bookings.services.publish_assignment", _fail)
    with pytest.raises(ZeroDivisionError):
        find_driver(make_user().pk, "r", ride_request())
    assert Booking.objects.count() == 0
    assert Driver.objects.get().status == "available"
    assert not transaction.get_connection().in_atomic_block


def _fail(*_):
    raise ZeroDivisionError


def _and_close(work, *args):
    try:
        return work(*args)
    finally:
        connection.close()


def wait_until_blocked(admin_url: str) -> None:
    with psycopg.connect(libpq(admin_url), autocommit=True) as watcher:
        for _ in range(1000):
            waiting = watcher.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database() AND usename = 'careconnect_app'"
            ).fetchone()
            if waiting != (0,):
                return
            watcher.execute("SELECT pg_sleep(0.01)")
    raise AssertionError("nobody came to wait for the lock")
