"""What the benches stand on: a PostgreSQL cluster of their own, fleets in it, and processes that end with the run."""

import contextlib
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import dict_row

from tests.bench.report import console, say
from tests.environment import ROOT, connection_urls, grant_as_bootstrap_does, libpq, on_database

CLUSTER = ROOT / "var" / "bench-postgres"
RESULTS = ROOT / "var" / "bench"
LOGS = ROOT / "var" / "log"
TEMPLATE = "careconnect"
PASSENGERS = 5_000
FLEET_SEED = 0.42
# What rides leave behind, all of it.
OF_RIDES = (
    "mobility_booking", "mobility_ride_event", "mobility_offer", "mobility_driver_inbox", "mobility_search_round",
    "mobility_search_considered", "mobility_trip",
)  # fmt: skip
STALE_AFTER_S = 86_400  # the fleet's positions stay fresh for the whole run
START_LIMIT_S = 60
PATIENT = {"DB_STATEMENT_TIMEOUT_MS": "30000", "DB_LOCK_TIMEOUT_MS": "30000"}
AS_SHIPPED: dict[str, str] = {}
_OURS = ("CARECONNECT_", "DATABASE_", "DB_", "DJANGO_", "PG", "REDIS_", "WEB_CONCURRENCY", "HOST", "PORT", "LOG_")


class Box(NamedTuple):
    """Where pickups are drawn, evenly: a square by its south-west corner and side in degrees."""

    longitude: float
    latitude: float
    side_deg: float = 0.1


# The middle of a city of fleet.sql each.
DENSE = Box(28.0, -26.3)
NEARLY_ALL_BUSY = Box(22.0, -30.1)
ALL_BUSY = Box(20.0, -32.1)
EMPTY_SEA = Box(10.0, -40.0)
HOT_SPOT = Box(28.05, -26.25, 0.0)


@dataclass(frozen=True)
class Fleet:
    """A database with this many drivers."""

    drivers: int
    app_url: str
    admin_url: str

    @contextlib.contextmanager
    def admin(self) -> Iterator["psycopg.Connection[Any]"]:
        """A superuser's connection, committing each statement."""
        with psycopg.connect(libpq(self.admin_url), autocommit=True) as connection:
            yield connection

    def one(self, query: str) -> Any:
        """The first column of the first row."""
        with self.admin() as connection:
            row = connection.execute(query).fetchone()
        return row[0] if row else None

    def row(self, query: str, *, search_path: str = "public") -> dict[str, Any]:
        """The first row by the names of its columns."""
        with self.admin() as connection, connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(f"SET search_path = {search_path}")
            found = cursor.execute(query).fetchone()
        assert found is not None
        return found

    def forget_rides(self) -> None:
        """No rides, their drivers free again, and tables and indexes as tidy as before them."""
        with self.admin() as connection:
            connection.execute("SET session_replication_role = replica")
            bound = "(SELECT driver_id FROM mobility_booking WHERE driver_id IS NOT NULL)"
            connection.execute(f"UPDATE mobility_driver SET status = 'available' WHERE id IN {bound}")
            connection.execute(
                "UPDATE mobility_driver_location SET dispatchable = true, status = 'available'"
                f" WHERE driver_id IN {bound}"
            )
            connection.execute(
                "UPDATE mobility_driver SET inbox_seq = 0, missed_offers = 0 WHERE inbox_seq > 0 OR missed_offers > 0"
            )
            connection.execute(f"TRUNCATE {', '.join(OF_RIDES)}")
            for table in ("mobility_driver", "mobility_driver_location", *OF_RIDES):
                connection.execute(f"VACUUM {table}")
            connection.execute("CHECKPOINT")

    def rides(self) -> tuple[int, int, int]:
        """Rides, how many of them are confirmed, and how many drivers have more than one."""
        with self.admin() as connection:
            counted = connection.execute(
                """SELECT count(*), count(*) FILTER (WHERE status = 'confirmed' AND driver_id IS NOT NULL),
                    count(driver_id) - count(DISTINCT driver_id) FROM mobility_booking"""
            ).fetchone()
        assert counted is not None
        return counted[0], counted[1], counted[2]


