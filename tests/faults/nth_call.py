"""The fault machine: the Nth thing a command says to PostgreSQL fails, for every N there is.

`fail_each` runs a command once for each of its calls (tests/faults/wire.py) and judges every run: what the caller is
told; that the database holds what it held before, or all that the command does, never a part; that no transaction stays
open; and that the same command again comes to the end that an undisturbed one has. The database is put back each time.

Snapshots are whole tables. "Nothing happened" is the very same rows. "All of it" is what an undisturbed run leaves:
there ids differ, because numbers of rolled back rows are not given again, and times, by as long as the runs took.
"""

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import psycopg
from django.db import DatabaseError, InterfaceError, connection
from psycopg.pq import TransactionStatus

from mobility.errors import Refusal, refusal_for
from mobility.invariants.queries import broken_invariants
from tests.faults.wire import DEAD, Fault, Wire

Command = Callable[[], Any]
Outcome = tuple[str, Any]
Rows = dict[str, list[dict[str, Any]]]
# The times that two runs write, counted from when the database was put back, differ by less, and by what the slower
# of them took until it was looked at: a machine may stand still in the middle.
NEAR = timedelta(seconds=3)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


class Moment(NamedTuple):
    """A time of a row, and how long after the database was put back that was."""

    at: datetime
    after: timedelta

    def is_near(self, other: Any, by: timedelta) -> bool:
        """Whether it is the same time for two runs: the very same, which was given to both, or as long after."""
        return isinstance(other, Moment) and (self.at == other.at or abs(self.after - other.after) < by)


@dataclass(frozen=True)
class Snapshot:
    """The rows of the tables, and when they were taken; or, as `told`, how long after the beginning."""

    rows: Rows
    at: Any = field(compare=False)


class Tables:
    """What the product's tables hold, to be compared."""

    def __init__(self, admin_url: str) -> None:
        self._admin = psycopg.connect(admin_url, autocommit=True)
        keys = self._admin.execute(
            "SELECT relname, string_agg(attname, ', ' ORDER BY attnum) FROM pg_class c"
            " JOIN pg_index ON indrelid = c.oid AND indisprimary"
            " JOIN pg_attribute ON attrelid = c.oid AND attnum = ANY(indkey)"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname LIKE 'mobility\\_%'"
            " GROUP BY relname ORDER BY relname"
        ).fetchall()
        every = (f"'{t}', (SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY {k}), '[]') FROM {t} t)" for t, k in keys)
        self._all = f"SELECT jsonb_build_object({', '.join(every)}), now()"
        self._began = datetime.now(UTC)

    def close(self) -> None:
        """End the connection."""
        self._admin.close()

    def begin(self) -> Snapshot:
        """The tables now, from where `told` counts times."""
        taken = self.take()
        self._began = taken.at
        return taken

    def take(self) -> Snapshot:
        """The tables now."""
        return Snapshot(*self._admin.execute(self._all).fetchone())  # type: ignore[misc]

    def told(self, taken: Snapshot | None = None) -> Snapshot:
        """A snapshot as every run of the same command would have it: ids numbered through, times as distances."""
        taken = self.take() if taken is None else taken
        ids = {table: {row.get("id"): n for n, row in enumerate(rows)} for table, rows in taken.rows.items()}
        about = {"booking_id": ids["mobility_booking"], "offer_id": ids["mobility_offer"]}

        def value(table: str, column: str, found: Any) -> Any:
            if isinstance(found, dict):
                return {name: value(table, name, inner) for name, inner in found.items()}
            if isinstance(found, str) and _TIME.match(found):
                at = datetime.fromisoformat(found)
                return Moment(at, at - self._began)
            numbers = ids[table] if column == "id" else about.get(column, {})
            return numbers.get(found, found) if isinstance(found, int) else found

        told = {t: [{c: value(t, c, v) for c, v in row.items()} for row in rows] for t, rows in taken.rows.items()}
        return Snapshot(told, taken.at - self._began)


def differences(one: Snapshot, other: Snapshot) -> list[str]:
    """Where two snapshots as `told` differ, in words."""
    found, near = [], NEAR + max(one.at, other.at)
    for table in one.rows:
        for n, (left, right) in enumerate(itertools.zip_longest(one.rows[table], other.rows[table], fillvalue={})):
            for column in left.keys() | right.keys():
                a, b = left.get(column), right.get(column)
                if a != b and not (isinstance(a, Moment) and a.is_near(b, near)):
                    found.append(f"{table}[{n}].{column}: {a!r}, not {b!r}")
    return sorted(found)


