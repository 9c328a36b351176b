"""What the table of API keys refuses, from psql as well."""

import pytest
from django.db import connection

from mobility.models import ApiKey
from mobility.people.keys import issue_api_key, revoke_api_key
from tests.bookings.test_guards import named, refused

pytestmark = pytest.mark.django_db
DIGEST = "repeat('0a', 32)"
COLUMNS = {
    "name": "'dashboard'", "digest": DIGEST, "prefix": "'abcdefgh'", "scopes": "'{drivers:read,geocode}'",
    "expires_at": "now() + interval '1 year'",
}  # fmt: skip


def insert_key(**changes: str) -> str:
    """An INSERT as somebody with psql would write it; values are SQL."""
    columns = COLUMNS | changes
    return f"INSERT INTO mobility_api_key ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("ends", ["interval '1 s'", "interval '1824 days 23 hours'"])
def test_a_key_that_can_be_is_kept(ends):
    run(insert_key(expires_at=f"now() + {ends}"))
    assert ApiKey.objects.get().scopes == ["drivers:read", "geocode"]


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"digest": "'the text of a key itself'"}, "api_key_digest_is_one"),
        ({"digest": "repeat('0A', 32)"}, "api_key_digest_is_one"),
        ({"digest": "''"}, "api_key_digest_is_one"),
        ({"scopes": "'{}'"}, "api_key_scopes_are_known"),
        ({"scopes": "'{drivers:write}'"}, "api_key_scopes_are_known"),
        ({"scopes": "'{drivers:read,NULL}'"}, "api_key_scopes_are_known"),
        ({"expires_at": "now() + interval '1826 days'"}, "api_key_expires_in_time"),
        ({"expires_at": "now()"}, "api_key_expires_in_time"),
    ],
    ids=named,
)
def test_a_key_that_cannot_be_is_refused(changes, constraint):
    assert refused(insert_key(**changes)) == constraint


def test_two_keys_are_never_the_same():
    assert refused(insert_key(), insert_key()) == "mobility_api_key_digest_key"


def test_a_revoked_key_stays_revoked():
    key, _ = issue_api_key("dashboard", ["geocode"])
    revoke_api_key(key.pk)
    for other in ("NULL", "now() + interval '1 day'"):
        assert refused(f"UPDATE mobility_api_key SET revoked_at = {other}") == "api_key_stays_revoked"
    run("UPDATE mobility_api_key SET last_used_at = now()")


@pytest.mark.parametrize(
    "change",
    ["digest = repeat('0b', 32)", "scopes = '{drivers:read}'", "expires_at = now() + interval '5 years'", "name = ''"],
)
def test_nothing_about_a_key_changes(change):
    issue_api_key("dashboard", ["geocode"])
    assert refused(f"UPDATE mobility_api_key SET {change}") == "permission denied for table mobility_api_key"
