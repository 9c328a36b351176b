"""The interleaver: runs commands against each other in every order of their SQL statements.

Each command is a real service call on a thread of its own with a database connection of its own. A gate stands before
every statement it sends, through the ORM or past it, and before COMMIT (which runs the deferred constraint triggers)
and ROLLBACK; BEGIN takes no lock and no snapshot and goes out with the first statement. A schedule is a word such as
"AABAB": whose next statement runs. `explore` runs all there are, each once, depth first: it runs one to its end, sees
where another command could have gone on instead, and takes those turns later. The tree follows what happens, so
commands may send more statements in one order than in another, and transactions may start over after a deadlock;
`state_change` bounds how often. Only there is a schedule not certain to repeat itself: PostgreSQL picks the victim.

A statement that waits for a lock is known by `pg_blocking_pids`, asked over a further connection: once whoever stands
in its way stands at a gate, only a turn of theirs can end the wait, so nobody else is asked whether to go on, and
orders that differ only in when the waiting one "would have had its turn" are one schedule from the start. When a
waiting statement was *sent* does matter (its snapshot is of then) and stays part of the schedule.

What subscribers do after a commit (a freed driver is offered a waiting ride) are transactions of their own. By default
they follow directly on their command's COMMIT, and nobody else has a turn meanwhile unless they wait for a lock. With
`reactions_take_turns` the schedule says when each of these transactions runs, still each as a whole: their statements
are interleaved where the same service is called as a command.

Before every schedule `restore` puts the database back (tests/put_back.py): the same rows with the same ids, as if they
were of this moment. So nothing has to be normalised, and no schedule sees another one's drivers.

What each command answered and what the database holds in the end (`observe`) must be equal to that of a serial order:
the commands one after another, in some order. Where reactions take turns, a serial order is one of whole transactions.
A statement that reads nothing but what no command changes (UNCHANGING) comes out the same at whatever moment it runs,
so it has no gate: it goes on with the one before it.

`finish`, for what time brings in any case, runs before it is looked at. The invariants read whole tables, so they are
checked after every schedule whose outcome is new among those of its commands, and after every eighth of the others.

A failure says how to run its schedule alone: with REPLAY="accept / cancel AABAB" in the environment only that schedule
of the commands explored by that name is run (after the serial ones), and its trace is printed: a line a statement, `*`
where it is a reaction's.
"""

import itertools
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg
from django.db import DatabaseError, connection, connections
from psycopg.pq import TransactionStatus

from mobility.errors import Refusal, refusal_for
from mobility.invariants.queries import broken_invariants

Command = Callable[[], Any]
IDLE, AT_GATE, MOVING = "idle", "at gate", "moving"
STUCK_AFTER_S = 30
CHECKED_EVERY = 8
SEED = 20_261_129
UNCHANGING = {"mobility_service_area"}


class Player:
    """One command's thread and connection, and the gate before each of its statements."""

    def __init__(self, letter: str, table: threading.Condition) -> None:
        self.letter, self._table, self.state, self.reacting = letter, table, IDLE, 0
        self.says, self.inside = "", False  # what is sent when the gate opens, and whether in a begun transaction
        self._open = False  # the gate, for good: what is under way may end by itself
        self._thread = ThreadPoolExecutor(1)
        self.pid = self._thread.submit(self._connect).result()

    def _connect(self) -> int:
        connection.ensure_connection()
        raw: Any = connection.connection
        raw.execute(f"SET lock_timeout = '{STUCK_AFTER_S}s'")
        raw.execute(f"SET statement_timeout = '{STUCK_AFTER_S}s'")
        raw.execute(f"SET idle_in_transaction_session_timeout = '{STUCK_AFTER_S}s'")
        self._send, raw.wait = raw.wait, self._gated  # every statement of every cursor of psycopg goes through here
        django = connections["default"]
        self._react, django.run_and_clear_commit_hooks = django.run_and_clear_commit_hooks, self._reacts
        return int(raw.info.backend_pid)

    def _close(self) -> None:
        connection.close()

    def _gated(self, generator: Any, *args: Any, **kwargs: Any) -> Any:
        kind = generator.__name__
        if kind == "_execute_gen":
            query = generator.gi_frame.f_locals["query"]
            text = query.decode() if isinstance(query, bytes) else str(query)
            if not reads_only_what_stays(text):
                self._wait_for_turn(text)
        elif kind in {"_commit_gen", "_rollback_gen"} and connection.connection.info.transaction_status:
            self._wait_for_turn(kind[1:-4].upper())
        return self._send(generator, *args, **kwargs)

    def _wait_for_turn(self, says: str) -> None:
        if self._open:
            return
        with self._table:
            self.says, self.state = " ".join(says.split()), AT_GATE
            self.inside = connection.connection.info.transaction_status != TransactionStatus.IDLE
            self._table.notify_all()
            self._table.wait_for(lambda: self.state == MOVING or self._open)

    def _reacts(self) -> None:
        self.reacting += 1
        try:
            self._react()
        finally:
            self.reacting -= 1

    def start(self, command: Command) -> "Future[Any]":
        """Run the command up to its first gate; the future is its answer."""
        self.state = MOVING
        return self._thread.submit(self._play, command)

    def _play(self, command: Command) -> Any:
        try:
            return answer_of(command)
        finally:
            with self._table:
                self.state = IDLE
                self._table.notify_all()

    def go(self) -> None:
        """Open the gate for one statement."""
        with self._table:
            self.state = MOVING
            self._table.notify_all()

    def leave(self) -> None:
        """Let what is under way end by itself, close the connection and end the thread."""
        with self._table:
            self._open = True
            self._table.notify_all()
        self._thread.submit(self._close).result()
        self._thread.shutdown()


