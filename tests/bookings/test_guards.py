"""What the database itself forbids: each wall is attacked with raw SQL, as the application's role."""

import re

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from mobility.bookings.models import Booking, RideEvent
from mobility.bookings.services import SYSTEM, Actor
from mobility.bookings.states import MOVES, ActorRole, Status
from mobility.dispatch.driving import complete_ride, start_ride
from mobility.dispatch.services import cancel_ride, find_driver
from mobility.models import Driver, DriverLocation

pytestmark = pytest.mark.django_db

PICKUP = "ST_SetSRID(ST_MakePoint(28.0473, -26.2041), 4326)"
BOOKING_COLUMNS = {
    "ride_id": "'raw'", "passenger_id": "NULL", "passenger_phone": "''", "driver_id": "NULL", "status": "'pending'",
    "seq": "1", "pickup": PICKUP, "pickup_address": "''", "dropoff": PICKUP, "dropoff_address": "''", "notes": "''",
    "distance_m": "1", "distance_origin": "'geodesic'", "fare_minor": "NULL", "fare_currency": "'ZAR'",
    "fare_origin": "'none'", "request_digest": "''", "cancellation_reason": "''",
}  # fmt: skip


def insert_booking(**changes: str) -> str:
    """An INSERT as somebody with psql would write it; values are SQL."""
    columns = BOOKING_COLUMNS | changes
    return f"INSERT INTO mobility_booking ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"


def named(value: object) -> str | None:
    """The id of a case in the tests' names: the columns it changes."""
    if isinstance(value, dict):
        return " ".join(value)
    return str(value).split(" = ")[0] if " = " in str(value) else None


