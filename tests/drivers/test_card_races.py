"""A name that changes while its driver is made is the driver's name too."""

import threading

import psycopg
import pytest

pytestmark = pytest.mark.usefixtures("committed_db")


def test_a_name_that_changes_while_its_driver_is_made_is_not_passed_by(admin_url, make_user):
    user = make_user(first_name="Before", last_name="", roles=["driver"])
    new = (
        "INSERT INTO mobility_driver (user_id, phone, license_number, vehicle_registration, vehicle_type, status,"
        " rating, total_rides, verified, stationary, is_demo) VALUES"
        f" ({user.pk}, '+27829990003', 'raw', 'raw', 'sedan', 'offline', 5, 0, true, false, false)"
    )
    made = threading.Thread(target=lambda: _at_once(admin_url, new))
    with psycopg.connect(admin_url) as renaming:
        renaming.execute("UPDATE mobility_user SET first_name = 'After' WHERE id = %s", [user.pk])
        made.start()
        _until_waiting(admin_url)
    made.join(30)
    with psycopg.connect(admin_url) as reading:
        assert reading.execute("SELECT shown_name FROM mobility_driver").fetchall() == [("After",)]


def _at_once(admin_url, statement):
    with psycopg.connect(admin_url, autocommit=True) as other:
        other.execute(statement)


def _until_waiting(admin_url):
    with psycopg.connect(admin_url, autocommit=True) as looking:
        for _ in range(2_000):
            if looking.execute(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ).fetchone():
                return
            looking.execute("SELECT pg_sleep(0.005)")
    raise AssertionError("nobody waits")
