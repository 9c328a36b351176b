"""No race between people pressing buttons makes two truths: every order of the statements of two commands.

For each start state a list of commands, and every pair of them, each command also with itself. How many schedules a
pair has depends on how soon one of them locks the ride: some tens for most. The quick part has what the races of a ride
turn on; all other pairs, three commands, and reactions that take turns are in the slow part.
"""

import logging
from datetime import timedelta
from itertools import combinations_with_replacement
from types import SimpleNamespace
from uuid import uuid4

import psycopg
import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from mobility.bookings import services as bookings
from mobility.bookings.services import Actor
from mobility.bookings.states import ActorRole
from mobility.dispatch.dispatcher import sweep, sweep_next
from mobility.dispatch.driving import arrive_at_pickup, complete_ride, give_back_ride, report_no_show, start_ride
from mobility.dispatch.duty import connect_driver, go_offline, go_online
from mobility.dispatch.offers import RideRef, accept_offer, acknowledge_offer, decline_offer
from mobility.dispatch.services import assign_driver, cancel_ride, find_driver, offer_waiting_ride
from mobility.errors import Refusal
from mobility.models import Booking, Offer, Presence
from mobility.sql import sql as statement_of
from mobility.transactions import state_change
from tests.interleaver import Interleaver, reads_only_what_stays
from tests.put_back import kept

OPERATOR = Actor(None, ActorRole.OPERATOR)


@pytest.fixture(scope="module")
def interleaver(django_db_blocker, admin_url):
    with django_db_blocker.unblock():
        made = Interleaver(admin_url)
    yield made
    made.close()


@pytest.fixture
def as_superuser(admin_url):
    """as_superuser(statement): with the guards off."""

    def execute(statement):
        with psycopg.connect(admin_url) as admin:
            admin.execute("SET session_replication_role = replica")
            admin.execute(statement)

    return execute


@pytest.fixture
def world(committed_db, make_user, make_driver, ride_request, as_superuser):
    """Three connected drivers who want to be asked, and two passengers who have not asked yet."""

    def driver(n):
        made = make_driver(-26.2041 + 10 * n / 110_600, 28.0473, auto_accept=False)
        Presence.objects.create(driver=made, socket_id=uuid4(), lease_until=Now() + timedelta(hours=1))
        w.drivers.append(made.pk)
        w.users.append(made.user_id)

    w = SimpleNamespace(
        passenger=make_user().pk, other=make_user().pk, drivers=[], users=[], request=ride_request(), driver=driver,
        as_superuser=as_superuser,
    )  # fmt: skip
    for n in (1, 2, 3):
        driver(n)
    return w


# --- where it begins: whoever stands in a list of drivers is called by their number ------------------------------


def idle(w):
    w.driver(4)


def asked(w):
    """Three drivers are asked; a fourth came after that."""
    w.ride = find_driver(w.passenger, "r", w.request).booking_id
    w.ref = RideRef(booking_id=w.ride)
    w.driver(4)


def run_out(w, *drivers, delivered):
    asked(w)
    now, ago = Now(), timedelta(seconds=20)
    later = {} if not delivered else {"delivered_at": now - ago, "expires_at": now - timedelta(seconds=1)}
    Offer.objects.filter(driver_id__in=[w.drivers[n - 1] for n in drivers]).update(
        due_at=now - timedelta(seconds=1), **later
    )
    Booking.objects.update(due_at=now - timedelta(seconds=1))


def missed(w):
    run_out(w, 1, delivered=True)


def unheard(w):
    """Overdue for delivery, yet open: who accepts before the sweep comes has the ride."""
    run_out(w, 1, delivered=False)


def all_missed(w):
    run_out(w, 1, 2, 3, delivered=True)


def over(w):
    """The search has reached its limit; the offers, a moment longer than in truth, have not."""
    asked(w)
    w.as_superuser("UPDATE mobility_booking SET search_until = now() - interval '1 s', due_at = now() - interval '1 s'")


def unfulfilled(w):
    over(w)
    sweep()


def two_rides(w):
    """Another passenger's ride waits, because everybody near is being asked for the first one."""
    w.ride = find_driver(w.passenger, "r", w.request).booking_id
    w.ref = RideRef(booking_id=w.ride)
    w.other_ride = find_driver(w.other, "s", w.request).booking_id


