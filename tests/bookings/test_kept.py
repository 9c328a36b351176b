"""What not even the owner of the tables can do, and what holds where no trigger does."""

import pytest

from tests.bookings.test_guards import insert_booking, log_row
from tests.staged import attacked

STAGED = [insert_booking(id="1"), log_row(1, 1, "ride_requested", "", "pending")]


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("DELETE FROM mobility_ride_event", "ride_event_append_only"),
        ("UPDATE mobility_ride_event SET seq = seq + 1", "ride_event_append_only"),
        ("UPDATE mobility_ride_event SET payload = '{}'", "ride_event_append_only"),
        ("DELETE FROM mobility_booking", "booking_is_kept"),
    ],
    ids=["delete-log", "renumber-log", "rewrite-log", "delete-booking"],
)
def test_even_the_owner_cannot_delete_a_booking_or_rewrite_the_log(admin_url, statement, constraint):
    assert attacked(admin_url, statement, staged=STAGED, role="careconnect_owner") == constraint


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"status": "'flying'", "due_at": "NULL"}, "booking_status_is_known"),
        ({"seq": "-1"}, "mobility_booking_seq_check"),
    ],
    ids=["status", "seq"],
)
def test_behind_the_guard_of_bookings_stand_checks(admin_url, changes, constraint):
    """The guard refuses these first; the checks would, were it ever away."""
    assert attacked(admin_url, insert_booking(**changes), triggers=False) == constraint