def reads_only_what_stays(query: str) -> bool:
    """Whether a statement looks at nothing that a command could have changed before it."""
    tables = set(re.findall(r"\bmobility_\w+", query))
    return bool(tables) and tables <= UNCHANGING


def answer_of(command: Command) -> Any:
    """What the caller is told: the value, or the code of the refusal, also of one that the database made."""
    try:
        return command()
    except Refusal as refusal:
        return f"refused: {refusal.code}"
    except DatabaseError as error:
        refusal = refusal_for(error)
        return f"refused by the database: {refusal.code}" if refusal else f"failed: {error!r}"


@dataclass
class Played:
    """One schedule that was run: whose turn each was, who else could have had it, what came of it."""

    turns: str = ""
    could: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    outcome: Any = None
    broken: Any = None


@dataclass
class Report:
    """All schedules of some commands: how many, the serial outcomes, and those that equal none of them."""

    name: str
    schedules: int = 0
    serial: dict[str, Any] = field(default_factory=dict)
    odd: list[Played] = field(default_factory=list)

    def check(self, where: str) -> None:
        """Fail, saying how to run it again, where an outcome equals no serial order or an invariant is broken."""
        if self.odd:
            first = self.odd[0]
            lines = [f"{self.name}: {len(self.odd)} of {self.schedules} schedules come out as no serial order does"]
            lines += [f"the first: REPLAY='{self.name} {first.turns}' pytest -s '{where}'", *first.trace]
            lines += [f"came to   {first.outcome}", *(f"serial {order}: {o}" for order, o in self.serial.items())]
            raise AssertionError("\n".join([*lines, f"broken invariants: {first.broken}"]))


def _all(play: Callable[[str], Played], at_most: int | None = None) -> Iterator[Played]:
    """Every schedule, depth first; with `at_most` so many, wherever chance leads, the same in every run."""
    todo, chance = [""], random.Random(SEED)
    for _ in itertools.count() if at_most is None else range(at_most):
        if not todo:
            return
        if at_most is not None:
            at = chance.randrange(len(todo))
            todo[at], todo[-1] = todo[-1], todo[at]
        prefix = todo.pop()
        played = play(prefix)
        yield played
        for i in range(len(prefix), len(played.turns)):
            todo += [played.turns[:i] + other for other in played.could[i] if other != played.turns[i]]


