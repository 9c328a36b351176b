"""Every pair of states: a ride moves only as the table says, and one that is over does not move at all."""

import pytest

from mobility.bookings.states import LIVE, MOVES, TERMINAL, WITHOUT_DRIVER, Status
from tests.bookings.test_guards import insert_booking
from tests.staged import attacked

ALLOWED = {(move.source, move.target) for move in MOVES}
PAIRS = [(source, target) for source in Status.values for target in Status.values if source != target]


def standing(status: str) -> str:
    """An INSERT of booking 1 in this state, whatever came before."""
    bound = "NULL" if status in WITHOUT_DRIVER else "1"
    cancelled = status == Status.CANCELLED
    times = ("confirmed_at", "started_at", "completed_at", "no_show_at", "unfulfilled_at")
    return insert_booking(
        **({} if status in {Status.PENDING, Status.SCHEDULED} else dict.fromkeys(times, "now()")), id="1",
        status=f"'{status}'", driver_id=bound, offer_id=bound, due_at="now()" if status in LIVE else "NULL",
        cancelled_at="now()" if cancelled else "NULL", cancelled_by="'operator'" if cancelled else "NULL",
    )  # fmt: skip


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_a_ride_moves_only_as_the_table_says(admin_url, source, target):
    move = f"UPDATE mobility_booking SET status = '{target}', seq = seq + 1 WHERE id = 1"
    stopped = attacked(admin_url, move, staged=[standing(source)])
    if source in TERMINAL:
        assert stopped == "booking_terminal_is_final"
    elif (source, target) not in ALLOWED:
        assert stopped == "booking_move_allowed"
    else:  # other rules may ask for more than the state alone
        assert stopped not in {"booking_move_allowed", "booking_terminal_is_final"}


@pytest.mark.parametrize("status", Status.values)
def test_a_ride_begins_only_as_the_table_says(admin_url, status):
    stopped = attacked(admin_url, standing(status))
    assert stopped == ("" if ("", status) in ALLOWED else "booking_move_allowed")
