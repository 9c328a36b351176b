"""The fault machine itself: it sees every call, and it notices what it is there to notice."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import F

from mobility.models import Driver
from mobility.transactions import state_change
from tests.dispatch import test_interleavings as races
from tests.faults.nth_call import Moment, Snapshot, differences
from tests.faults.wire import DEAD, DEADLOCK, FAULTS, LOCK_TIMEOUT, LOST, Fault


def ride_more(driver_id):
    Driver.objects.filter(pk=driver_id).update(total_rides=F("total_rides") + 1)


def to_seven(driver_id):
    Driver.objects.filter(pk=driver_id).update(total_rides=7)


def two_halves(w):
    to_seven(w.drivers[0])
    to_seven(w.drivers[1])


@pytest.fixture
def idle(world, machine):
    """idle(command): the command, to be failed on a world where nothing has happened."""
    made = machine(races.idle)
    return lambda command, fault, **options: made.fail_each(lambda: command(world), fault, **options)


def test_every_statement_and_the_ends_of_transactions_are_calls(idle):
    @transaction.atomic
    def command(w):
        two_halves(w)
        with transaction.atomic():
            to_seven(w.drivers[2])
        Driver.objects.bulk_create([])

    said = [call.split()[0] for call in idle(command, LOCK_TIMEOUT)]
    assert said == ["BEGIN", "UPDATE", "UPDATE", "SAVEPOINT", "UPDATE", "RELEASE", "COMMIT"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_whole_transaction_passes(fault, idle):
    assert len(idle(state_change(two_halves), fault)) == 4


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if not fault.retried], ids=lambda fault: fault.name)
def test_two_updates_that_commit_by_themselves_are_noticed(fault, idle):
    with pytest.raises(AssertionError, match=r"call [12] .*neither nothing nor all of it was done: \['mobility_driver"):
        idle(two_halves, fault)


def test_a_deadlock_that_is_not_retried_is_noticed(idle):
    with pytest.raises(AssertionError, match=r"call 2 \(deadlock: UPDATE.*told \('failed', 'try_again'\)"):
        idle(transaction.atomic(two_halves), DEADLOCK)


def test_a_command_that_counts_twice_is_noticed(idle):
    """All or nothing, but not the same again: only a COMMIT whose answer is lost shows it."""
    command = state_change(lambda w: ride_more(w.drivers[0]))
    with pytest.raises(AssertionError, match="the same again"):
        idle(command, LOST, only="COMMIT")


def test_a_failure_that_is_swallowed_is_noticed(idle):
    def command(w):
        try:
            state_change(two_halves)(w)
        except OperationalError:
            return

    with pytest.raises(AssertionError, match=r"told \('answered', None\), not \('failed', 'unavailable'\)"):
        idle(command, DEAD)


def test_an_error_without_an_answer_is_noticed(idle):
    with pytest.raises(AssertionError, match="no answer to DataError"):
        idle(state_change(two_halves), Fault("a fault of ours", "unavailable", "22012"))


def test_a_transaction_left_open_is_noticed(idle):
    def command(w):
        connection.set_autocommit(False)
        two_halves(w)
        connection.commit()
        connection.set_autocommit(True)

    with pytest.raises(AssertionError, match="a transaction is left open"):
        idle(command, LOCK_TIMEOUT)


BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def due(seconds, took, began=BEGAN):
    after = timedelta(seconds=seconds)
    return Snapshot({"mobility_offer": [{"due_at": Moment(began + after, after)}]}, timedelta(seconds=took))


def test_times_differ_by_no_more_than_a_run_took():
    begun_later = BEGAN + timedelta(minutes=1)
    assert differences(due(10, took=0), due(40, took=30, began=begun_later)) == []
    assert differences(due(40, took=30), due(10, took=0, began=begun_later)) == []
    assert len(differences(due(10, took=0), due(40, took=1, began=begun_later))) == 1


def test_a_time_that_was_given_to_both_is_the_same():
    assert differences(due(70, took=0), due(10, took=0, began=BEGAN + timedelta(minutes=1))) == []
