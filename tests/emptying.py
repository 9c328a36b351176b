"""The database as it was before a test that committed: empty, and every number begins at one again."""

import itertools
from typing import Any

import psycopg

_kept: dict[str, "psycopg.Connection[Any]"] = {}
_times = itertools.count(1)
# Emptying row by row leaves dead rows behind, in the indexes too.
NEW_FILES_EVERY = 200
MANY_ROWS = 2_000
TABLES = """
    SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public'
    AND tablename NOT IN ('spatial_ref_sys', 'django_migrations', 'django_content_type', 'auth_permission',
        'mobility_allowed_move') AND tablename NOT LIKE 'mobility\\_position\\_%'"""
# The versions of what maps show have sequences of their own: these go on, because servers remember them.
BY_ROW = f"""
DO $$
DECLARE
    one text;
    there bigint;
    is_large boolean := false;
BEGIN
    EXECUTE (SELECT 'LOCK TABLE ' || string_agg(name, ', ') || ' IN SHARE ROW EXCLUSIVE MODE' FROM ({TABLES}) t);
    SET LOCAL session_replication_role = replica;
    FOR one IN {TABLES} LOOP
        EXECUTE format('SELECT count(*) FROM (SELECT FROM %s LIMIT {MANY_ROWS}) r', one) INTO there;
        is_large := is_large OR there = {MANY_ROWS};
        IF there > 0 THEN
            EXECUTE 'DELETE FROM ' || one;
        END IF;
    END LOOP;
    PERFORM CASE WHEN d.objid IS NULL THEN nextval(s.seqrelid) ELSE setval(s.seqrelid, s.seqstart, false) END
    FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid AND c.relnamespace = 'public'::regnamespace
    LEFT JOIN pg_depend d ON d.objid = s.seqrelid AND d.classid = 'pg_class'::regclass
        AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i');
    PERFORM set_config('emptying.is_large', is_large::text, false);
END $$"""


def empty(admin_url: str) -> None:
    """Empty every table but those that migrations fill, as the superuser.

    Waits for transactions that still write, of a server whose client is gone.
    """
    for last_try in (False, False, False, True):
        try:
            _empty(superuser(admin_url))
        except psycopg.errors.DeadlockDetected:
            if last_try:
                raise
        else:
            return


def superuser(admin_url: str) -> "psycopg.Connection[Any]":
    """This process's connection for what is done before and after tests, in autocommit: it stays open, and warm."""
    if (kept := _kept.get(admin_url)) is not None:
        try:
            kept.execute("")
        except psycopg.OperationalError:  # a test has restarted PostgreSQL
            kept.close()
        else:
            return kept
    _kept[admin_url] = psycopg.connect(admin_url, autocommit=True)
    return _kept[admin_url]


def _empty(admin: "psycopg.Connection[Any]") -> None:
    admin.execute(BY_ROW)
    is_large = admin.execute("SELECT current_setting('emptying.is_large') = 'true'").fetchone() == (True,)
    if is_large or next(_times) % NEW_FILES_EVERY == 0:
        # Positions keep the files of their days, which are many.
        names = admin.execute(f"SELECT string_agg(name, ', ') FROM ({TABLES}) t WHERE name <> 'mobility_position'")
        admin.execute(f"TRUNCATE {(names.fetchone() or [''])[0]} RESTART IDENTITY CASCADE")
