"""manage.py create_analyst"""

import os
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from mobility.analytics.logins import (
    ANALYST,
    OPERATIONS,
    LoginRefused,
    Logins,
    new_password,
    role_named,
    scram_verifier,
    statements_to_make,
)
from mobility.conf import knobs

DAYS, MOST_DAYS = 365, 5 * 365
SERVICE = "careconnect_gis"


class Command(BaseCommand):
    """Makes, lists and revokes logins of analysts."""

    help = (
        "A login of PostgreSQL that reads schema gis and nothing else, for psql, QGIS and the like. Its password is "
        "printed once and not stored; a second run gives a new one. Needs DATABASE_ADMIN_URL, the URL of a superuser, "
        "which `make manage` knows of the private database; without it, the SQL for a superuser is printed. "
        "Example: manage.py create_analyst anna --days 90"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("name", nargs="?", help="whose login; it is called gis_NAME")
        parser.add_argument(
            "--operations", action="store_true",
            help=f"also single rides, trips and drivers ({OPERATIONS}); else only what tells of nobody ({ANALYST})",
        )  # fmt: skip
        until = parser.add_mutually_exclusive_group()
        until.add_argument("--days", type=int, default=DAYS, help=f"until it ends; {DAYS}, at most {MOST_DAYS}")
        until.add_argument("--valid-until", type=_date, metavar="DATE", help="the last day (UTC), as 2030-12-31")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--revoke", action="store_true", help="end the login and its sessions")
        what.add_argument("--list", action="store_true", help="show all logins")
        parser.add_argument("--host", help="the database as analysts reach it, where that is not as the service does")
        parser.add_argument("--port", help="likewise")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do one of them."""
        if (options["name"] is None) != options["list"]:
            raise CommandError("Give a name, or --list.")
        try:
            if options["list"]:
                self._list()
            elif options["revoke"]:
                self._revoke(role_named(options["name"]))
            else:
                self._make(role_named(options["name"]), options)
        except (LoginRefused, psycopg.Error) as error:
            raise CommandError(str(error)) from error

    def _make(self, role: str, options: dict[str, Any]) -> None:
        until = options["valid_until"] or datetime.now(UTC) + timedelta(days=options["days"])
        if not timedelta() < until - datetime.now(UTC) <= timedelta(days=MOST_DAYS + 1):
            raise CommandError(f"A login ends in 1 to {MOST_DAYS} days.")
        wanted = {
            "operations": options["operations"], "valid_until": until,
            "timeout_s": knobs().analyst_statement_timeout_s,
        }  # fmt: skip
        password = new_password()
        with _admin() as logins:
            if logins is None:
                self._tell_superuser(role, password, wanted, options)
            new = logins.make(role, password, **wanted)
        group = OPERATIONS if options["operations"] else ANALYST
        self.stdout.write(f"{role} {'made' if new else 'set anew'}, in {group}, until {until:%Y-%m-%d %H:%M} UTC")
        self.stdout.write(_how_to_connect(role, password, options))

    def _tell_superuser(self, role: str, password: str, wanted: dict[str, Any], options: dict[str, Any]) -> NoReturn:
        made = statements_to_make(role, verifier=scram_verifier(password), database=_database()["NAME"], **wanted)
        lines = ["BEGIN;", *(f"{statement.as_string(None)};" for statement in made), "COMMIT;"]
        self.stdout.write("\n".join(lines))
        self.stderr.write(_how_to_connect(role, password, options))
        raise CommandError(
            "Nothing is done yet: DATABASE_ADMIN_URL is not set, and neither the service nor the owner of its tables "
            f"may make roles. Let a superuser run the SQL above in the database {_database()['NAME']}."
        )

    def _revoke(self, role: str) -> None:
        with _admin() as logins:
            if logins is None:
                raise CommandError(
                    f"DATABASE_ADMIN_URL is not set. A superuser ends the login with ALTER ROLE {role} NOLOGIN; its "
                    f"sessions with pg_terminate_backend; and then all of it: DROP OWNED BY {role}; DROP ROLE {role};"
                )
            self.stdout.write(f"{role} is gone, and {logins.revoke(role)} sessions with it")

    def _list(self) -> None:
        with _admin() as logins:
            if logins is None:
                raise CommandError("DATABASE_ADMIN_URL is not set.")
            for one in logins.all():
                until = "for ever" if one.valid_until is None else f"until {one.valid_until:%Y-%m-%d}"
                group = OPERATIONS if one.operations else ANALYST
                self.stdout.write(f"{one.role:<44} {group:<22} {until:<16} {one.sessions} sessions")


def _date(text: str) -> datetime:
    """The end of a day, UTC."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a date like 2030-12-31") from None
    return day + timedelta(days=1)


@contextmanager
def _admin() -> Iterator[Logins | None]:
    """The logins of the service's database; None where nobody told who may make them."""
    if not (url := os.environ.get("DATABASE_ADMIN_URL")):
        yield None
        return
    url = url.replace("postgis://", "postgresql://", 1)
    with psycopg.connect(url, dbname=_database()["NAME"], autocommit=True, connect_timeout=10) as connection:
        yield Logins(connection)


def _database() -> dict[str, Any]:
    return settings.DATABASES["default"]


def _how_to_connect(role: str, password: str, options: dict[str, Any]) -> str:
    database = _database()
    host, port = options["host"] or database["HOST"] or "localhost", options["port"] or database["PORT"] or 5432
    name, ssl = database["NAME"], database.get("OPTIONS", {}).get("sslmode")
    entry = [f"host={host}", f"port={port}", f"dbname={name}", f"user={role}", *([f"sslmode={ssl}"] if ssl else [])]
    return "\n".join(
        [
            "password, told this once:", f"  {password}", "",
            "psql:", f'  psql "{" ".join(entry)}"', "",
            "~/.pgpass, readable by you only (chmod 600), and nobody asks for it any more:",
            f"  {host}:{port}:{name}:{role}:{password}", "",
            f"~/.pg_service.conf, then `psql service={SERVICE}`, and in QGIS the service {SERVICE}:",
            f"[{SERVICE}]", *entry,
        ]
    )  # fmt: skip
