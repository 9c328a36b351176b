"""The database as it was at one moment, put back any number of times, in milliseconds each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg


@contextmanager
def kept(admin_url: str) -> Iterator[Callable[[], None]]:
    """Keep the rows of this moment; calling what is given puts them back, ids and all, as if they were of that one.

    Every time is as long ago or ahead then as it was, but for hours that were counted. As the superuser, with guards
    off, and while no other transaction is open. Sequences go on, so rows made later have other ids than before.
    """
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("SET session_replication_role = replica")
        columns = admin.execute(
            "SELECT relname, string_agg(attname || CASE WHEN atttypid = 'timestamptz'::regtype"
            " AND attname <> 'hour'"
            " THEN format(' + (now() - %L::timestamptz)', now()) ELSE '' END, ', ' ORDER BY attnum),"
            " string_agg(attname, ', ' ORDER BY attnum)"
            " FROM pg_class c JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped"
            " AND attgenerated = ''"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname LIKE 'mobility\\_%'"
            " AND relname <> 'mobility_allowed_move' GROUP BY relname ORDER BY relname"
        ).fetchall()
        deleted = [f"IF EXISTS (SELECT FROM {table}) THEN DELETE FROM {table}; END IF" for table, _, _ in columns]
        steps = []
        for table, moved, names in columns:
            if admin.execute(f"SELECT FROM {table} LIMIT 1").fetchone() is not None:
                admin.execute(f"CREATE TEMP TABLE kept_{table} AS SELECT * FROM {table}")
                steps.append(f"INSERT INTO {table} ({names}) SELECT {moved} FROM kept_{table}")
        # A function of this session: its statements are planned once, not at every call.
        admin.execute(
            "CREATE FUNCTION pg_temp.put_back() RETURNS void LANGUAGE plpgsql AS"
            f" $$BEGIN {'; '.join([*deleted, *steps])}; END$$"
        )
        yield lambda: admin.execute("SELECT pg_temp.put_back()") and None