class Interleaver:
    """Up to three players and the one who says whose turn it is."""

    def __init__(self, admin_url: str, players: int = 3) -> None:
        self._table = threading.Condition()
        self._watcher = psycopg.connect(admin_url, autocommit=True)
        # Whoever closes a circle of waiting finds out at once, and is so the victim.
        self._app = f"ALTER ROLE careconnect_app IN DATABASE {self._watcher.info.dbname}"
        self._watcher.execute(f"{self._app} SET deadlock_timeout = '1ms'")
        self._letters, self._together = "ABC"[:players], False
        self._players = self._new_players()

    def _new_players(self) -> list[Player]:
        return [Player(letter, self._table) for letter in self._letters]

    def _dismiss(self) -> None:
        with ThreadPoolExecutor(len(self._players)) as at_once:  # they may be waiting for each other's locks
            list(at_once.map(Player.leave, self._players))

    def close(self) -> None:
        """End the players."""
        self._dismiss()
        self._watcher.execute(f"{self._app} RESET deadlock_timeout")
        self._watcher.close()

    def explore(
        self, name: str, commands: list[Command], restore: Command, observe: Command, *,
        finish: Command | None = None, reactions_take_turns: bool = False, at_most: int | None = None,
    ) -> Report:  # fmt: skip
        """Run every schedule of the commands (or what REPLAY says), each from the restored state.

        `at_most` so many where there are more, unless EVERY_ORDER is set.
        """
        report, seen = Report(name), set()
        wanted, _, replay = os.environ.get("REPLAY", "").rpartition(" ")
        if wanted not in {"", name}:
            return report
        self._together = reactions_take_turns

        def play(prefix: str, order: str = "ABC", *, whole: bool = False) -> Played:
            restore()
            try:
                played, answers = self._play(commands, prefix, order, whole=whole)
            except BaseException:
                # Stopped in the middle: whoever comes next gets players who stand at no gate.
                self._dismiss()
                self._players = self._new_players()
                raise
            if finish is not None:
                finish()
            played.outcome = (answers, observe())
            if repr(played.outcome) not in seen or report.schedules % CHECKED_EVERY == 0:
                seen.add(repr(played.outcome))
                played.broken = broken_invariants()
            return played

        orders = map("".join, itertools.permutations("ABC"[: len(commands)]))
        serial = list(_all(partial(play, whole=True))) if self._together else [play("", order) for order in orders]
        report.serial = {played.turns: played.outcome for played in serial}
        report.odd = [played for played in serial if played.broken]
        if os.environ.get("EVERY_ORDER"):
            at_most = None
        for played in [play(replay)] if replay else _all(play, at_most):
            report.schedules += 1
            if played.broken or played.outcome not in report.serial.values():
                report.odd.append(played)
            if replay:
                print(*played.trace, played.outcome, sep="\n")
        return report

    def _play(self, commands: list[Command], prefix: str, order: str, *, whole: bool) -> tuple[Played, list[Any]]:
        """One schedule: the turns of `prefix`, then whoever stands first in `order` as long as they can go on.

        Reactions follow at once or, where they take turns, run as whole transactions; with `whole`, everything does.
        """
        played = Played()
        players = self._players[: len(commands)]
        answers = [player.start(command) for player, command in zip(players, commands, strict=True)]
        while ready := {player.letter: player for player in self._at_gates(players)}:
            together = self._together
            alone = [p for p in ready.values() if (p.inside and (p.reacting or whole)) or (p.reacting and not together)]
            turn = len(played.turns)
            if alone:
                chosen = alone[0]
            else:
                # After a deadlock with the other victim, the one who should be next may have to wait.
                wanted = prefix[turn : turn + 1] + order
                chosen = next(ready[letter] for letter in wanted if letter in ready)
                played.turns += chosen.letter
                played.could.append("".join(ready))
            played.trace.append(f"  {chosen.letter}{'*' if chosen.reacting else ' '} {chosen.says[:100]}")
            chosen.go()
        return played, [answer.result() for answer in answers]

    def _at_gates(self, players: list[Player]) -> list[Player]:
        """Wait until nobody can move without a turn; who stands at a gate then (nobody: all are done)."""
        limit, patience = time.monotonic() + STUCK_AFTER_S + 5, 0.001
        while True:
            with self._table:
                self._table.wait_for(lambda: all(p.state != MOVING for p in players), timeout=patience)
                moving = {p.pid for p in players if p.state == MOVING}
                at_gates = [p for p in players if p.state == AT_GATE]
            if not moving or (at_gates and self._all_blocked(moving, {p.pid for p in at_gates})):
                return at_gates
            assert time.monotonic() < limit, "a command neither comes to its next statement nor waits for another"
            patience = min(1.5 * patience, 0.02)

    def _all_blocked(self, moving: set[int], standing: set[int]) -> bool:
        """Whether each of `moving` waits for a lock of one who stands, or of one who waits for one who stands."""
        sql = "SELECT pid, pg_blocking_pids(pid) FROM unnest(%s::int[]) pid"
        waits = {pid: set(blockers) for pid, blockers in self._watcher.execute(sql, [list(moving)])}
        stuck = set(standing)
        while more := {pid for pid, blockers in waits.items() if pid not in stuck and blockers & stuck}:
            stuck |= more
        return moving <= stuck
