"""What not even the owner of the tables can do, and what holds where no trigger does."""

import pytest

from mobility.bookings.states import LIVE
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


@pytest.mark.parametrize(
    ("status", "time"),
    [
        ("confirmed", "confirmed_at"), ("in_progress", "confirmed_at"), ("in_progress", "started_at"),
        ("completed", "confirmed_at"), ("completed", "started_at"), ("completed", "completed_at"),
        ("no_show", "confirmed_at"), ("no_show", "no_show_at"), ("unfulfilled", "unfulfilled_at"),
    ],
)  # fmt: skip
def test_a_booking_has_the_time_of_its_status(admin_url, status, time):
    """Each move writes its own; whoever stages one by hand has to as well."""
    driven = {"driver_id": "1", "offer_id": "1"} if status != "unfulfilled" else {}
    due = {} if status in LIVE else {"due_at": "NULL"}
    times = dict.fromkeys(("confirmed_at", "started_at", "completed_at", "no_show_at", "unfulfilled_at"), "now()")
    whole = driven | due | times | {"status": f"'{status}'"}
    assert attacked(admin_url, insert_booking(**whole), triggers=False) == ""
    stopped = attacked(admin_url, insert_booking(**whole | {time: "NULL"}), triggers=False)
    assert stopped == "booking_status_has_its_time"