def confirmed(w):
    asked(w)
    accept_offer(w.drivers[0], w.ref)


def long_ago(w, seconds):
    ago, one = f"interval '{seconds} s'", w.drivers[0]
    times = [f"{t} = {t} - {ago}" for t in ("requested_at", "search_started_at", "confirmed_at", "started_at")]
    w.as_superuser(
        f"UPDATE mobility_booking SET {', '.join(times)}, due_at = now() - interval '1 s';"
        f"UPDATE mobility_driver_location SET recorded_at = recorded_at - {ago}, received_at = received_at - {ago}"
        f" WHERE driver_id = {one};"
        f"UPDATE mobility_driver_presence SET seen_at = seen_at - {ago} WHERE driver_id = {one};"
        f"UPDATE mobility_ride_event SET occurred_at = occurred_at - {ago}"
    )


def lost(w):
    """Nothing was heard of the ride's driver for too long."""
    confirmed(w)
    long_ago(w, 300)


def arrived(w):
    """And the passenger did not come in time."""
    confirmed(w)
    arrive_at_pickup(w.ride, as_driver(w, 1), w.drivers[0])
    w.as_superuser("UPDATE mobility_booking SET no_show_from = now() - interval '1 s'")


def in_progress(w):
    confirmed(w)
    start_ride(w.ride, as_driver(w, 1), w.drivers[0])


def silent(w):
    in_progress(w)
    long_ago(w, 2000)


# --- what people press -------------------------------------------------------------------------------------------


def as_driver(w, n):
    return Actor(w.users[n - 1], ActorRole.DRIVER)


def driving(service):
    return lambda w: service(w.ride, as_driver(w, 1), w.drivers[0])


def answering(service, n):
    return lambda w: service(w.drivers[n - 1], w.ref)


def asking(passenger, ride_id):
    def ask(w):
        try:
            return find_driver(getattr(w, passenger), ride_id, w.request).status
        except Refusal as refusal:
            if refusal.code != "try_again":
                raise
            return find_driver(getattr(w, passenger), ride_id, w.request).status  # as the app does that is told so

    return ask


def swept(w):
    """What it returns says only whether another transaction was at the ride. That is looked at in the next tick."""
    sweep_next()


def next_tick():
    """The dispatcher comes by, as it does every moment: whatever a sweep passed over is swept then."""
    Booking.objects.filter(status="pending").update(due_at=Now())
    sweep()


