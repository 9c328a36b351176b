"""What the database itself forbids about answers that were given."""

import pytest

from tests.bookings.test_guards import refused
from tests.staged import attacked


def answered(command_id: str = "c1", made_at: str = "now()") -> str:
    return (
        "INSERT INTO mobility_command (principal, command_id, digest, answer, made_at)"
        f" VALUES ('user.1', '{command_id}', '', '{{}}', {made_at})"
    )


@pytest.mark.django_db
def test_a_command_is_answered_once():
    assert refused(answered(), answered()) == "mobility_command_pkey"


@pytest.mark.django_db
@pytest.mark.parametrize("command_id", ["", "a b", "x" * 65 + "'"], ids=["empty", "space", "long"])
def test_a_command_id_is_plain(command_id):
    assert refused(answered(command_id.replace("'", "''"))) in {
        "command_id_is_plain", "value too long for type character varying(64)",
    }  # fmt: skip


@pytest.mark.parametrize("role", ["careconnect_owner", "careconnect_app"])
def test_an_answer_stays_as_it_was_given(admin_url, role):
    stopped = attacked(admin_url, "UPDATE mobility_command SET answer = '[]'", staged=[answered()], role=role)
    assert stopped in {"command_is_answered_once", "permission denied for table mobility_command"}
    assert (stopped == "command_is_answered_once") == (role == "careconnect_owner")


@pytest.mark.parametrize("role", ["careconnect_owner", "careconnect_app"])
def test_an_answer_of_today_is_not_forgotten(admin_url, role):
    forget = "DELETE FROM mobility_command"
    assert attacked(admin_url, forget, staged=[answered()], role=role) == "command_is_remembered"
    old = answered(made_at="now() - interval '25 hours'")
    assert attacked(admin_url, forget, staged=[old], role=role) == ""
