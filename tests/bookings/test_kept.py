"""What not even the owner of the tables can do."""

import psycopg
import pytest

from mobility.bookings.models import Booking
from mobility.dispatch.services import find_driver


def test_even_the_owner_cannot_delete_a_booking_or_rewrite_the_log(committed_db, admin_url, ride_request):
    find_driver(None, "kept", ride_request())
    with psycopg.connect(admin_url, autocommit=True) as admin:
        for statement, constraint in (
            ("DELETE FROM mobility_ride_event", "ride_event_append_only"),
            ("UPDATE mobility_ride_event SET seq = seq + 1", "ride_event_append_only"),
            ("DELETE FROM mobility_booking", "booking_is_kept"),
        ):
            with pytest.raises(psycopg.errors.CheckViolation) as stopped:
                admin.execute(statement)
            assert stopped.value.diag.constraint_name == constraint
    assert Booking.objects.count() == 1
