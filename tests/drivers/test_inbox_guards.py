"""What the database itself forbids about a driver's inbox and presence: attacked with raw SQL, as the application."""

import pytest
from django.db import connection, transaction

from mobility.models import Driver
from tests.bookings.test_guards import refused, settle
from tests.staged import attacked

pytestmark = pytest.mark.django_db


def told(driver_id: int, seq: int, kind: str = "went_offline") -> str:
    return (
        "INSERT INTO mobility_driver_inbox (driver_id, seq, kind, reason)"
        f" VALUES ({driver_id}, {seq}, '{kind}', '')"
    )  # fmt: skip


def counted(driver_id: int, by: int = 1) -> str:
    return f"UPDATE mobility_driver SET inbox_seq = inbox_seq + {by} WHERE id = {driver_id}"


def new_driver(user_id: int, inbox_seq: int) -> str:
    return (
        "INSERT INTO mobility_driver"
        " (user_id, phone, license_number, vehicle_registration, vehicle_type, status, rating,"
        " total_rides, verified, stationary, is_demo, inbox_seq)"
        f" VALUES ({user_id}, '+27829990003', 'raw', 'raw', 'sedan', 'offline', 5, 0, true, false, false, {inbox_seq})"
    )


@pytest.fixture
def driver(make_driver):
    """The id of a driver who was told two things, one a transaction."""
    driver_id = make_driver(0, 0).pk
    for seq in (1, 2):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(told(driver_id, seq))
            cursor.execute(counted(driver_id))
            settle()
    return driver_id


def test_what_is_told_is_counted(driver):
    assert Driver.objects.get(pk=driver).inbox_seq == 2


@pytest.mark.parametrize(
    "statement",
    ["UPDATE mobility_driver_inbox SET reason = 'other'", "DELETE FROM mobility_driver_inbox"],
    ids=["update", "delete"],
)
def test_even_the_owner_only_appends_to_an_inbox(admin_url, statement):
    stopped = attacked(admin_url, statement, staged=[told(1, 1)], role="careconnect_owner")
    assert stopped == "inbox_append_only"


@pytest.mark.parametrize(
    ("seq", "constraint"),
    [
        (4, "inbox_seq_is_gapless"),
        (2, "mobility_driver_inbox_pkey"),
        (0, "inbox_seq_from_1"),
    ],
    ids=["skipped", "again", "zero"],
)
def test_a_row_out_of_order_is_refused(driver, seq, constraint):
    assert refused(told(driver, seq)) == constraint


def test_behind_a_check_stands_the_columns_own(admin_url):
    """`inbox_seq_from_1` refuses these first."""
    away = "ALTER TABLE mobility_driver_inbox DROP CONSTRAINT inbox_seq_from_1"
    assert attacked(admin_url, told(1, -1), staged=[away], triggers=False) == "mobility_driver_inbox_seq_check"


def test_an_unknown_kind_is_refused(driver):
    assert refused(told(driver, 3, "gossip")) == "inbox_kind_is_known"


def test_a_row_that_is_not_counted_is_refused(driver):
    assert refused(told(driver, 3)) == "inbox_is_counted"


def test_a_count_without_its_row_is_refused(driver):
    assert refused(counted(driver)) == "inbox_is_counted"


@pytest.mark.parametrize("by", [2, -1])
def test_the_counter_goes_by_ones(driver, by):
    rows = [told(driver, 3), told(driver, 4)] if by == 2 else []
    assert refused(*rows, counted(driver, by)) == "inbox_seq_is_gapless"


def test_a_new_driver_was_told_nothing(make_user):
    assert refused(new_driver(make_user().pk, 7)) == "inbox_is_counted"


def test_a_counter_is_not_negative(make_user):
    assert refused(new_driver(make_user().pk, -1)) == "mobility_driver_inbox_seq_check1"


def test_a_driver_is_present_once(driver):
    present = (
        f"INSERT INTO mobility_driver_presence (driver_id, socket_id) VALUES ({driver}, gen_random_uuid())"
    )  # fmt: skip
    assert refused(present, present) == "mobility_driver_presence_pkey"
