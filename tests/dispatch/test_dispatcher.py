"""The sweep: whatever is due happens, once, whoever sweeps and however late."""

import os
import re
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models.functions import Now

from geo.coordinates import lat_lon
from mobility.bookings.services import Actor
from mobility.bookings.states import ActorRole, Status
from mobility.dispatch import dispatcher, driving, duty
from mobility.dispatch.dispatcher import forget_old_explanations, sweep
from mobility.dispatch.offers import RideRef, accept_offer, decline_offer, mark_delivered
from mobility.dispatch.services import find_driver
from mobility.models import (
    Booking,
    ConsideredDriver,
    Driver,
    DriverLocation,
    InboxEvent,
    Offer,
    Presence,
    RideEvent,
    SearchRound,
)
from tests import forks
from tests.dispatch.clock import let_pass
from tests.dispatch.test_contention import at_once
from tests.positions import tell

pytestmark = pytest.mark.usefixtures("committed_db")
NORTH_PER_M = 1 / 110_600


@pytest.fixture
def make_asked(make_driver):
    """make_asked(north_m): a connected driver who wants to be asked, so far from the pickup; never stale."""

    def make(north_m=0.0, **fields):
        fields = {"auto_accept": False, "stationary": True} | fields
        driver = make_driver(-26.2041 + north_m * NORTH_PER_M, 28.0473, **fields)
        Presence.objects.create(driver=driver, socket_id=uuid4(), lease_until=Now() + timedelta(hours=3))
        return driver

    return make


@pytest.fixture
def search(make_user, ride_request):
    """search(): a new passenger asks; the outcome."""
    return lambda ride_id="r", **fields: find_driver(make_user().pk, ride_id, ride_request(**fields))


@pytest.fixture
def wait(admin_url):
    """wait(seconds): time passes, and what is due then is swept."""

    def pass_and_sweep(seconds):
        let_pass(seconds, admin_url)
        return sweep()

    return pass_and_sweep


def accept(driver):
    return accept_offer(driver.pk, RideRef(ride_id="r"))


def offers() -> dict[int, tuple[str, str | None]]:
    return {o.driver_id: (o.status, o.reason) for o in Offer.objects.order_by("pk")}


def booking() -> Booking:
    return Booking.objects.get()


def told(driver) -> list[tuple[str, str]]:
    return list(InboxEvent.objects.filter(driver=driver).order_by("seq").values_list("kind", "reason"))


# --- offers --------------------------------------------------------------------------------------------------------


def test_an_undelivered_offer_is_withdrawn_after_four_seconds_and_the_next_takes_the_place(make_asked, search, wait):
    wave = [make_asked(100 * n) for n in range(5)]
    sixth = make_asked(600)
    search()
    for driver in wave[1:]:
        mark_delivered(driver.pk, Offer.objects.get(driver=driver).pk)
    assert wait(2) == 0
    assert wait(2.1) == 1
    assert offers()[wave[0].pk] == ("withdrawn", "undelivered")
    assert offers()[sixth.pk] == ("pending", None)
    assert Driver.objects.get(pk=wave[0].pk).missed_offers == 0
    assert told(wave[0]) == [("ride_request", ""), ("ride_request_closed", "undelivered")]


def test_whom_it_did_not_reach_is_asked_again_only_after_connecting_anew(make_asked, search, wait):
    driver = make_asked()
    search()
    wait(5)
    assert booking().status == Status.PENDING  # nobody else is there, and this one is not reached
    last = ConsideredDriver.objects.latest("round")
    assert (last.driver_id, last.verdict) == (driver.pk, "unreachable")
    wait(90)
    assert booking().status == Status.UNFULFILLED
    duty.connect_driver(driver.pk, uuid4())
    assert search("r").booking_id != booking_id_of_first()
    assert offers()[driver.pk] == ("pending", None)


def booking_id_of_first() -> int:
    return Booking.objects.order_by("pk").values_list("pk", flat=True)[0]


