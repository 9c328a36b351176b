"""What is struck: a PostgreSQL cluster with full durability, a Redis, two server processes and a dispatcher."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.bench.own_code import own_code
from tests.bench.stage import AS_SHIPPED, START_LIMIT_S, BenchError, Stage, answers_http, libpq_env, run
from tests.environment import ROOT

SERVERS = 2
DRIVERS, PASSENGERS = 8, 10
# Shorter than in life, so that what faults leave behind ends within a run.
KNOBS = {
    "CARECONNECT_OFFER_TTL_S": "3", "CARECONNECT_DELIVERY_TIMEOUT_S": "2",
    "CARECONNECT_SEARCH_TIMEOUT_S": "10", "CARECONNECT_WAITING_RETRY_S": "0.5", "CARECONNECT_LOST_DRIVER_S": "20",
    "CARECONNECT_CATCH_UP_S": "2", "CARECONNECT_ADDRESS_SEARCHES_PER_HOUR": "1000000000",
}  # fmt: skip


def quiet_port() -> int:
    """A free loopback port that no connection gets by chance: while its owner is dead, nobody else must take it."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(1_000):
        port = random.randrange(min(first, 32_768) // 2, min(first, 32_768))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise BenchError("no free port was found below those of outgoing connections")


class Daemon:
    """A process that can be killed, stopped, ended and started again; `ready` tells from what it has
    printed since its start, or otherwise, whether it does its work."""

    def __init__(
        self, name: str, command: list[str], env: Mapping[str, str], log: Path, ready: Callable[[str], bool]
    ) -> None:
        self.name, self._command, self._env, self._log, self._ready = name, command, dict(env), log, ready
        self._child: subprocess.Popen[bytes] | None = None
        self._said_before = 0

    def start(self) -> None:
        """Start it; `wait` says when it is there."""
        with self._log.open("ab") as log:
            self._said_before = log.tell()
            # A session of its own, so that Ctrl-C reaches only us and the end is orderly.
            self._child = subprocess.Popen(
                self._command, cwd=ROOT, env=self._env, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip

    def wait(self) -> None:
        """Until it does its work; a `BenchError` when it ends instead or takes too long."""
        deadline = time.monotonic() + START_LIMIT_S
        while not self._ready(self._log.read_bytes()[self._said_before :].decode(errors="replace")):
            if self._child is None or self._child.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"{self.name} does not start; see {self._log}")
            time.sleep(0.05)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._child is not None
        self._child.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def end(self) -> None:
        """SIGTERM, and kill -9 when it does not end by itself."""
        if self._child is None:
            return
        self._child.send_signal(signal.SIGCONT)
        self._child.terminate()
        try:
            self._child.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()


class Postgres:
    """The cluster as something to strike: all its processes at once, as a failing machine would."""

    name = "postgresql"

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def start(self) -> None:
        """Start it again; it recovers from its log and is ready then."""
        self._stage.start()

    def wait(self) -> None:
        """`start` has waited."""

    def signal(self, number: int) -> None:
        """To the postmaster and then to each of its processes, which are our cluster's: they are its children."""
        postmaster = self._stage.postmaster()
        for pid in (postmaster, *_children(postmaster)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """kill -9. Starting waits until the last one is gone."""
        self.signal(signal.SIGKILL)

    def end(self) -> None:
        """SIGQUIT: PostgreSQL's own immediate end, without a checkpoint. An orderly one would wait for its clients."""
        self._stage.stop_at_once()


def _children(parent: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    yield int(entry.name)


class System:
    """All of it, from start to end; use it in a `with` statement. `targets` by name; servers are `server 0`, ...

    `careless`: PostgreSQL answers before it has written, so that a kill of it loses what was answered.
    """

    def __init__(self, folder: Path, *, keep: bool = False, careless: bool = False) -> None:
        self._careless = careless
        self.folder, self._ends = folder, ExitStack()
        self._stage = Stage(keep=keep, cluster=folder / "postgres", port=quiet_port(), limits=AS_SHIPPED)
        self.targets: dict[str, Daemon | Postgres] = {}
        self.ports = [quiet_port() for _ in range(SERVERS)]

    def __enter__(self) -> "System":
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._ends.enter_context(self._stage)
            self._set_up()
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def _set_up(self) -> None:
        self.fleet = self._stage.database("chaos", DRIVERS)
        if self._careless:
            with self.fleet.admin() as connection:
                for setting in ("synchronous_commit = off", "wal_writer_delay = '10s'"):
                    connection.execute(f"ALTER SYSTEM SET {setting}")
                connection.execute("SELECT pg_reload_conf()")
        people = ["-v", f"drivers={DRIVERS}", "-v", f"passengers={PASSENGERS}"]
        script = str(Path(__file__).with_name("people.sql"))
        run(["psql", "--no-psqlrc", "--quiet", "--file", script, *people], env=libpq_env(self.fleet.admin_url))
        with own_code(self._stage, self.fleet) as code:
            self.tokens = dict(enumerate(code.tokens(range(1, DRIVERS + PASSENGERS + 1)), 1))
        self.targets["postgresql"] = Postgres(self._stage)
        redis_url = self._redis()
        apart = {"CARECONNECT_DISPATCHER": "no"} if redis_url else {}
        self.env = env = self._stage.service_env(
            self.fleet, REDIS_URL=redis_url, PYTHONUNBUFFERED="1", **KNOBS, **apart
        )
        for number, port in enumerate(self.ports):
            here = {"PORT": str(port), "HOST": "127.0.0.1", "DB_POOL": "yes", "PYTHON": sys.executable}
            self._add(f"server {number}", ["bin/serve"], env | here, _serves(port))
        if redis_url:
            command = [sys.executable, "manage.py", "dispatcher"]
            self._add("dispatcher", command, env, lambda said: "dispatching" in said)
        for target in self.targets.values():
            target.wait()

    def _redis(self) -> str:
        """A Redis that keeps nothing over its end; where it is not installed "", and servers find out by themselves."""
        if shutil.which("redis-server") is None:
            return ""
        port = quiet_port()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        self._add("redis", command, os.environ, _accepts(port))
        return f"redis://127.0.0.1:{port}/0"

    def _add(self, name: str, command: list[str], env: Mapping[str, str], ready: Callable[[str], bool]) -> None:
        log = self.folder / f"{name.replace(' ', '-')}.log"
        log.unlink(missing_ok=True)
        self.targets[name] = daemon = Daemon(name, command, env, log, ready)
        self._ends.callback(daemon.end)
        daemon.start()


def _serves(port: int) -> Callable[[str], bool]:
    return lambda _said: answers_http(port)


def _accepts(port: int) -> Callable[[str], bool]:
    def ready(_said: str) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    return ready