COMMANDS = {
    "ask": asking("passenger", "r"),
    "ask otherwise": asking("passenger", "r2"),
    "other asks": asking("other", "s"),
    "cancel": lambda w: cancel_ride(w.ride, Actor(w.passenger, ActorRole.PASSENGER)),
    "other cancels": lambda w: cancel_ride(w.other_ride, Actor(w.other, ActorRole.PASSENGER)),
    "operator cancels": lambda w: cancel_ride(w.ride, OPERATOR),
    "assign 1": lambda w: assign_driver(w.ride, w.drivers[0], OPERATOR),
    "assign 4": lambda w: assign_driver(w.ride, w.drivers[3], OPERATOR),
    "sweep": swept,
    "accept": answering(accept_offer, 1),
    "2 accepts": answering(accept_offer, 2),
    "decline": answering(decline_offer, 1),
    "2 declines": answering(decline_offer, 2),
    "acknowledge": lambda w: acknowledge_offer(w.drivers[0], w.ref).booking_id,
    "give back": driving(give_back_ride),
    "arrive": driving(arrive_at_pickup),
    "start": driving(start_ride),
    "complete": driving(complete_ride),
    "operator completes": lambda w: complete_ride(w.ride, OPERATOR),
    "no-show": driving(report_no_show),
    "go offline": lambda w: go_offline(w.drivers[0]),
    "4 goes offline": lambda w: go_offline(w.drivers[3]),
    "4 is offered": lambda w: offer_waiting_ride(w.drivers[3]),
    "go online": lambda w: go_online(w.drivers[0], auto_accept=True),
    "reconnect": lambda w: connect_driver(w.drivers[0], uuid4()),
}
PRESSED = {
    idle: ["ask", "ask otherwise", "4 goes offline"],
    asked: [
        "accept", "2 accepts", "cancel", "operator cancels", "assign 1", "assign 4", "decline", "acknowledge",
        "go offline", "ask", "ask otherwise", "4 is offered",
    ],
    unfulfilled: ["ask", "cancel", "operator cancels", "assign 4", "accept", "go offline"],
    confirmed: [
        "give back", "cancel", "operator cancels", "assign 1", "assign 4", "arrive", "start", "complete", "accept",
        "2 accepts", "go offline",
    ],
    arrived: ["no-show", "start", "cancel", "give back", "assign 4", "go offline"],
    in_progress: [
        "complete", "operator completes", "operator cancels", "cancel", "give back", "assign 4", "accept", "start",
    ],
}  # fmt: skip
SWEPT = {
    missed: ["sweep", "accept", "2 accepts", "2 declines", "cancel", "assign 4", "go offline", "ask", "acknowledge"],
    unheard: ["sweep", "accept", "2 accepts", "2 declines", "cancel", "assign 1", "go offline", "ask", "acknowledge"],
    all_missed: [
        "sweep",
        "accept",
        "2 declines",
        "cancel",
        "assign 4",
        "4 is offered",
        "4 goes offline",
        "acknowledge",
    ],
    over: ["sweep", "accept", "2 declines", "cancel", "assign 4", "go offline", "ask", "acknowledge"],
    lost: ["sweep", "give back", "cancel", "assign 4", "arrive", "start", "accept", "go offline"],
    silent: ["sweep", "complete", "operator completes", "operator cancels"],
}
# Commands that hardly touch what the others lock, so that a pair has up to thousands of orders. Of these, and of three
# commands, the slow part takes some by chance; with EVERY_ORDER=yes all.
AT_MOST = 120
LOOSE = {
    idle: {"4 goes offline", "other asks"},
    asked: {"ask otherwise", "4 is offered"},
    unfulfilled: {"accept", "go offline"},
    confirmed: {"go offline"},
    arrived: {"go offline"},
    unheard: {"acknowledge"},
    all_missed: {"acknowledge", "4 is offered", "4 goes offline"},
    lost: {"go offline"},
}
PAIRS = [(start, *pair) for start, pressed in PRESSED.items() for pair in combinations_with_replacement(pressed, 2)]
PAIRS += [(idle, "ask", "other asks")]
PAIRS += [(start, "sweep", other) for start, others in SWEPT.items() for other in others]
MANY = [(start, *pair) for start, *pair in PAIRS if LOOSE.get(start, set()) & set(pair)] + [(lost, "sweep", "sweep")]
FEW = [pair for pair in PAIRS if pair not in MANY]
# The quick part: these against every other command, or those that are named.
_IN_QUICK_PART = {asked: {"accept"}, in_progress: {"complete"}}
QUICK = [(start, *pair) for start, *pair in FEW if _IN_QUICK_PART.get(start, set()) & set(pair)]
QUICK += [(over, "sweep", "accept"), (over, "sweep", "cancel"), (missed, "sweep", "accept")]
QUICK += [(confirmed, "give back", other) for other in ("cancel", "assign 4", "start", "complete")]
assert set(QUICK) <= set(FEW)


SEEN = {
    "rides": "SELECT b.ride_id, b.status, b.driver_id, b.seq, b.cancelled_by, b.releases, b.arrived_at IS NOT NULL,"
    " b.attention_since IS NOT NULL, o.origin FROM mobility_booking b LEFT JOIN mobility_offer o ON o.id = b.offer_id"
    " ORDER BY b.ride_id",
    "offers": "SELECT b.ride_id, o.driver_id, o.status, o.reason, o.origin, o.delivered_at IS NOT NULL"
    " FROM mobility_offer o JOIN mobility_booking b ON b.id = o.booking_id ORDER BY b.ride_id, o.driver_id, o.id",
    "drivers": "SELECT id, status, auto_accept, missed_offers, total_rides FROM mobility_driver ORDER BY id",
    "log": "SELECT b.ride_id, e.seq, e.event, e.from_status, e.to_status, e.actor_id, e.actor_role, e.payload::text"
    " FROM mobility_ride_event e JOIN mobility_booking b ON b.id = e.booking_id ORDER BY b.ride_id, e.seq",
    "inbox": "SELECT i.driver_id, i.seq, i.kind, i.reason, b.ride_id FROM mobility_driver_inbox i"
    " LEFT JOIN mobility_booking b ON b.id = i.booking_id ORDER BY i.driver_id, i.seq",
}