def test_delivered_offers_live_fifteen_seconds_from_the_delivery(make_asked, search, wait, admin_url):
    driver, other = make_asked(), make_asked(9_000)
    search()
    let_pass(3, admin_url)
    for d in (driver, other):
        mark_delivered(d.pk, Offer.objects.get(driver=d).pk)
    wait(12)
    assert {status for status, _ in offers().values()} == {"pending"}
    wait(3.1)
    assert offers() == {driver.pk: ("expired", None), other.pk: ("expired", None)}
    assert booking().status == Status.PENDING


def test_a_late_acknowledgement_starts_nothing(make_asked, search, admin_url):
    driver = make_asked()
    search()
    let_pass(4.1, admin_url)
    mark_delivered(driver.pk, Offer.objects.get().pk)
    assert Offer.objects.get().delivered_at is None


def test_three_misses_in_a_row_and_the_driver_is_offline_and_told(make_asked, search, wait):
    driver = make_asked()
    for n in range(3):
        search(f"r{n}")
        mark_delivered(driver.pk, Offer.objects.get(status="pending").pk)
        wait(15.1)
    driver.refresh_from_db()
    assert (driver.status, driver.missed_offers) == ("offline", 0)
    assert told(driver)[-1] == ("went_offline", "requests_missed")


# --- the search ----------------------------------------------------------------------------------------------------


def test_a_search_ends_after_ninety_seconds(make_asked, search, wait):
    busy = make_asked()
    search("first")
    accept_offer(busy.pk, RideRef(ride_id="first"))
    waiting = search("second")
    assert waiting.status == Status.PENDING
    wait(80)
    assert Booking.objects.get(pk=waiting.booking_id).status == Status.PENDING
    wait(10.5)
    assert Booking.objects.get(pk=waiting.booking_id).status == Status.UNFULFILLED


def test_with_nobody_on_duty_in_reach_it_ends_at_once(make_asked, search):
    make_asked(status="offline")
    make_asked(15_000)
    make_asked(verified=False)
    make_asked(vehicle_type="suv")
    assert search(vehicle_type="sedan").status == Status.UNFULFILLED


def test_beyond_ten_kilometres_nobody_is_asked(make_asked, search):
    near, far = make_asked(9_900), make_asked(10_100)
    search()
    assert set(offers()) == {near.pk}
    assert far.pk not in offers()


def test_a_search_goes_on_after_everybody_has_said_no_and_asks_whoever_comes(make_asked, search, wait):
    driver = make_asked()
    search()
    decline_offer(driver.pk, RideRef(ride_id="r"))
    wait(20)
    assert booking().status == Status.PENDING
    late = make_asked(100)
    wait(2.1)
    assert offers()[late.pk] == ("pending", None)


def test_without_cells_it_ends_when_nobody_is_left(make_asked, search, settings):
    settings.MOBILITY = replace(settings.MOBILITY, reach_cell_m=0)
    drivers = [make_asked(100 * n) for n in range(2)]
    search()
    for driver in drivers:
        assert booking().status == Status.PENDING
        decline_offer(driver.pk, RideRef(ride_id="r"))
    assert booking().status == Status.UNFULFILLED


def test_waves_of_five_go_outwards(make_asked, search, wait):
    drivers = [make_asked(100 * n) for n in range(12)]
    search()
    asked = [set(offers())]
    for _ in range(2):
        for driver_id in [d for d, (status, _) in offers().items() if status == "pending"]:
            decline_offer(driver_id, RideRef(ride_id="r"))
        asked.append(set(offers()))
    assert asked == [{d.pk for d in drivers[:n]} for n in (5, 10, 12)]
    for driver in drivers[10:]:
        decline_offer(driver.pk, RideRef(ride_id="r"))
    assert booking().status == Status.PENDING
    assert list(SearchRound.objects.order_by("round").values_list("outcome", flat=True)) == [
        "asked", "asked", "asked", "waiting",
    ]  # fmt: skip


def test_a_waiting_ride_is_found_by_the_sweep_when_nobody_hinted(make_asked, search, wait):
    busy = make_asked()
    search("first")
    accept_offer(busy.pk, RideRef(ride_id="first"))
    waiting = search("second").booking_id
    fresh = make_asked(50)  # appeared without a word to anybody
    assert Offer.objects.filter(driver=fresh).count() == 0
    wait(2.1)
    assert Offer.objects.get(driver=fresh).booking_id == waiting