class Stage:
    """The cluster from its start to its end; use it in a `with` statement. With a port it is always on that one.

    `limits`: how long the service waits for its database. A bench's is patient: a disk that stands still for seconds
    shows in the figures and does not end the run. Where faults are tried, what it does then is part of the trial.
    """

    def __init__(
        self, *, keep: bool, cluster: Path = CLUSTER, port: int | None = None, limits: Mapping[str, str] = PATIENT
    ) -> None:
        self._keep, self._folder, self._limits = keep, cluster, limits
        self._port = [] if port is None else ["--port", str(port)]
        self._fleets: dict[str, Fleet] = {}
        self._secret = secrets.token_urlsafe(60)

    def __enter__(self) -> "Stage":
        say("starting a PostgreSQL of its own, with full durability")
        self._cluster("destroy")
        try:
            self.start()
            self.urls = connection_urls(self._folder)
            owner = {"DATABASE_OWNER_URL": self.urls["DATABASE_OWNER_URL"]}
            subprocess.run(
                [sys.executable, "manage.py", "migrate", "--database", "owner", "-v", "0"],
                cwd=ROOT, check=True, env=self._env(self.urls["DATABASE_URL"], owner),
            )  # fmt: skip
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster("stop" if self._keep else "destroy")

    def start(self) -> None:
        """Start the cluster, again after an end it did not choose."""
        self._cluster("start", *self._port)

    def stop_at_once(self) -> None:
        """PostgreSQL's immediate shutdown: no checkpoint, and the next start recovers."""
        self._cluster("stop", "--immediate")

    def postmaster(self) -> int:
        """The process id of the running PostgreSQL."""
        return int((self._folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])

    def _cluster(self, verb: str, *options: str) -> None:
        # A session of its own: Ctrl-C is for us, and the cluster's own start or stop goes to its end.
        subprocess.run(
            [sys.executable, ROOT / "bin" / "cluster", verb, self._folder, *options],
            check=True, start_new_session=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def fleet(self, drivers: int, purpose: str = "") -> Fleet:
        """The database with this many drivers, made when it is first asked for; with a purpose one of its own."""
        name = f"fleet_{drivers}{purpose and '_'}{purpose}"
        if name not in self._fleets:
            self._fleets[name] = self._load(drivers, name)
        return self._fleets[name]

    def _load(self, drivers: int, name: str) -> Fleet:
        say(f"loading a fleet of {drivers:,} drivers" + (", which takes a minute" if drivers >= 1_000_000 else ""))
        fleet = self.database(name, drivers)
        run(
            [
                "psql", "--no-psqlrc", "--quiet", "--file", str(Path(__file__).with_name("fleet.sql")),
                "-v", f"drivers={drivers}", "-v", f"passengers={PASSENGERS}", "-v", f"seed={FLEET_SEED}",
            ],
            env=libpq_env(fleet.admin_url),
        )  # fmt: skip
        return fleet

    def database(self, name: str, drivers: int) -> Fleet:
        """A migrated database into which so many drivers are to be loaded."""
        with psycopg.connect(libpq(self.urls["DATABASE_ADMIN_URL"]), autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}" OWNER careconnect_owner')
            grant_as_bootstrap_does(admin, name)
        return Fleet(
            drivers,
            on_database(self.urls["DATABASE_URL"], name),
            on_database(self.urls["DATABASE_ADMIN_URL"], name),
        )

    def service_env(self, fleet: Fleet, **more: str) -> dict[str, str]:
        """The environment of the service on this fleet: the demo's, without limits a load generator would reach."""
        return self._env(
            fleet.app_url,
            {
                "CARECONNECT_STALE_AFTER_S": str(STALE_AFTER_S),
                "CARECONNECT_SEARCHES_PER_HOUR": "1000000000",
                "CARECONNECT_FRAMES_PER_S": "1000000000",
                "CARECONNECT_FRAMES_BURST": "1000000000",
            }
            | more,
        )

    def _env(self, url: str, more: Mapping[str, str]) -> dict[str, str]:
        mine = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        # Empty, not absent: a .env in the working directory fills in what is absent.
        mine |= {"REDIS_URL": "", "DATABASE_OWNER_URL": ""}
        return mine | {
            "CARECONNECT_ENV": "demo",
            "DJANGO_SECRET_KEY": self._secret,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": url,
            "DB_POOL": "no",
            "LOG_LEVEL": "WARNING",
            "WEB_CONCURRENCY": "1",
        } | dict(self._limits) | dict(more)  # fmt: skip


@contextlib.contextmanager
def alone(folder: Path = RESULTS) -> Iterator[None]:
    """One run at a time in this folder, which ends orderly when it is asked to."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BenchError("another run is under way here") from None
        yield


def exit_code(run: Callable[[], int], folder: Path = RESULTS) -> int:
    """What a program ends with that runs alone in this folder: its own code, 1 when it failed, 130 when interrupted."""
    try:
        with alone(folder):
            return run()
    except BenchError as failure:
        console.print(f"[bold red]The run failed:[/] {failure}", markup=True)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted; everything it started is stopped.")
        return 130


def libpq_env(url: str) -> dict[str, str]:
    """What PostgreSQL's own programs need to connect; the password stays out of the process list."""
    parts = urlsplit(url)
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port),
        "PGUSER": parts.username or "",
        "PGPASSWORD": parts.password or "",
        "PGDATABASE": parts.path.lstrip("/"),
        "PGCONNECT_TIMEOUT": "10",
        "LC_ALL": "C",
    }


