"""Keys that stand for people: one a month, made of a secret that only the owner has."""

import hashlib
import hmac
from datetime import UTC, date, datetime

import psycopg
import pytest
from django.db import connection

from mobility.analytics.services import keep_gis
from mobility.bookings.models import Booking
from tests.staged import attacked

DRIVER, PASSENGER = b"driver", b"passenger"


def asked(statement, *params):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall()


@pytest.fixture
def admin(admin_url):
    with psycopg.connect(admin_url, autocommit=True) as connected:
        yield connected


def month(back=0):
    now = datetime.now(UTC)
    number = now.year * 12 + now.month - 1 - back
    return date(number // 12, number % 12 + 1, 1)


def months(admin):
    return [row[0] for row in admin.execute("SELECT month FROM mobility_surrogate_secret ORDER BY month")]


def secret_of(admin, of_month):
    """The secret, out of the blocks that are stored."""
    row = admin.execute(
        "SELECT inner_block, outer_block FROM mobility_surrogate_secret WHERE month = %s", [of_month]
    ).fetchone()
    secret = bytes(byte ^ 0x36 for byte in row[0])
    assert bytes(byte ^ 0x5C for byte in row[1]) == secret
    assert len(secret) == 64
    return secret


def key(secret, kind, number):
    """By the standard library: HMAC-SHA-256, the first 53 bits."""
    digest = hmac.digest(secret, kind + number.to_bytes(8, "big"), hashlib.sha256)
    return int.from_bytes(digest[:7], "big") >> 3


class TestKeys:
    def test_a_key_is_the_hmac_of_the_months_secret(self, secrets, stage, admin):
        booking = stage.ride()
        expected = tuple(
            key(secret_of(admin, month()), kind, number)
            for kind, number in ((DRIVER, booking.driver_id), (PASSENGER, booking.passenger_id))
        )
        assert asked("SELECT driver_key, passenger_key FROM gis.rides WHERE id = %s", booking.pk) == [expected]
        assert all(0 < one < 2**53 for one in expected)

    def test_every_relation_and_function_has_the_same_key_of_a_driver(self, secrets, stage):
        booking = stage.ride()
        keys = asked(
            "SELECT driver_key FROM gis.rides WHERE id = %(id)s UNION ALL SELECT driver_key FROM gis.pickups"
            " UNION ALL SELECT driver_key FROM gis.dropoffs UNION ALL SELECT driver_key FROM gis.offers"
            " UNION ALL SELECT driver_key FROM gis.matching WHERE verdict = 'assigned'"
            " UNION ALL SELECT driver_key FROM gis.drivers_now WHERE status = 'busy'".replace("%(id)s", str(booking.pk))
        )
        assert len(keys) == 6
        assert len(set(keys)) == 1

    def test_another_month_another_key(self, secrets, stage, admin):
        booking = stage.ride()
        now = asked("SELECT driver_key, passenger_key FROM gis.rides")[0]
        stage.run("UPDATE mobility_booking SET requested_at = requested_at - interval '62 days'")
        booking.refresh_from_db()
        then = asked("SELECT driver_key, passenger_key FROM gis.rides")[0]
        of_month = booking.requested_at.astimezone(UTC).date().replace(day=1)
        assert then == (
            key(secret_of(admin, of_month), DRIVER, booking.driver_id),
            key(secret_of(admin, of_month), PASSENGER, booking.passenger_id),
        )
        assert not set(now) & set(then)

    def test_a_month_ends_at_midnight_utc_whatever_the_session_says(self, secrets, stage, admin):
        booking = stage.ride()
        edge = datetime.combine(month(), datetime.min.time(), UTC)
        with connection.cursor() as cursor:
            cursor.execute("SET timezone = 'Pacific/Auckland'")
            try:
                for moved, of_month in (("0 seconds", month()), ("1 microsecond", month(1))):
                    stage.run("UPDATE mobility_booking SET requested_at = %s::timestamptz - %s::interval", edge, moved)
                    assert asked("SELECT driver_key FROM gis.rides") == [
                        (key(secret_of(admin, of_month), DRIVER, booking.driver_id),)
                    ]
            finally:
                cursor.execute("RESET timezone")

    def test_a_driver_and_a_passenger_of_the_same_number_share_no_key(self, secrets, admin):
        secret = secret_of(admin, month())
        assert key(secret, DRIVER, 7) != key(secret, PASSENGER, 7)

    def test_different_people_have_different_keys(self, secrets, admin):
        found = admin.execute(
            "SELECT count(DISTINCT mobility_surrogate_key(inner_block, outer_block, '\\x01', i))"
            " FROM mobility_surrogate_secret, generate_series(1, 100000) i WHERE month = %s",
            [month()],
        ).fetchone()
        assert found == (100_000,)

    def test_without_its_secret_a_month_has_no_keys(self, secrets, stage, admin):
        stage.ride()
        admin.execute("DELETE FROM mobility_surrogate_secret")
        assert asked("SELECT driver_key, passenger_key FROM gis.rides") == [(None, None)]
        assert Booking.objects.count() == 1

    def test_a_guest_has_no_key(self, secrets, stage):
        stage.ride()
        stage.run("UPDATE mobility_booking SET passenger_id = NULL")
        assert asked("SELECT passenger_key FROM gis.rides") == [(None,)]


class TestSecrets:
    def test_they_are_made_ahead_and_thrown_away(self, secrets, admin, set_knobs):
        assert months(admin) == sorted(month(back) for back in range(-1, 13))
        set_knobs(surrogate_keep_months=2)
        assert keep_gis() == 11
        assert months(admin) == [month(1), month(), month(-1)]
        assert keep_gis() == 0

    def test_what_is_there_stays_as_it_is(self, secrets, admin):
        before = secret_of(admin, month())
        keep_gis()
        assert secret_of(admin, month()) == before

    def test_no_two_are_alike_and_each_is_random(self, secrets, admin):
        found = [secret_of(admin, one) for one in months(admin)]
        assert len(set(found)) == len(found) == 14
        for secret in found:
            assert secret[32:] == bytes(32)
            assert len(set(secret[:32])) > 16

    def test_a_secret_that_was_thrown_away_does_not_come_back(self, secrets, admin, set_knobs):
        old = secret_of(admin, month(5))
        set_knobs(surrogate_keep_months=2)
        keep_gis()
        set_knobs(surrogate_keep_months=13)
        keep_gis()
        assert secret_of(admin, month(5)) != old


@pytest.mark.django_db
@pytest.mark.parametrize("keep", [0, -1, 1201])
def test_the_secret_of_this_month_is_never_thrown_away(admin_url, keep):
    attack = f"SELECT mobility_keep_surrogate_secrets({keep})"
    assert attacked(admin_url, attack) == "surrogate_months_are_sane"


def test_a_month_has_one_secret(admin_url):
    twice = "INSERT INTO mobility_surrogate_secret VALUES ('1999-01-01', '', ''), ('1999-01-01', '', '')"
    assert attacked(admin_url, twice, role="careconnect_owner") == "mobility_surrogate_secret_pkey"


def test_a_setting_is_told_once(admin_url):
    twice = "INSERT INTO mobility_knob (name, value) VALUES ('x', 1), ('x', 2)"
    assert attacked(admin_url, twice) == "mobility_knob_pkey"


@pytest.mark.parametrize("role", ["careconnect_analyst", "careconnect_operations"])
def test_analysts_do_not_make_or_end_secrets(admin_url, role):
    told = attacked(admin_url, "SELECT mobility_keep_surrogate_secrets(13)", role=role)
    assert told == "permission denied for function mobility_keep_surrogate_secrets"