# --- lost drivers --------------------------------------------------------------------------------------------------


@pytest.fixture
def bound(make_asked, search):
    """A moving driver who has taken a ride."""
    driver = make_asked(stationary=False)
    search()
    accept(driver)
    return driver


def test_a_driver_silent_for_two_minutes_loses_the_ride_and_the_search_goes_on(bound, make_asked, wait):
    wait(110)
    assert booking().driver_id == bound.pk
    other = make_asked(100)
    wait(11)
    b = booking()
    assert (b.status, b.driver_id, b.releases) == (Status.PENDING, None, 1)
    assert offers() == {bound.pk: ("released", None), other.pk: ("pending", None)}
    last = RideEvent.objects.latest("seq")
    assert (last.event, last.actor_role, last.payload) == (
        "driver_released", "system", {"driver_id": bound.pk, "reason": "driver_lost"},
    )  # fmt: skip
    assert told(bound)[-1] == ("ride_released", "driver_lost")
    assert Driver.objects.get(pk=bound.pk).status == "available"


def test_a_sign_of_life_keeps_the_ride(bound, wait, admin_url):
    let_pass(100, admin_url)
    tell(bound.pk, lat_lon(-26.3, 28.05))
    wait(100)
    assert booking().driver_id == bound.pk
    socket = uuid4()
    duty.connect_driver(bound.pk, socket)
    wait(100)
    assert booking().driver_id == bound.pk
    duty.renew_presence({bound.pk: socket})
    wait(100)
    assert booking().driver_id == bound.pk
    wait(30)
    assert booking().driver_id is None


def test_a_driver_who_has_arrived_is_not_lost_but_operators_are_alerted(bound, wait):
    driving.arrive_at_pickup(booking().pk, Actor(None, ActorRole.OPERATOR))
    wait(600)
    assert (booking().driver_id, booking().attention_since) == (bound.pk, None)
    wait(1300)
    assert booking().attention_since is not None
    assert (booking().status, booking().driver_id) == (Status.CONFIRMED, bound.pk)


def test_a_stationary_driver_is_never_lost(make_asked, search, wait):
    driver = make_asked(stationary=True)
    search()
    accept(driver)
    wait(3600)
    assert booking().driver_id == driver.pk


def test_silence_on_a_trip_alerts_operators_and_changes_nothing_else(bound, wait, caplog):
    ride = booking()
    driving.start_ride(ride.pk, Actor(None, ActorRole.OPERATOR))
    before = RideEvent.objects.count()
    wait(1780)
    assert booking().attention_since is None
    wait(21)
    assert booking().attention_since is not None
    assert (booking().status, RideEvent.objects.count()) == (Status.IN_PROGRESS, before)
    assert "driver_silent_on_ride" in caplog.text
    tell(bound.pk, lat_lon(-26.3, 28.05))
    wait(1790)
    wait(20)
    assert booking().attention_since is not None  # silent again since
    tell(bound.pk, lat_lon(-26.3, 28.05))
    Booking.objects.update(due_at=Now())
    sweep()
    assert booking().attention_since is None  # heard again
    wait(1801)
    driving.complete_ride(ride.pk, Actor(None, ActorRole.OPERATOR))
    assert booking().attention_since is None


def test_after_three_give_backs_the_search_is_over(make_asked, search):
    drivers = [make_asked(100 * n) for n in range(4)]
    search()
    for driver in drivers:
        accept(driver)
        driving.give_back_ride(booking().pk, Actor(driver.user_id, ActorRole.DRIVER), driver.pk)
    b = booking()
    assert (b.status, b.releases) == (Status.UNFULFILLED, 3 + 1)
    assert {status for status, _ in offers().values()} == {"released"}


# --- many sweepers, faults -----------------------------------------------------------------------------------------