def settle() -> None:
    """Let the checks that wait for the commit come now: what follows then answers for itself alone."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def refused(*statements: str) -> str:
    """Run the statements in one transaction up to its commit checks; the constraint or message that stopped them."""
    settle()
    with pytest.raises(DatabaseError) as stopped, transaction.atomic(), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    cause = stopped.value.__cause__
    return cause.diag.constraint_name or str(cause).splitlines()[0]


@pytest.fixture
def ride(make_user, make_driver, ride_request):
    """A confirmed ride; its booking."""
    make_driver(-26.2041, 28.0473)
    outcome = find_driver(make_user().pk, "r1", ride_request())
    return Booking.objects.get(pk=outcome.booking_id)


@pytest.fixture
def finished(ride):
    """The same, completed."""
    start_ride(ride.pk, SYSTEM)
    complete_ride(ride.pk, SYSTEM)
    ride.refresh_from_db()
    return ride


def test_a_plain_booking_with_its_log_row_is_accepted():
    with connection.cursor() as cursor:
        cursor.execute(insert_booking() + " RETURNING id")
        booking_id = cursor.fetchone()[0]
        cursor.execute(
            "INSERT INTO mobility_ride_event (booking_id, seq, event, from_status, to_status, actor_role, payload)"
            " VALUES (%s, 1, 'ride_requested', '', 'pending', 'passenger', '{}')",
            [booking_id],
        )
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert Booking.objects.filter(pk=booking_id).exists()


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"status": "'flying'"}, "booking_move_allowed"),
        ({"status": "'confirmed'"}, "booking_move_allowed"),
        ({"status": "'completed'"}, "booking_move_allowed"),
        ({"seq": "2"}, "booking_move_allowed"),
        ({"ride_id": "'a/b'"}, "booking_ride_id_is_plain"),
        ({"ride_id": "''"}, "booking_ride_id_is_plain"),
        ({"fare_minor": "-1", "fare_origin": "'client'"}, "booking_fare_not_negative"),
        ({"fare_minor": "100"}, "booking_fare_has_origin"),
        ({"fare_origin": "'client'"}, "booking_fare_has_origin"),
        ({"distance_m": "'NaN'"}, "booking_distance_is_sane"),
        ({"distance_m": "'Infinity'"}, "booking_distance_is_sane"),
        ({"distance_m": "-1"}, "booking_distance_is_sane"),
        ({"duration_s": "'NaN'"}, "booking_duration_is_sane"),
        ({"pickup": "ST_SetSRID(ST_MakePoint(200, 0), 4326)"}, "booking_pickup_on_earth"),
        ({"pickup": "ST_SetSRID(ST_MakePoint(28, 91), 4326)"}, "booking_pickup_on_earth"),
        ({"pickup": "ST_SetSRID(ST_MakePoint('NaN', 0), 4326)"}, "booking_pickup_on_earth"),
        ({"pickup": "'SRID=4326;POINT EMPTY'"}, "booking_pickup_on_earth"),
        ({"dropoff": "ST_SetSRID(ST_MakePoint(28, '-Infinity'), 4326)"}, "booking_dropoff_on_earth"),
        ({"cancelled_at": "now()"}, "booking_cancellation_is_told"),
        ({"cancelled_by": "'operator'"}, "booking_cancellation_is_told"),
        ({"driver_id": "1"}, "booking_driver_has_offer"),
        ({"offer_id": "1"}, "booking_driver_has_offer"),
        ({"due_at": "NULL"}, "booking_live_has_deadline"),
        ({"status": "'scheduled'", "due_at": "now()"}, "booking_live_has_deadline"),
        ({"search_until": "NULL"}, "booking_search_has_limit"),
        ({"rounds": "-1"}, "mobility_booking_rounds_check"),
        ({"releases": "-1"}, "mobility_booking_releases_check"),
    ],
    ids=named,
)
def test_a_booking_that_cannot_be_is_refused(changes, constraint):
    assert refused(insert_booking(**changes)) == constraint
    assert not Booking.objects.exists()


def test_a_booking_without_a_log_row_is_refused():
    assert refused(insert_booking()) == "booking_move_is_logged"


def offered(booking_id: int, driver_id: int, status: str = "accepted", **changes: str) -> str:
    """An INSERT of an offer; values are SQL."""
    later = "NULL" if status != "pending" else "now() + interval '1 minute'"
    columns = {
        "booking_id": str(booking_id), "driver_id": str(driver_id), "round": "0", "status": f"'{status}'",
        "due_at": later, "expires_at": later, "settled_at": "NULL" if status == "pending" else "now()",
    } | changes  # fmt: skip
    return f"INSERT INTO mobility_offer ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"


def bound(booking_id: int, driver_id: int) -> str:
    """The move that binds a driver by the newest offer."""
    return (
        f"UPDATE mobility_booking SET status = 'confirmed', seq = seq + 1, driver_id = {driver_id},"
        f" offer_id = (SELECT max(id) FROM mobility_offer), confirmed_at = statement_timestamp()"
        f" WHERE id = {booking_id}"
    )


@pytest.fixture
def waiting(ride, ride_request):
    """The id of another ride, which waits because the only driver is busy."""
    outcome = find_driver(None, "r2", ride_request())
    assert outcome.status == Status.PENDING
    return outcome.booking_id


def test_a_second_live_booking_of_a_driver_is_refused(ride, waiting):
    stopped = refused(offered(waiting, ride.driver_id), bound(waiting, ride.driver_id))
    assert stopped == "booking_one_live_per_driver"


def test_a_second_live_booking_of_a_passenger_is_refused(ride):
    again = insert_booking(passenger_id=str(ride.passenger_id), ride_id="'other'")
    assert refused(again) == "booking_one_live_per_passenger"


def test_a_second_booking_under_a_used_ride_id_is_refused(finished):
    again = insert_booking(passenger_id=str(finished.passenger_id), ride_id=f"'{finished.ride_id}'")
    assert refused(again) == "booking_one_per_passenger_and_ride_id"


def test_a_second_open_guest_ride_of_one_id_is_refused(ride_request):
    find_driver(None, "guest-1", ride_request())
    assert refused(insert_booking(ride_id="'guest-1'")) == "booking_one_open_per_guest_ride_id"


def test_a_confirmed_booking_without_a_driver_is_refused(waiting):
    confirm = f"UPDATE mobility_booking SET status = 'confirmed', seq = seq + 1 WHERE id = {waiting}"
    assert refused(confirm) == "booking_bound_has_driver"


def test_a_waiting_booking_with_a_driver_is_refused(make_driver):
    driver = make_driver(10, 10)
    assert refused(insert_booking(driver_id=str(driver.pk), offer_id="1")) == "booking_waiting_has_no_driver"


def log_row(booking_id: int, seq: int, event: str, source: str, target: str, payload: str = "{}") -> str:
    return (
        "INSERT INTO mobility_ride_event (booking_id, seq, event, from_status, to_status, actor_role, payload)"
        f" VALUES ({booking_id}, {seq}, '{event}', '{source}', '{target}', 'system', '{payload}')"
    )


def test_a_driver_cannot_be_swapped_or_dropped_in_passing(ride, make_driver):
    other = make_driver(10, 10)
    for driver in (other.pk, "NULL"):
        stopped = refused(
            f"UPDATE mobility_booking SET driver_id = {driver}, seq = seq + 1, arrived_at = now() WHERE id = {ride.pk}",
            log_row(ride.pk, 3, "driver_arrived", "confirmed", "confirmed"),
        )
        assert stopped == "booking_driver_by_assignment"


def released_and_bound_again(ride, other, logged) -> list[str]:
    return [
        f"UPDATE mobility_offer SET status = 'released' WHERE id = {ride.offer_id}",
        "UPDATE mobility_booking SET status = 'pending', seq = seq + 1, driver_id = NULL, offer_id = NULL"
        f" WHERE id = {ride.pk}",
        log_row(ride.pk, 3, "driver_released", "confirmed", "pending"),
        offered(ride.pk, other.pk),
        bound(ride.pk, other.pk),
        log_row(ride.pk, 4, "driver_assigned", "pending", "confirmed", f'{{"driver_id": {logged}}}'),
        f"UPDATE mobility_driver SET status = 'busy' WHERE id = {other.pk}",
    ]


def test_a_released_driver_cannot_stay_busy(ride, make_driver):
    other = make_driver(10, 10)
    assert refused(*released_and_bound_again(ride, other, other.pk)) == "driver_busy_while_bound"


def test_the_log_cannot_name_another_driver(ride, make_driver):
    other = make_driver(10, 10)
    free = f"UPDATE mobility_driver SET status = 'available' WHERE id = {ride.driver_id}"
    assert refused(*released_and_bound_again(ride, other, ride.driver_id), free) == "booking_move_is_logged"
    with transaction.atomic(), connection.cursor() as cursor:  # told truly, it is allowed
        for statement in [*released_and_bound_again(ride, other, other.pk), free, "SET CONSTRAINTS ALL IMMEDIATE"]:
            cursor.execute(statement)


def test_whoever_is_bound_is_busy(waiting, make_driver):
    other = make_driver(10, 10)
    stopped = refused(
        offered(waiting, other.pk),
        bound(waiting, other.pk),
        log_row(waiting, 2, "driver_assigned", "pending", "confirmed", f'{{"driver_id": {other.pk}}}'),
    )
    assert stopped == "driver_busy_while_bound"


@pytest.mark.parametrize("change", ["arrived_at = now()", "fare_minor = 1"], ids=named)
def test_what_a_move_sets_changes_only_with_it(ride, change):
    assert refused(f"UPDATE mobility_booking SET {change} WHERE id = {ride.pk}") == "booking_move_is_logged"


@pytest.mark.parametrize("change", ["id = id + 1000", "ride_id = 'other'", "passenger_id = NULL"], ids=named)
def test_a_ride_keeps_its_identity(ride, change):
    assert refused(f"UPDATE mobility_booking SET {change} WHERE id = {ride.pk}") == "booking_identity_is_fixed"


def test_the_times_of_a_ride_change_only_with_its_moves(ride):
    for change in ("confirmed_at = now() - interval '1 year'", "completed_at = now()", "started_at = now()"):
        assert refused(f"UPDATE mobility_booking SET {change} WHERE id = {ride.pk}") == "booking_move_is_logged"


def test_a_drivers_record_stays_with_its_user(ride):
    stopped = refused(f"UPDATE mobility_driver SET user_id = {ride.passenger_id} WHERE id = {ride.driver_id}")
    assert stopped == "driver_user_is_fixed"


def test_the_passenger_cannot_be_their_own_driver(make_user, make_driver, ride_request):
    driver = make_driver(-26.2041, 28.0473)
    outcome = find_driver(driver.user_id, "own", ride_request())
    assert outcome.status == Status.UNFULFILLED
    assert refused(offered(outcome.booking_id, driver.pk)) == "offer_not_own_ride"
    stopped = refused(
        "UPDATE mobility_booking SET status = 'pending', seq = seq + 1, unfulfilled_at = NULL, due_at = now()"
        f" WHERE id = {outcome.booking_id}",
        f"UPDATE mobility_booking SET status = 'confirmed', seq = seq + 1, driver_id = {driver.pk}, offer_id = 1"
        f" WHERE id = {outcome.booking_id}",
    )
    assert stopped == "booking_not_own_driver"


@pytest.mark.parametrize("target", sorted({*Status.values} - {m.target for m in MOVES if m.source == "confirmed"}))
def test_every_move_the_table_does_not_list_is_refused(ride, target):
    stopped = refused(f"UPDATE mobility_booking SET status = '{target}', seq = seq + 1 WHERE id = {ride.pk}")
    assert stopped == "booking_move_allowed"
    ride.refresh_from_db()
    assert ride.status == Status.CONFIRMED


def test_a_move_without_a_log_row_is_refused(ride):
    move = f"UPDATE mobility_booking SET status = 'in_progress', started_at = now() WHERE id = {ride.pk}"
    assert refused(move) == "booking_move_is_logged"
    assert refused(move.replace("SET ", "SET seq = seq + 1, ")) == "booking_move_is_logged"


def test_a_log_row_without_its_move_is_refused(ride):
    stopped = refused(
        "INSERT INTO mobility_ride_event (booking_id, seq, event, from_status, to_status, actor_role, payload)"
        f" VALUES ({ride.pk}, 3, 'ride_started', 'confirmed', 'in_progress', 'driver', '{{}}')"
    )
    assert stopped == "booking_move_is_logged"


@pytest.mark.parametrize(
    ("seq", "from_status", "to_status", "event", "constraint"),
    [
        (4, "confirmed", "in_progress", "ride_started", "ride_event_seq_is_gapless"),
        (2, "pending", "confirmed", "driver_assigned", "mobility_ride_event_pkey"),
        (0, "", "pending", "ride_requested", "ride_event_seq_from_1"),
        (-1, "", "pending", "ride_requested", "mobility_ride_event_seq_check"),
        (3, "pending", "confirmed", "driver_assigned", "ride_event_follows_previous"),
        (3, "confirmed", "completed", "ride_completed", "ride_event_move_allowed"),
        (3, "confirmed", "in_progress", "ride_completed", "ride_event_move_allowed"),
    ],
)
def test_a_log_row_out_of_order_is_refused(ride, seq, from_status, to_status, event, constraint):
    stopped = refused(
        "INSERT INTO mobility_ride_event (booking_id, seq, event, from_status, to_status, actor_role, payload)"
        f" VALUES ({ride.pk}, {seq}, '{event}', '{from_status}', '{to_status}', 'driver', '{{}}')"
    )
    assert stopped == constraint


def test_seq_of_a_booking_cannot_jump_or_go_back(ride):
    for seq in (ride.seq - 1, ride.seq + 2):
        assert refused(f"UPDATE mobility_booking SET seq = {seq} WHERE id = {ride.pk}") == "booking_seq_is_gapless"


@pytest.mark.parametrize(
    "change",
    [
        "status = 'pending', driver_id = NULL, seq = seq + 1", "driver_id = driver_id + 1", "fare_minor = 1",
        "completed_at = now() + interval '1 day'", "confirmed_at = NULL", "fare_origin = 'none', fare_minor = NULL",
        "requested_at = now() + interval '1 day'", "seq = seq + 1",
    ],
)  # fmt: skip
def test_a_finished_booking_stays_as_it_is(finished, change):
    assert refused(f"UPDATE mobility_booking SET {change} WHERE id = {finished.pk}") == "booking_terminal_is_final"


def test_a_finished_booking_keeps_its_ride_id(finished):
    stopped = refused(f"UPDATE mobility_booking SET ride_id = 'other' WHERE id = {finished.pk}")
    assert stopped == "booking_identity_is_fixed"


def test_a_finished_booking_may_lose_its_personal_data(finished):
    """Erasing a person must stay possible."""
    Booking.objects.filter(pk=finished.pk).update(passenger_phone="", pickup_address="", dropoff_address="", notes="")


def test_a_driver_cannot_be_freed_or_sent_offline_while_holding_a_ride(ride):
    for status in ("available", "offline"):
        stopped = refused(f"UPDATE mobility_driver SET status = '{status}' WHERE id = {ride.driver_id}")
        assert stopped == "driver_busy_while_bound"


def test_a_driver_cannot_be_busy_without_a_ride(make_driver):
    driver = make_driver(0, 0)
    assert refused(f"UPDATE mobility_driver SET status = 'busy' WHERE id = {driver.pk}") == "driver_busy_while_bound"


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM mobility_booking", "DELETE FROM mobility_ride_event",
        "UPDATE mobility_ride_event SET payload = '{}'",
        "TRUNCATE mobility_booking CASCADE", "DELETE FROM mobility_driver", "DROP TABLE mobility_booking",
        "ALTER TABLE mobility_booking DISABLE TRIGGER ALL", "CREATE TABLE public.mine (id int)",
        "DELETE FROM mobility_allowed_move", "INSERT INTO mobility_allowed_move VALUES ('completed', 'pending', 'x')",
        "DROP TRIGGER booking_guard ON mobility_booking", "SET session_replication_role = replica",
        "DELETE FROM mobility_driver_location",
        "UPDATE django_migrations SET name = 'x'", "DROP INDEX booking_one_live_per_driver",
    ],
)  # fmt: skip
def test_the_application_may_not(ride, statement):
    reason = refused(statement)
    assert re.search("permission denied|must be owner", reason), reason
    assert RideEvent.objects.filter(booking=ride).count() == 2


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("position = ST_SetSRID(ST_MakePoint(181, 0), 4326)", "location_position_on_earth"),
        ("position = ST_SetSRID(ST_MakePoint('NaN', 0), 4326)", "location_position_on_earth"),
        ("position = 'SRID=4326;POINT EMPTY'", "location_position_on_earth"),
        ("recorded_at = recorded_at - interval '1 second'", "location_newest_wins"),
        ("recorded_at = received_at + interval '2 minutes'", "location_not_from_the_future"),
        ("driver_id = driver_id + 1", "location_newest_wins"),
        ("heading = 360", "location_heading_in_circle"),
        ("heading = 'NaN'", "location_heading_in_circle"),
        ("speed = -1", "location_speed_is_sane"),
        ("speed = 'Infinity'", "location_speed_is_sane"),
        ("dispatchable = false", "location_follows_driver"),
        ("status = 'busy'", "location_follows_driver"),
        ("verified = false", "location_follows_driver"),
        ("vehicle_type = 'suv'", "location_follows_driver"),
        ("stationary = true", "location_follows_driver"),
        ("stale = true", "location_follows_driver"),
        ("position = ST_Translate(position, 0.001, 0)", "location_within_index_slack"),
        ("indexed_position = ST_Translate(indexed_position, 0, 0.001)", "location_within_index_slack"),
        ("indexed_position = 'SRID=4326;POINT EMPTY'", "location_within_index_slack"),
    ],
    ids=named,
)
def test_a_position_that_cannot_be_is_refused(make_driver, change, constraint):
    driver = make_driver(-26.2, 28.0)
    assert refused(f"UPDATE mobility_driver_location SET {change}") == constraint
    assert DriverLocation.objects.get(pk=driver.pk).position.coords == (28.0, -26.2)


def located(driver_id: int) -> str:
    """An INSERT of a position that claims a free ambulance, wherever the driver really stands."""
    return (
        "INSERT INTO mobility_driver_location"
        " (driver_id, position, indexed_position, recorded_at, dispatchable, vehicle_type, stationary, stale)"
        f" VALUES ({driver_id}, {PICKUP}, ST_Translate({PICKUP}, 2e-4, 0), now(), true, 'ambulance', true, true)"
    )


def test_a_driver_has_one_position(make_driver):
    assert refused(located(make_driver(0, 0).pk)) == "mobility_driver_location_pkey"


def test_a_new_position_takes_what_matching_reads_from_its_driver(make_driver):
    driver = make_driver(None, None, status="offline")
    with connection.cursor() as cursor:
        cursor.execute(located(driver.pk))
    stored = DriverLocation.objects.get(pk=driver.pk)
    assert (stored.dispatchable, stored.vehicle_type, stored.stationary) == (False, "sedan", False)
    assert (stored.status, stored.verified) == ("offline", True)
    assert (stored.stale, stored.indexed_position) == (False, stored.position)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("status = 'asleep'", "driver_status_is_known"),
        ("vehicle_type = 'broom'", "driver_vehicle_type_is_known"),
        ("rating = 0.5", "driver_rating_is_1_to_5"),
        ("phone = '0821234567'", "driver_phone_is_e164"),
        ("total_rides = -1", "mobility_driver_total_rides_check"),
        ("missed_offers = -1", "mobility_driver_missed_offers_check"),
    ],
    ids=named,
)
def test_a_driver_that_cannot_be_is_refused(make_driver, change, constraint):
    make_driver(0, 0)
    assert refused(f"UPDATE mobility_driver SET {change}") == constraint


@pytest.mark.parametrize("column", ["phone", "license_number", "vehicle_registration"])
def test_two_drivers_never_share(make_driver, column):
    one, other = make_driver(0, 0), make_driver(1, 1)
    stopped = refused(f"UPDATE mobility_driver SET {column} = '{getattr(one, column)}' WHERE id = {other.pk}")
    assert stopped == f"mobility_driver_{column}_key"


def test_a_user_is_one_driver(make_driver):
    driver = make_driver(0, 0)
    again = (
        "INSERT INTO mobility_driver"
        " (user_id, phone, license_number, vehicle_registration, vehicle_type, status, rating,"
        f" total_rides, verified, stationary, is_demo) SELECT {driver.user_id}, '+27829990002', 'other', 'other',"
        " vehicle_type, 'offline', rating, 0, false, false, false FROM mobility_driver"
    )
    assert refused(again) == "mobility_driver_user_id_key"


@pytest.mark.parametrize("column", ["phone", "username"])
def test_two_users_never_share(make_user, column):
    one, other = make_user(), make_user()
    stopped = refused(f"UPDATE mobility_user SET {column} = '{getattr(one, column)}' WHERE id = {other.pk}")
    assert stopped == f"mobility_user_{column}_key"


@pytest.mark.parametrize(
    ("table", "column", "constraint"),
    [
        ("mobility_user_groups", "group_id", "mobility_user_groups_user_id_group_id_d2248d4b_uniq"),
        (
            "mobility_user_user_permissions",
            "permission_id",
            "mobility_user_user_permi_user_id_permission_id_1a6936de_uniq",
        ),
    ],
    ids=["groups", "permissions"],
)
def test_a_user_has_each_group_and_permission_once(make_user, table, column, constraint):
    belongs = f"INSERT INTO {table} (user_id, {column}) VALUES ({make_user().pk}, 1)"
    assert refused(belongs, belongs) == constraint


def test_a_ticket_opens_one_thing(make_user):
    ticket = (
        "INSERT INTO mobility_socket_ticket (digest, user_id, token_digest, expires_at)"
        f" VALUES ('one', {make_user().pk}, '', now())"
    )
    assert refused(ticket, ticket) == "mobility_socket_ticket_pkey"


@pytest.mark.parametrize(
    ("change", "constraint"),
    [("phone = '12'", "user_phone_is_e164"), ("roles = '{king}'", "user_roles_are_known")],
    ids=named,
)
def test_a_user_that_cannot_be_is_refused(make_user, change, constraint):
    make_user()
    assert refused(f"UPDATE mobility_user SET {change}") == constraint


def test_the_database_lists_the_same_moves_as_the_code():
    with connection.cursor() as cursor:
        cursor.execute("SELECT from_status, to_status, event FROM mobility_allowed_move")
        assert set(cursor.fetchall()) == set(MOVES)


def test_status_changes_of_a_driver_reach_the_matching_index(make_driver):
    driver = make_driver(0, 0)
    for status, verified, expected in (
        ("offline", True, False),
        ("available", False, False),
        ("available", True, True),
    ):
        Driver.objects.filter(pk=driver.pk).update(status=status, verified=verified)
        moved = DriverLocation.objects.get(pk=driver.pk)
        assert (moved.dispatchable, moved.status, moved.verified) == (expected, status, verified)
    Driver.objects.filter(pk=driver.pk).update(vehicle_type="suv", stationary=True)
    moved = DriverLocation.objects.get(pk=driver.pk)
    assert (moved.vehicle_type, moved.stationary) == ("suv", True)


def test_cancelling_twice_writes_one_row(ride):
    passenger = Actor(ride.passenger_id, ActorRole.PASSENGER)
    assert cancel_ride(ride.pk, passenger, "late") == cancel_ride(ride.pk, passenger, "again") == 3
    assert RideEvent.objects.filter(booking=ride).count() == 3


def test_integrity_error_is_djangos(ride):
    with pytest.raises(IntegrityError), transaction.atomic():
        Booking.objects.filter(pk=ride.pk).update(driver=None, seq=3)


def test_a_username_cannot_pass_for_somebody_elses_phone(make_user):
    victim = make_user()
    other = make_user()
    stopped = refused(f"UPDATE mobility_user SET username = '{victim.phone}' WHERE id = {other.pk}")
    assert stopped == "user_username_is_no_other_phone"
    assert refused(f"UPDATE mobility_user SET username = '27821' WHERE id = {other.pk}") == stopped
    make_user(username="+27829990001", phone="+27829990001")
