"""A command that its client named: one effect, one answer, whoever sends it how often and when."""

import asyncio
import threading

import psycopg
import pytest
from django.db import connection, transaction

from mobility import server
from mobility.commands import services
from mobility.commands.services import NOT_REMEMBERED, Wanted, forget_old_commands, once
from mobility.errors import ANSWERS, Refusal
from mobility.models import Booking, Command, Driver
from tests.bookings.test_guards import insert_booking
from tests.dispatch.test_contention import at_once

pytestmark = pytest.mark.usefixtures("committed_db")
PIZZA = Wanted("user.1", "c1", "d" * 64)


def worded(refusal):
    return {"refused": refusal.code}


def missed(driver_id, fails=None):
    """Work that counts one missed request more, and then fails if it is told to."""

    def work():
        driver = Driver.objects.select_for_update().get(pk=driver_id)
        Driver.objects.filter(pk=driver_id).update(missed_offers=driver.missed_offers + 1)
        if fails:
            raise fails
        return {"missed": driver.missed_offers + 1}

    return work


def counted():
    return Driver.objects.values_list("missed_offers", flat=True).get()


@pytest.fixture
def driver_id(make_driver):
    return make_driver(0, 0).pk


def test_the_same_command_again_gives_the_same_answer_and_does_nothing(driver_id):
    first = once(PIZZA, missed(driver_id), worded)
    assert first == {"missed": 1}
    assert [once(PIZZA, missed(driver_id), worded) for _ in range(3)] == [first] * 3
    assert counted() == 1


def test_sent_ten_times_at_once_it_is_done_once(driver_id):
    assert at_once(10, lambda _: once(PIZZA, missed(driver_id), worded)) == [{"missed": 1}] * 10
    assert counted() == 1


def test_other_people_and_other_ids_are_other_commands(driver_id):
    for wanted in (PIZZA, PIZZA._replace(principal="user.2"), PIZZA._replace(command_id="c2")):
        once(wanted, missed(driver_id), worded)
    assert counted() == 3


def test_other_content_under_a_used_id_is_refused_and_does_nothing(driver_id):
    once(PIZZA, missed(driver_id), worded)
    with pytest.raises(Refusal) as refusal:
        once(PIZZA._replace(digest="e" * 64), missed(driver_id), worded)
    assert refusal.value.code == "command_id_reused"
    assert counted() == 1
    assert once(PIZZA, missed(driver_id), worded) == {"missed": 1}


def test_a_refusal_is_an_answer_too_and_its_effects_are_taken_back(driver_id):
    assert once(PIZZA, missed(driver_id, Refusal("ride_over")), worded) == {"refused": "ride_over"}
    assert once(PIZZA, missed(driver_id), worded) == {"refused": "ride_over"}
    assert counted() == 0


def test_what_the_database_refuses_is_remembered_by_its_business_answer(driver_id, make_user):
    passenger_id = make_user().pk
    Booking.objects.all()

    def ask_twice():
        with connection.cursor() as cursor:
            for ride_id in ("'a'", "'b'"):
                cursor.execute(insert_booking(passenger_id=str(passenger_id), ride_id=ride_id))
        return {}

    assert once(PIZZA, ask_twice, worded) == {"refused": "live_ride_exists"}
    assert once(PIZZA, missed(driver_id), worded) == {"refused": "live_ride_exists"}
    assert (Booking.objects.count(), counted()) == (0, 0)


@pytest.mark.parametrize("code", sorted(NOT_REMEMBERED))
def test_answers_that_say_nothing_about_the_command_are_not_remembered(driver_id, code):
    assert code in ANSWERS
    with pytest.raises(Refusal) as refusal:
        once(PIZZA, missed(driver_id, Refusal(code)), worded)
    assert refusal.value.code == code
    assert counted() == 0
    assert once(PIZZA, missed(driver_id), worded) == {"missed": 1}


def test_a_fault_leaves_nothing_behind(driver_id):
    with pytest.raises(ZeroDivisionError):
        once(PIZZA, missed(driver_id, ZeroDivisionError()), worded)
    assert (counted(), Command.objects.count()) == (0, 0)
    assert not transaction.get_connection().in_atomic_block


def test_a_commit_that_is_refused_leaves_no_answer(driver_id):
    """The checks at commit come after the answer was written: both go, or both stay."""

    def busy_without_ride():
        Driver.objects.filter(pk=driver_id).update(status="busy")
        return {"done": True}

    with pytest.raises(Exception, match="driver_busy"):
        once(PIZZA, busy_without_ride, worded)
    assert Command.objects.count() == 0


def test_the_victim_of_a_deadlock_starts_over_and_counts_once(driver_id, admin_url):
    """What the first try did is gone with it, its answer too."""
    tries = []

    def work():
        answer = missed(driver_id)()
        tries.append(answer)
        if len(tries) == 1:
            with connection.cursor() as cursor:
                cursor.execute("DO $$BEGIN RAISE EXCEPTION 'victim' USING ERRCODE = '40P01'; END$$")
        return answer

    assert once(PIZZA, work, worded) == {"missed": 1}
    assert (len(tries), counted(), Command.objects.count()) == (2, 1, 1)


def test_who_repeats_waits_for_who_was_first(driver_id):
    inside, go_on = threading.Event(), threading.Event()

    def slow():
        inside.set()
        assert go_on.wait(10)
        return missed(driver_id)()

    def do(i):
        if i == 0:
            return once(PIZZA, slow, worded)
        assert inside.wait(10)
        threading.Timer(0.2, go_on.set).start()
        return once(PIZZA, missed(driver_id), worded)

    assert at_once(2, do) == [{"missed": 1}] * 2


def answered_long_ago(driver_id, admin_url, ids, old):
    """Commands of these ids, some of which were answered eight days ago."""
    for command_id in ids:
        once(PIZZA._replace(command_id=command_id), missed(driver_id), worded)
    with psycopg.connect(admin_url) as admin:
        admin.execute("SET session_replication_role = replica")
        admin.execute(
            "UPDATE mobility_command SET made_at = now() - interval '8 days' WHERE command_id = ANY(%s)", [old]
        )


def test_old_answers_are_forgotten_and_young_ones_kept(driver_id, admin_url):
    answered_long_ago(driver_id, admin_url, ["c0", "c1", "c2"], ["c0", "c1"])
    assert forget_old_commands() == 2
    assert list(Command.objects.values_list("command_id", flat=True)) == ["c2"]
    assert forget_old_commands() == 0


def test_the_server_forgets_all_that_are_old_in_turns(driver_id, admin_url, monkeypatch):
    monkeypatch.setattr(services, "AT_ONCE", 2)
    ids = [f"c{n}" for n in range(7)]
    answered_long_ago(driver_id, admin_url, ids, ids[:6])
    asyncio.run(server._tidy_tick())
    assert list(Command.objects.values_list("command_id", flat=True)) == ["c6"]