def test_any_number_of_sweepers_do_each_thing_once(make_asked, search, admin_url):
    drivers = [make_asked(10 * n) for n in range(20)]
    for n in range(4):
        search(f"r{n}")
    for offer in Offer.objects.all():
        mark_delivered(offer.driver_id, offer.pk)
    let_pass(15.1, admin_url)
    at_once(6, lambda _: sweep())
    first = Offer.objects.filter(round=1)
    assert set(first.values_list("status", flat=True)) == {"expired"}
    for offer in first:
        closed = InboxEvent.objects.filter(offer_id=offer.pk, kind="ride_request_closed")
        assert list(closed.values_list("reason", flat=True)) == ["expired"]
    assert {d.missed_offers for d in Driver.objects.all()} == {1}
    # Freed drivers are asked for rides they were not asked for before.
    assert len(drivers) >= Offer.objects.filter(status="pending").count() > 0


def test_a_ride_somebody_holds_is_passed_over_and_comes_next(make_asked, search, admin_url):
    make_asked()
    search()
    let_pass(5, admin_url)
    with psycopg.connect(admin_url) as holder:
        holder.execute("SELECT FROM mobility_booking FOR UPDATE")
        assert sweep() == 0
        holder.rollback()
    assert sweep() == 1


def test_a_ride_whose_turn_fails_stops_no_other(make_asked, search, wait, monkeypatch):
    make_asked()
    bad = search("bad").booking_id
    good = search("good").booking_id
    real = dispatcher._deal_with

    def fail_once(ride):
        if ride.id == bad:
            raise ZeroDivisionError
        real(ride)

    monkeypatch.setattr(dispatcher, "_deal_with", fail_once)
    wait(95)
    assert Booking.objects.get(pk=good).status == Status.UNFULFILLED
    held = Booking.objects.get(pk=bad)
    assert held.status == Status.PENDING
    monkeypatch.undo()
    wait(6)
    assert Booking.objects.get(pk=bad).status == Status.UNFULFILLED


def test_nothing_is_swept_that_is_not_due(make_asked, search):
    make_asked()
    search()
    assert sweep() == 0


def test_what_was_due_while_nobody_swept_is_done_when_somebody_does(make_asked, search, wait):
    make_asked()
    search()
    wait(86_400)
    assert booking().status == Status.UNFULFILLED


def test_old_explanations_go_and_young_ones_stay(make_asked, search, admin_url, settings):
    make_asked()
    search()
    assert forget_old_explanations() == 0
    assert ConsideredDriver.objects.count() == 1
    let_pass(31 * 86_400, admin_url)
    assert forget_old_explanations() == 1
    assert (SearchRound.objects.count(), ConsideredDriver.objects.count()) == (0, 0)
    sweep()


# --- the command ---------------------------------------------------------------------------------------------------


def test_the_command_sweeps_once(make_asked, search, admin_url, capsys):
    make_asked()
    search()
    let_pass(91, admin_url)
    call_command("dispatcher", "--once")
    told = capsys.readouterr().out
    assert "1 rides were due" in told
    assert re.search(r"\b[12] hours of demand counted", told)  # two, if a full hour was in the 91 seconds
    assert booking().status == Status.UNFULFILLED


def test_the_command_needs_redis():
    with pytest.raises(CommandError, match="REDIS_URL"):
        call_command("dispatcher")


def test_a_server_without_dispatcher_and_redis_does_not_start():
    ended = forks.manage(os.environ | {"CARECONNECT_DISPATCHER": "no"}, "check")
    assert ended.returncode != 0
    assert "mobility.E002" in ended.stdout


def test_a_lock_taken_by_the_sweep_ends_with_it(make_asked, search, wait):
    make_asked()
    search()
    wait(5)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM (SELECT FROM mobility_booking FOR UPDATE NOWAIT) held")
    assert DriverLocation.objects.count() == 1


def test_settings_decide_the_times(make_asked, search, wait, settings):
    settings.MOBILITY = replace(settings.MOBILITY, search_timeout_s=10.0, offer_ttl_s=5.0, delivery_timeout_s=1.0)
    driver = make_asked()
    search()
    mark_delivered(driver.pk, Offer.objects.get().pk)
    wait(5.1)
    assert offers()[driver.pk] == ("expired", None)