def observed(statements=SEEN):
    """What there is in the end, without the numbers of what was made on the way."""
    with connection.cursor() as cursor:
        return {name: cursor.execute(statement).fetchall() for name, statement in statements.items()}


@pytest.fixture
def run(world, interleaver, admin_url, request, record_property, caplog):
    """run(start, *commands): every schedule, from where `start` left the world; each must be a serial one."""
    caplog.set_level(logging.WARNING)

    def explore(start, *others, serial=True, **options):
        start(world)
        with kept(admin_url) as restore:
            for names in others:
                report = interleaver.explore(
                    " / ".join(names), [lambda name=name: COMMANDS[name](world) for name in names], restore, observed,
                    finish=next_tick if "sweep" in names else None, **options,
                )  # fmt: skip
                record_property(report.name, report.schedules)
                if not serial:
                    report.odd = [p for p in report.odd if p.broken or "failed" in str(p.outcome[0])]
                report.check(request.node.nodeid)

    return explore


def grouped(pairs):
    """A test for each start and first command: putting the database back is cheaper than another test."""
    groups = {}
    for start, one, other in pairs:
        groups.setdefault((start, one), []).append(other)
    return pytest.mark.parametrize(
        ("start", "one", "others"),
        [pytest.param(*key, others, id=f"{key[0].__name__}-{key[1]}") for key, others in groups.items()],
    )


def test_only_what_no_command_changes_is_read_without_a_turn():
    assert reads_only_what_stays(statement_of("areas/sql/area_of"))
    for name in ("bookings/sql/request_ride", "dispatch/sql/nearest", "dispatch/sql/lock_drivers"):
        assert not reads_only_what_stays(statement_of(name))
    assert not reads_only_what_stays("SELECT 1")


@grouped(QUICK)
def test_two_commands_come_out_as_one_after_the_other(start, one, others, run):
    run(start, *[(one, other) for other in others])


@pytest.mark.slow
@pytest.mark.timeout(1800)
@grouped([pair for pair in FEW if pair not in QUICK])
def test_all_other_pairs_do_too(start, one, others, run):
    # One has as many orders as all the others of its start: two who ask again for a ride that nobody was found for.
    run(start, *[(one, other) for other in others], at_most=5 * AT_MOST)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@grouped(MANY)
def test_many_schedules_of_two_commands(start, one, others, run):
    run(start, *[(one, other) for other in others], at_most=AT_MOST)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("start", "one", "other"), [
        (asked, "accept", "cancel"), (asked, "accept", "assign 4"), (confirmed, "give back", "cancel"),
        (confirmed, "give back", "2 accepts"), (two_rides, "accept", "other cancels"), (two_rides, "decline", "cancel"),
        (two_rides, "cancel", "other cancels"),
    ],
)  # fmt: skip
def test_what_freed_drivers_are_asked_is_serial_too(start, one, other, run):
    # That one pair has thousands of orders, more than all the others.
    some = 5 * AT_MOST if (one, other) == ("accept", "assign 4") else None
    run(start, (one, other), reactions_take_turns=True, at_most=some)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("start", "one", "other"),
    [(in_progress, "complete", "other asks"), (unheard, "sweep", "reconnect"), (unfulfilled, "ask", "go online")],
)
def test_whom_a_search_asks_is_chance_but_nothing_breaks(start, one, other, run):
    """A driver who becomes free while a search is choosing is seen or not, and passed over while their row is locked.

    So the wave may be one that no serial order has. What is written about it is whole in any case.
    """
    run(start, (one, other), serial=False, at_most=3 * AT_MOST)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("third", ["cancel", "2 accepts", "decline", "assign 4"])
def test_three_commands_come_out_as_one_after_the_other(third, run):
    run(asked, ("accept", "operator cancels", third), at_most=4 * AT_MOST)


