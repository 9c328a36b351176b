"""Logins of analysts: roles of PostgreSQL that are members of the groups of schema gis, and nothing else.

A login is called `gis_` and a name, and carries a comment that says whose database it is for. Roles without that
comment are never touched, whatever they are called.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

PREFIX = "gis_"
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
CONNECTIONS = 5
ITERATIONS = 4096  # PostgreSQL's own
ANALYST, OPERATIONS, OWNER = "careconnect_analyst", "careconnect_operations", "careconnect_owner"


class LoginRefused(Exception):
    """What was asked for can't be; the text says why."""


class Login(NamedTuple):
    """A login there is."""

    role: str
    operations: bool
    valid_until: datetime | None
    sessions: int


def role_named(name: str) -> str:
    """The role of an analyst called `name`, with or without the prefix; raises LoginRefused for what is no name."""
    plain = name.removeprefix(PREFIX)
    if not NAME.fullmatch(plain):
        raise LoginRefused("The name is 1 to 40 small letters, digits and _, and begins with a letter.")
    return PREFIX + plain


def new_password() -> str:
    """192 random bits in letters, digits, - and _."""
    return secrets.token_urlsafe(24)


def scram_verifier(password: str, salt: bytes | None = None) -> str:
    """What PostgreSQL stores of an ASCII password (RFC 5803), so that the password is in no statement and no log."""
    salt = secrets.token_bytes(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${ITERATIONS}:{salt64}${stored64}:{server64}"


def statements_to_make(
    role: str, *, operations: bool, verifier: str, valid_until: datetime, database: str, timeout_s: float
) -> list[sql.Composed]:
    """What a superuser runs, in one transaction, to make a login of this database, or to set all of it anew."""
    name, until = sql.Identifier(role), sql.Literal(valid_until.isoformat())
    grant = "GRANT {} TO {}" if operations else "REVOKE {} FROM {}"
    return [
        sql.SQL("DO {}").format(sql.Literal(_there_or_made(role, database))),
        sql.SQL(
            "ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT"
            " CONNECTION LIMIT {} PASSWORD {} VALID UNTIL {}"
        ).format(name, sql.Literal(CONNECTIONS), sql.Literal(verifier), until),
        sql.SQL("COMMENT ON ROLE {} IS {}").format(name, sql.Literal(mark(database))),
        sql.SQL("GRANT {} TO {}").format(sql.Identifier(ANALYST), name),
        sql.SQL(grant).format(sql.Identifier(OPERATIONS), name),
        # So that the service's dispatcher may end what this login computes for too long.
        sql.SQL("GRANT {} TO {}").format(name, sql.Identifier(OWNER)),
        *(
            sql.SQL("ALTER ROLE {} SET {} = {}").format(name, sql.Identifier(setting), value)
            for setting, value in _settings(timeout_s).items()
        ),
    ]


def _there_or_made(role: str, database: str) -> str:
    """Makes the role where there is none; stops where it is somebody else's."""
    query = sql.SQL(
        "BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {role}) THEN CREATE ROLE {name};"
        " ELSIF (SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = {role})"
        " IS DISTINCT FROM {mark} THEN RAISE EXCEPTION {refused}; END IF; END"
    ).format(
        role=sql.Literal(role), name=sql.Identifier(role), mark=sql.Literal(mark(database)),
        refused=sql.Literal(f"the role {role} is no login of this database"),
    )  # fmt: skip
    return query.as_string(None)


def _settings(timeout_s: float) -> dict[str, sql.Composable]:
    plain = {
        "default_transaction_read_only": "on",
        "statement_timeout": f"{timeout_s * 1000:.0f}ms",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "5min",
        "idle_session_timeout": "1h",
        "work_mem": "32MB",
        "max_parallel_workers_per_gather": "1",
        # The one that a login cannot set back.
        "temp_file_limit": "1GB",
    }
    listed = sql.SQL(", ").join([sql.Identifier("gis"), sql.Identifier("public")])
    return {name: sql.Literal(value) for name, value in plain.items()} | {"search_path": listed}


def mark(database: str) -> str:
    """The comment of a login of this database."""
    return f"CareConnect: analyst of database {database}, made by manage.py create_analyst"


class Logins:
    """The logins of one database, through a superuser's connection to it that commits each statement."""

    def __init__(self, admin: "psycopg.Connection[Any]") -> None:
        self._admin = admin
        self._mark = mark(admin.info.dbname)

    def make(self, role: str, password: str, *, operations: bool, valid_until: datetime, timeout_s: float) -> bool:
        """Make the login; False: it was there, and has this password and all else anew. Its sessions go on."""
        new = not self._is_ours(role)
        with self._admin.transaction():
            for statement in statements_to_make(
                role, operations=operations, verifier=scram_verifier(password), valid_until=valid_until,
                database=self._admin.info.dbname, timeout_s=timeout_s,
            ):  # fmt: skip
                self._admin.execute(statement)
        return new

    def revoke(self, role: str) -> int:
        """End the login and its sessions, how many; nothing of it stays. Raises LoginRefused when there is none."""
        name = sql.Identifier(role)
        if not self._is_ours(role):
            raise LoginRefused(f"There is no login {role}.")
        self._admin.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(name))  # from here on nobody new comes in
        ended = self._rows("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = %s", role)
        with self._admin.transaction():
            self._admin.execute(sql.SQL("DROP OWNED BY {}").format(name))
            self._admin.execute(sql.SQL("DROP ROLE {}").format(name))
        return len(ended)

    def all(self) -> list[Login]:
        """Every login of this database, by name."""
        found = self._rows(
            "SELECT rolname, pg_has_role(r.oid, %s, 'MEMBER'), nullif(rolvaliduntil, 'infinity'),"
            " (SELECT count(*) FROM pg_stat_activity a WHERE a.usesysid = r.oid)"
            " FROM pg_roles r WHERE shobj_description(r.oid, 'pg_authid') = %s ORDER BY rolname",
            OPERATIONS, self._mark,
        )  # fmt: skip
        return [Login(*row) for row in found]

    def _is_ours(self, role: str) -> bool:
        """Whether it is a login of this database; raises LoginRefused for a role of that name that is none."""
        found = self._rows("SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = %s", role)
        if found and found[0][0] != self._mark:
            raise LoginRefused(f"There is a role {role} that is no login of this database. Choose another name.")
        return bool(found)

    def _rows(self, query: Any, *params: Any) -> Sequence[Any]:
        return self._admin.execute(query, params).fetchall()
