"""Refusals: each code has one meaning, and each constraint a person can run into has an answer."""

import pytest
from django.db import DatabaseError, connection, transaction

from mobility.errors import ANSWERS, CONSTRAINTS, Refusal, refusal_for
from mobility.models import Booking
from tests.bookings.test_guards import bound, insert_booking, offered

pytestmark = pytest.mark.django_db


def test_every_code_has_a_sentence_and_a_status():
    for code, answer in ANSWERS.items():
        assert answer.sentence.endswith("."), code
        assert 400 <= answer.http_status < 600, code


def test_every_constraint_answer_is_a_code():
    assert set(CONSTRAINTS.values()) <= set(ANSWERS)


def test_every_named_constraint_exists():
    """As a constraint or index in the catalog, or raised by name in a guard."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname FROM pg_constraint UNION SELECT indexrelid::regclass::text FROM pg_index"
            " UNION SELECT m[1] FROM pg_proc, regexp_matches(prosrc, 'CONSTRAINT = ''(\\w+)''', 'g') m"
            " WHERE pronamespace = 'public'::regnamespace"
        )
        known = {name for (name,) in cursor.fetchall()}
    assert set(CONSTRAINTS) <= known


def provoke(*statements) -> Refusal | None:
    with pytest.raises(DatabaseError) as stopped, transaction.atomic(), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    return refusal_for(stopped.value)


@pytest.fixture
def ride(make_user, make_driver, ride_request):
    from mobility.dispatch.services import find_driver

    make_driver(-26.2041, 28.0473)
    return Booking.objects.get(pk=find_driver(make_user().pk, "r1", ride_request()).booking_id)


def test_each_constraint_becomes_its_answer(ride, make_user, make_driver, ride_request):
    from mobility.bookings.services import SYSTEM, Actor
    from mobility.bookings.states import ActorRole
    from mobility.dispatch.services import cancel_ride, find_driver

    other = make_driver(10, 10)
    waiting = find_driver(other.user_id, "own", ride_request())
    asked = make_driver(20, 20)
    ask = offered(waiting.booking_id, asked.pk, "pending")
    find_driver(None, "guest", ride_request())
    over = find_driver(make_user().pk, "over", ride_request()).booking_id
    cancel_ride(over, Actor(None, ActorRole.OPERATOR))
    phone, username = make_user().phone, make_user().username
    user = "INSERT INTO mobility_user (password, is_superuser, username, first_name, last_name, email, is_staff,"
    user += (
        " is_active, date_joined, phone, roles) VALUES ('', false, '{}', '', '', '', false, true, now(), '{}', '{{}}')"
    )
    bind = "UPDATE mobility_booking SET status = '{}', seq = seq + 1, driver_id = {} WHERE id = {}"
    provoked = {
        "booking_one_per_passenger_and_ride_id": [
            insert_booking(passenger_id=str(waiting_passenger(over)), ride_id="'over'")
        ],
        "booking_one_live_per_passenger": [insert_booking(passenger_id=str(ride.passenger_id), ride_id="'x'")],
        "booking_one_open_per_guest_ride_id": [insert_booking(ride_id="'guest'")],
        "booking_one_live_per_driver": [
            offered(waiting.booking_id, ride.driver_id),
            bound(waiting.booking_id, ride.driver_id),
        ],
        "offer_one_live_per_driver": [ask, ask],
        "offer_only_to_free_driver": [
            ask,
            f"UPDATE mobility_driver SET status = 'offline' WHERE id = {asked.pk}",
        ],
        "offer_one_accepted_per_ride": [offered(ride.pk, asked.pk)],
        "offer_not_after_expiry": [
            offered(waiting.booking_id, asked.pk, "pending", expires_at="now()"),
            "UPDATE mobility_offer SET status = 'accepted', settled_at = now() WHERE status = 'pending'",
        ],
        "offer_not_own_ride": [offered(waiting.booking_id, other.pk)],
        "booking_terminal_is_final": [bind.format("pending", "NULL", over)],
        "booking_move_allowed": [bind.format("no_show", "driver_id", waiting.booking_id)],
        "booking_not_own_driver": [bind.format("confirmed", f"{other.pk}, offer_id = 1", waiting.booking_id)],
        "driver_busy_while_bound": [f"UPDATE mobility_driver SET status = 'offline' WHERE id = {ride.driver_id}"],
        "mobility_user_phone_key": [user.format("new-one", phone)],
        "mobility_user_username_key": [user.format(username, "+27821112223")],
    }
    assert set(provoked) == set(CONSTRAINTS)
    for constraint, statements in provoked.items():
        refusal = provoke(*statements)
        assert refusal is not None, constraint
        assert refusal.code == CONSTRAINTS[constraint], constraint
    assert SYSTEM.user_id is None


def waiting_passenger(booking_id: int) -> int | None:
    return Booking.objects.get(pk=booking_id).passenger_id


def test_an_unknown_constraint_is_our_fault_and_has_no_answer():
    assert provoke(insert_booking(distance_m="-1")) is None


def test_a_lock_timeout_says_try_again(ride):
    assert provoke("DO $$ BEGIN RAISE lock_not_available; END $$").code == "try_again"