# --- the machine itself ------------------------------------------------------------------------------------------


@pytest.fixture
def scratch(committed_db, as_superuser, admin_url, interleaver):
    """scratch(one, other): the report on two commands on a table of seats that nothing guards."""
    as_superuser("CREATE TABLE scratch (id int PRIMARY KEY, taken_by text)")
    as_superuser("GRANT SELECT, UPDATE ON scratch TO careconnect_app")

    def restore():
        as_superuser("TRUNCATE scratch; INSERT INTO scratch VALUES (1, NULL), (2, NULL)")

    yield lambda *commands: interleaver.explore(
        "one / other", commands, restore, lambda: observed({"seats": "SELECT * FROM scratch ORDER BY id"})
    )
    as_superuser("DROP TABLE scratch")


def sql(statement, *params):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else cursor.rowcount


@transaction.atomic
def naive_accept(who):
    """Look, then act: what every tutorial does."""
    if sql("SELECT taken_by FROM scratch WHERE id = 1") != [(None,)]:
        raise Refusal("ride_taken")
    sql("UPDATE scratch SET taken_by = %s WHERE id = 1", who)
    return "yours"


@transaction.atomic
def guarded_accept(who):
    if not sql("UPDATE scratch SET taken_by = %s WHERE id = 1 AND taken_by IS NULL", who):
        raise Refusal("ride_taken")
    return "yours"


def test_the_machine_sees_two_truths_of_a_naive_accept(scratch):
    report = scratch(lambda: naive_accept("one"), lambda: naive_accept("other"))
    # Both look before either has committed, whoever writes first.
    assert [played.outcome[0] for played in report.odd] == [["yours", "yours"]] * len(report.odd)
    assert "AB" in {played.turns[:2] for played in report.odd}
    assert 0 < len(report.odd) < report.schedules
    with pytest.raises(AssertionError, match=r"REPLAY='one / other [AB]+' pytest -s 'here'"):
        report.check("here")


def test_a_schedule_can_be_run_again_alone(scratch, monkeypatch):
    odd = scratch(lambda: naive_accept("one"), lambda: naive_accept("other")).odd[-1]
    monkeypatch.setenv("REPLAY", f"one / other {odd.turns}")
    again = scratch(lambda: naive_accept("one"), lambda: naive_accept("other"))
    assert again.schedules == 1
    assert (again.odd[0].turns, again.odd[0].trace, again.odd[0].outcome) == (odd.turns, odd.trace, odd.outcome)


def test_the_machine_finds_nothing_in_a_guarded_accept(scratch):
    report = scratch(lambda: guarded_accept("one"), lambda: guarded_accept("other"))
    assert report.odd == []
    assert {str(answers) for answers, _ in report.serial.values()} == {
        "['yours', 'refused: ride_taken']", "['refused: ride_taken', 'yours']",
    }  # fmt: skip


def test_two_times_four_statements_have_seventy_orders(scratch):
    @transaction.atomic
    def reads():
        return [sql("SELECT count(*) FROM scratch") for _ in range(3)]

    assert scratch(reads, reads).schedules == 70


def test_whoever_is_the_victim_of_a_deadlock_starts_over(scratch):
    def takes(who, *seats):
        @state_change
        def take():
            for seat in seats:
                sql("UPDATE scratch SET taken_by = concat(taken_by, %s) WHERE id = %s", who, seat)

        return take

    report = scratch(takes("a", 1, 2), takes("b", 2, 1))
    assert report.odd == []
    assert report.schedules > 6


def test_the_machine_sees_that_a_lock_is_missing(world, interleaver, admin_url, monkeypatch):
    """The database refuses what comes of it, so there are no two truths; but somebody's answer is one of no order."""
    monkeypatch.setattr(bookings, "locked", lambda booking_id: Booking.objects.get(pk=booking_id))
    asked(world)
    pressed = [lambda name=name: COMMANDS[name](world) for name in ("cancel", "operator cancels")]
    with kept(admin_url) as restore:
        report = interleaver.explore("cancel / operator cancels", pressed, restore, observed)
    assert report.odd
    assert not any(played.broken for played in report.odd)