def attempt(command: Command) -> Outcome:
    """How a command ends: "answered" and with what, "refused" or "failed" and the code of it.

    A connection that died is given up then, as the workers of the sockets do.
    """
    try:
        return "answered", command()
    except Refusal as refusal:
        return "refused", refusal.code
    except (DatabaseError, InterfaceError) as error:
        if connection.connection is None or connection.connection.closed:
            connection.close()
        known = refusal_for(error)
        return "failed", known.code if known else f"no answer to {error!r}"
    except Exception as error:
        return "failed", f"no answer to {error!r}"


@dataclass
class Machine:
    """Runs commands on a watched connection, each from the state that `restore` puts back."""

    wire: Wire
    tables: Tables
    restore: Command
    problems: list[str] = field(default_factory=list)

    def undisturbed(self, command: Command) -> tuple[Outcome, Snapshot, Outcome]:
        """What the command is answered, what it leaves behind, and what the same once more is answered."""
        self.fresh()
        attempt(command)  # the first one plans its statements
        self.fresh()
        with self.wire.failing(0, DEAD):
            first = attempt(command)
        whole = self.tables.told()
        self._look_for_damage("undisturbed")
        return first, whole, attempt(command)

    def fresh(self) -> Snapshot:
        """Put the database back; what it holds then."""
        self.restore()
        return self.tables.begin()

    def fail_each(self, command: Command, fault: Fault, *, only: str = "") -> list[str]:
        """Fail each call of the command in turn, or those that begin with `only`; what the failed ones said."""
        self.problems = []
        first, whole, again = self.undisturbed(command)
        said, failed = list(self.wire.said), []
        for nth in itertools.count(1):
            if nth <= len(said) and not said[nth - 1].startswith(only):
                continue
            before = self.fresh()
            with self.wire.failing(nth, fault):
                outcome = attempt(command)
            hit = self.wire.hit
            if hit is None:
                break
            failed.append(hit.says)
            where = f"call {nth} ({fault.name}: {hit.says[:80]})"
            untouched = self._judge(where, fault, outcome, before, first, whole)
            repeated, expected = attempt(command), first if untouched else again
            if repeated != expected:
                self.problems.append(f"{where}: the same again is told {repeated}, not {expected}")
            if wrong := differences(self.tables.told(), whole):
                self.problems.append(f"{where}: the same again ends otherwise: {wrong}")
        assert not self.problems, "\n".join(self.problems)
        return failed

    def _judge(
        self, where: str, fault: Fault, outcome: Outcome, before: Snapshot, first: Outcome, whole: Snapshot
    ) -> bool:
        """Note what is wrong after a failed run; whether nothing had happened."""
        hit, after = self.wire.hit, self.tables.take()
        assert hit is not None
        # A refusal stays one when only taking back what was never written fails, or psycopg's tidying after that.
        unharmed = hit.says in {"ROLLBACK", "DEALLOCATE ALL"} or (fault.retried and hit.in_transaction)
        expected = first if unharmed else ("failed", fault.code)
        if outcome != expected:
            self.problems.append(f"{where}: told {outcome}, not {expected}")
        must_be_done = outcome == first or (fault.after and hit.says == "COMMIT")
        may_be_done = must_be_done or (fault.after and not hit.in_transaction)
        untouched, missing = after == before, differences(self.tables.told(after), whole)
        if not (untouched and not must_be_done) and not (may_be_done and not missing):
            what = missing or "it was done, although it failed"
            self.problems.append(f"{where}: neither nothing nor all of it was done: {what}")
        self._look_for_damage(where, tables=not untouched)
        return untouched

    def _look_for_damage(self, where: str, *, tables: bool = True) -> None:
        """No transaction is left open; the invariants hold (where the rows were not looked at like this before)."""
        raw: Any = connection.connection
        if connection.in_atomic_block or (raw and raw.info.transaction_status != TransactionStatus.IDLE):
            self.problems.append(f"{where}: a transaction is left open")
            connection.close()
        if tables and (broken := broken_invariants()):
            self.problems.append(f"{where}: broken invariants {broken}")