def run(command: list[str], *, env: Mapping[str, str]) -> str:
    """Run a program to its end and give its output; when it fails, say what it said."""
    done = subprocess.run(command, env=dict(env), cwd=ROOT, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{Path(command[0]).name} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


class BenchError(Exception):
    """The run cannot go on, or its result would be worth nothing; the text says why."""


# --------------------------------------------------------------------------------------------------------- processes


@contextlib.contextmanager
def process(command: list[str], env: Mapping[str, str], **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """A process that ends with the block, whatever happens in it."""
    # A session of its own, so that Ctrl-C reaches only us and the end is orderly.
    child = subprocess.Popen(command, cwd=ROOT, env=dict(env), text=True, start_new_session=True, **options)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def free_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server(NamedTuple):
    """A server process that answers."""

    port: int
    pid: int


@contextlib.contextmanager
def service(env: Mapping[str, str]) -> Iterator[Server]:
    """The real server, `bin/serve`."""
    with program_server(["bin/serve"], dict(env) | {"DB_POOL": "yes", "PYTHON": sys.executable}, free_port()) as server:
        yield server


@contextlib.contextmanager
def echo_server(app: str, env: Mapping[str, str]) -> Iterator[Server]:
    """An application of echo_apps.py on uvicorn with the very options of `bin/serve`."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", f"tests.bench.echo_apps:{app}", "--port", str(port), *serve_options()]
    with program_server(command, dict(env) | {"DB_POOL": "yes"}, port) as server:
        yield server


def serve_options() -> list[str]:
    """The `--ws...` and `--timeout...` options that bin/serve gives to uvicorn."""
    text = (ROOT / "bin" / "serve").read_text().split("exec ", 1)[1]
    words = text.replace("\\\n", " ").split()
    options = [part for at, word in enumerate(words) if word.startswith(("--ws", "--timeout"))
               for part in words[at : at + 2]]  # fmt: skip
    if "config.wire:WebSocket" not in options:
        raise BenchError("bin/serve no longer names its options as tests/bench/stage.py expects")
    return options


@contextlib.contextmanager
def program_server(command: list[str], env: dict[str, str], port: int) -> Iterator[Server]:
    """A program that serves HTTP on this loopback port, once it answers."""
    LOGS.mkdir(parents=True, exist_ok=True)
    with (
        (LOGS / "bench-server.log").open("w") as log,
        process(command, env | {"PORT": str(port), "HOST": "127.0.0.1"}, stdout=log, stderr=log) as child,
    ):
        deadline = time.monotonic() + START_LIMIT_S
        while not answers_http(port):
            if child.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"the server does not answer; see {Path(log.name).relative_to(ROOT)}")
            time.sleep(0.1)
        yield Server(port, child.pid)


def answers_http(port: int) -> bool:
    """Whether a server on this loopback port answers /healthz."""
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True


def cpu_s(pid: int) -> float:
    """CPU seconds this process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Disturbance:
    """How much CPU everybody else on the machine used during the block, as a share of all cores."""

    def __enter__(self) -> "Disturbance":
        self.share = 0.0
        self._began, self._others_s = time.monotonic(), self._others()
        return self

    def __exit__(self, *_: object) -> None:
        elapsed_s = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        self.share = max(0.0, self._others() - self._others_s) / elapsed_s

    @staticmethod
    def _others() -> float:
        fields = [int(f) for f in Path("/proc/stat").read_text().splitlines()[0].split()[1:8]]
        busy = sum(fields) - fields[3] - fields[4]  # all but idle and waiting for a disk
        children: dict[int, list[int]] = {}
        used: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    told = (entry / "stat").read_text().rpartition(")")[2].split()
                    children.setdefault(int(told[1]), []).append(int(entry.name))
                    # Its own, and that of its children which have ended.
                    used[int(entry.name)] = sum(int(f) for f in told[11:15])

        def tree(pid: int) -> int:
            return used.get(pid, 0) + sum(tree(child) for child in children.get(pid, ()))

        postmaster = int((CLUSTER / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
        return (busy - tree(os.getpid()) - tree(postmaster)) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid: int) -> int:
    """Resident memory of the process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise BenchError(f"process {pid} has no memory figure")
