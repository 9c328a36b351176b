"""manage.py create_analyst: logins that are made, set anew, listed and ended, and nobody else's role is touched."""

import base64
import re
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.core.management import CommandError, call_command

from mobility.analytics.logins import LoginRefused, mark, role_named, scram_verifier
from tests.analytics.people import connected, refusal, signed_up

FORBIDDEN = "42501"


@pytest.fixture
def as_superuser(admin_url, monkeypatch, logins):
    monkeypatch.setenv("DATABASE_ADMIN_URL", admin_url)


@pytest.fixture
def run(capsys):
    def call(*arguments):
        call_command("create_analyst", *arguments)
        return capsys.readouterr().out

    return call


def password_in(told):
    return re.search(r"^  ([A-Za-z0-9_-]{32})$", told, re.MULTILINE)[1]


class TestMaking:
    def test_what_is_printed_opens_the_database(self, as_superuser, run, name, admin_url):
        told = run(name)
        password = password_in(told)
        with connected(admin_url, f"gis_{name}", password) as login:
            assert login.execute("SELECT current_user::text").fetchone() == (f"gis_{name}",)
        line = re.search(r'psql "(.*)"', told)[1]
        with psycopg.connect(line, password=password) as login:
            assert login.info.user == f"gis_{name}"
        entry = told.split("[careconnect_gis]\n")[1].split("\n")
        assert set(filter(None, entry)) == set(line.split())
        assert f":gis_{name}:{password}\n" in told
        assert told.count(password) == 2

    def test_a_password_is_needed(self, as_superuser, run, name, admin_url):
        run(name)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            connected(admin_url, f"gis_{name}", "wrong")

    def test_a_second_run_gives_a_new_password_and_other_rights(self, as_superuser, run, name, admin_url):
        first = password_in(run(name, "--operations"))
        second = password_in(run(name))
        assert first != second
        with pytest.raises(psycopg.OperationalError):
            connected(admin_url, f"gis_{name}", first)
        with connected(admin_url, f"gis_{name}", second) as login:
            assert refusal(login, "SELECT FROM gis.rides") == FORBIDDEN
        with connected(admin_url, f"gis_{name}", password_in(run(name, "--operations"))) as login:
            assert refusal(login, "SELECT FROM gis.rides") == ""

    def test_how_a_login_is_bounded(self, analyst):
        assert analyst.execute(
            "SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolconnlimit,"
            " rolvaliduntil BETWEEN now() + interval '23 hours' AND now() + interval '24 hours'"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone() == (True, False, False, False, False, False, 5, True)
        shown = {
            setting: analyst.execute(f"SHOW {setting}").fetchone()[0]
            for setting in (
                "default_transaction_read_only", "statement_timeout", "lock_timeout", "temp_file_limit",
                "idle_in_transaction_session_timeout", "idle_session_timeout", "search_path", "work_mem",
            )
        }  # fmt: skip
        assert shown == {
            "default_transaction_read_only": "on", "statement_timeout": "1min", "lock_timeout": "5s",
            "temp_file_limit": "1GB", "idle_in_transaction_session_timeout": "5min", "idle_session_timeout": "1h",
            "search_path": "gis, public", "work_mem": "32MB",
        }  # fmt: skip

    def test_what_it_may_not_set(self, operations):
        assert refusal(operations, "SET temp_file_limit = -1") == FORBIDDEN
        assert refusal(operations, "SET session_replication_role = replica") == FORBIDDEN

    def test_no_more_than_five_at_once(self, analyst, admin_url):
        role = analyst.info.user
        more = [connected(admin_url, role) for _ in range(4)]
        try:
            with pytest.raises(psycopg.OperationalError, match="too many connections"):
                connected(admin_url, role)
        finally:
            for one in more:
                one.close()

    def test_it_ends_with_its_last_day(self, as_superuser, run, name, admin_url):
        told = run(name, "--valid-until", (datetime.now(UTC) + timedelta(days=9)).strftime("%Y-%m-%d"))
        with connected(admin_url, f"gis_{name}", password_in(told)) as login:
            left = login.execute("SELECT rolvaliduntil - now() FROM pg_roles WHERE rolname = current_user").fetchone()
            assert timedelta(days=9) < left[0] < timedelta(days=10)
            assert login.execute(
                "SELECT rolvaliduntil AT TIME ZONE 'UTC' = date_trunc('day', rolvaliduntil AT TIME ZONE 'UTC')"
                " FROM pg_roles WHERE rolname = current_user"
            ).fetchone() == (True,)

    @pytest.mark.parametrize("days", ["0", "-1", "1900"])
    def test_not_for_ever_and_not_for_the_past(self, as_superuser, run, name, logins, days):
        with pytest.raises(CommandError, match="1 to 1825 days"):
            run(name, "--days", days)
        assert logins.all() == []

    def test_the_verifier_is_what_postgresql_makes_itself(self, analyst, admin_url):
        """Of the same password and salt."""
        with psycopg.connect(admin_url) as admin:
            admin.execute(f"ALTER ROLE {analyst.info.user} PASSWORD 'something else'")
            made = admin.execute(
                "SELECT rolpassword FROM pg_authid WHERE rolname = %s", [analyst.info.user]
            ).fetchone()[0]
            admin.rollback()
        salt = base64.b64decode(made.split("$")[1].split(":")[1])
        assert scram_verifier("something else", salt) == made


class TestNames:
    @pytest.mark.parametrize(
        "wrong", ["", "Anna", "1anna", "anna-b", 'a"; DROP ROLE x; --', "a b", "a" * 41, "gis_", "gis_gis-", "ä", "a\n"]
    )
    def test_a_name_is_a_plain_one(self, wrong):
        with pytest.raises(LoginRefused, match="small letters"):
            role_named(wrong)

    @pytest.mark.parametrize("other", ["postgres", "careconnect_owner", "careconnect_app", "careconnect_operations"])
    def test_no_name_is_that_of_another_role(self, other):
        assert role_named(other) == f"gis_{other}"

    def test_with_and_without_the_prefix(self):
        assert role_named("gis_anna") == role_named("anna") == "gis_anna"


class TestOthersRoles:
    @pytest.fixture
    def stranger(self, admin_url, name):
        with psycopg.connect(admin_url, autocommit=True) as admin:
            admin.execute(f"CREATE ROLE gis_{name}")
            yield lambda query: admin.execute(query).fetchone()
            admin.execute(f"DROP ROLE gis_{name}")

    @pytest.mark.parametrize("option", ["--operations", "--revoke"])
    def test_a_role_without_our_mark_is_not_touched(self, as_superuser, run, name, stranger, option):
        whole = f"SELECT r::text FROM pg_authid r WHERE rolname = 'gis_{name}'"
        before = stranger(whole)
        with pytest.raises(CommandError, match="no login of this database"):
            run(name, option)
        assert stranger(whole) == before
        assert stranger(f"SELECT count(*) FROM pg_auth_members WHERE member = 'gis_{name}'::regrole") == (0,)

    def test_nor_one_of_another_database(self, as_superuser, run, name, stranger, admin_url):
        with psycopg.connect(admin_url, autocommit=True) as admin:
            admin.execute(f"COMMENT ON ROLE gis_{name} IS '{mark('another')}'")
        with pytest.raises(CommandError, match="no login of this database"):
            run(name, "--revoke")

    def test_nor_does_the_sql_for_a_superuser(self, run, name, stranger, admin_url, monkeypatch, capsys):
        monkeypatch.delenv("DATABASE_ADMIN_URL", raising=False)
        with pytest.raises(CommandError):
            run(name)
        script = capsys.readouterr().out
        with psycopg.connect(admin_url) as admin, pytest.raises(psycopg.errors.RaiseException, match="is no login"):
            admin.execute(script)


class TestRevoking:
    def test_the_login_and_its_sessions_end(self, as_superuser, run, name, admin_url, logins):
        with signed_up(logins, f"gis_{name}", admin_url, operations=True) as login:
            assert run(name, "--revoke") == f"gis_{name} is gone, and 1 sessions with it\n"
            with pytest.raises(psycopg.OperationalError):
                login.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            connected(admin_url, f"gis_{name}")
        assert logins.all() == []

    def test_who_is_not_there_cannot_be_ended(self, as_superuser, run, name):
        with pytest.raises(CommandError, match="There is no login"):
            run(name, "--revoke")


class TestListing:
    def test_all_of_them_with_their_sessions(self, as_superuser, run, name, analyst, operations):
        told = [line.split() for line in run("--list").splitlines()]
        assert [line[:2] for line in told] == [
            [f"gis_{name}a", "careconnect_analyst"], [f"gis_{name}o", "careconnect_operations"],
        ]  # fmt: skip
        assert [line[-2:] for line in told] == [["1", "sessions"]] * 2

    def test_a_name_or_the_list(self, run):
        with pytest.raises(CommandError, match="name, or --list"):
            run()


class TestWithoutASuperuser:
    def test_the_sql_is_told_without_the_password_and_does_it(self, name, admin_url, monkeypatch, capsys, logins):
        monkeypatch.delenv("DATABASE_ADMIN_URL", raising=False)
        with pytest.raises(CommandError, match="Nothing is done yet"):
            call_command("create_analyst", name, "--operations")
        told = capsys.readouterr()
        password = password_in(told.err)
        assert password not in told.out
        assert logins.all() == []
        for _ in range(2):  # again: the same
            with psycopg.connect(admin_url, autocommit=True) as admin:
                admin.execute(told.out)
        with connected(admin_url, f"gis_{name}", password) as login:
            assert refusal(login, "SELECT FROM gis.rides") == ""
        assert [(one.role, one.operations) for one in logins.all()] == [(f"gis_{name}", True)]
