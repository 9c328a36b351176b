"""Maps: 10,000 drivers as GeoJSON, a dense vector tile, and all of a large fleet streamed, beside plain
djangorestframework-gis and tipg with the same rows."""

import hashlib
import json
import math
import os
import subprocess
import sys
import threading
import time
import venv
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import psycopg

from tests.bench.own_code import own_code
from tests.bench.plan import Plan
from tests.bench.report import Result, Target, middle, say, share_of
from tests.bench.stage import (
    DENSE,
    ROOT,
    STALE_AFTER_S,
    BenchError,
    Fleet,
    Server,
    Stage,
    free_port,
    program_server,
    resident_kib,
    serve_options,
    service,
)
from tests.environment import libpq

FEATURES = 10_000
TILES = "_tiles"
MADE_AHEAD = "d.personal_card, d.card, "  # properties as text, which only our own rendering reads
TILE_FEATURES = 20_000  # the service's own limit
VIEW, TABLE = "bench_drivers", "bench_drivers_copied"
PINS, PEERS = ROOT / "docker" / "peers.txt", ROOT / "var" / "peers"
OURS, DRF_GIS, TIPG, COPIED = "this service", "djangorestframework-gis", "tipg", "tipg on a copy"


class Asked(NamedTuple):
    """A question over HTTP."""

    port: int
    path: str
    token: str = ""

    def over(self, connection: HTTPConnection) -> bytes:
        """The body of the answer, uncompressed."""
        headers = {"Authorization": f"Token {self.token}"} if self.token else {}
        connection.request("GET", self.path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise BenchError(f"{self.path} answered {answer.status}: {body[:500]!r}")
        return body


def bench(stage: Stage, plan: Plan) -> Result:
    """Each server answers one client, in turns; then the largest fleet is streamed."""
    fleet = stage.fleet(plan.middle_size)
    rounds: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as servers:
        asked = _questions(servers, stage, fleet)
        sizes = _looked_at(asked, plan.middle_size // 100)
        for number in range(plan.rounds + 1):
            say("maps: warming up" if number == 0 else f"maps: round {number} of {plan.rounds}")
            for what in list(asked)[:: 1 if number % 2 else -1]:
                per_s = _per_s(asked[what], plan.map_seconds if number else 1)
                if number:
                    rounds[what].append(per_s)
    return _result(plan, rounds, sizes, _streamed(stage, stage.fleet(plan.sizes[-1])))


def _questions(servers: ExitStack, stage: Stage, fleet: Fleet) -> dict[str, Asked]:
    """Start everything, and the questions to ask."""
    _for_tipg(fleet)
    env, token = stage.service_env(fleet), _token(stage, fleet)
    ours = servers.enter_context(service(env)).port
    drf_gis = servers.enter_context(_drf_gis(env)).port
    tipg = servers.enter_context(_tipg(fleet)).port
    z, x, y = _dense_tile()
    return {
        f"GeoJSON, {OURS}": Asked(ours, f"/api/v1/drivers/?limit={FEATURES}", token),
        f"GeoJSON, {DRF_GIS}": Asked(drf_gis, f"/drivers/?limit={FEATURES}"),
        f"GeoJSON, {TIPG}": Asked(tipg, f"/collections/public.{VIEW}/items?limit={FEATURES}&f=geojson"),
        f"GeoJSON, {COPIED}": Asked(tipg, f"/collections/public.{TABLE}/items?limit={FEATURES}&f=geojson"),
        f"tile, {OURS}": Asked(ours, f"/tiles/drivers/{z}/{x}/{y}.mvt", token),
        f"tile, {TIPG}": Asked(tipg, f"/collections/public.{VIEW}{TILES}/tiles/WebMercatorQuad/{z}/{x}/{y}"),
        f"tile, {COPIED}": Asked(tipg, f"/collections/public.{TABLE}{TILES}/tiles/WebMercatorQuad/{z}/{x}/{y}"),
    }


def _for_tipg(fleet: Fleet) -> None:
    """What the service reads, as views of the same tables, found by the same index: for collections with their joins,
    for tiles the one table that ours are drawn from. And both copied into a table with a key and an index."""
    whole = _as_view("drivers_layer.sql", up_to="ORDER BY").replace(MADE_AHEAD, "")
    of_tile = _as_view("drivers_tile.sql", up_to="WHERE")
    names = ("after", "statuses", "begin", "end", "box_a", "box_b", "wide_a", "wide_b", "near_a", "near_b",
             "near_longitude", "near_latitude", "radius_m", "only")  # fmt: skip
    params = dict.fromkeys(names) | {"placeless": False, "stale_after_s": STALE_AFTER_S}
    with psycopg.connect(libpq(fleet.admin_url), autocommit=True) as connection:
        cursor = psycopg.ClientCursor(connection)
        # tipg makes temporary tables; the service may not.
        cursor.execute(f'GRANT TEMPORARY ON DATABASE "{connection.info.dbname}" TO careconnect_app')
        for suffix, select in (("", whole), (TILES, of_tile)):
            cursor.execute(f"DROP VIEW IF EXISTS {VIEW}{suffix}")
            cursor.execute(f"DROP TABLE IF EXISTS {TABLE}{suffix}")
            cursor.execute(f"CREATE VIEW {VIEW}{suffix} AS {select}", params)
            cursor.execute(f"CREATE TABLE {TABLE}{suffix} AS SELECT * FROM {VIEW}{suffix} WHERE geom IS NOT NULL")
            cursor.execute(f"ALTER TABLE {TABLE}{suffix} ADD PRIMARY KEY (id), ALTER geom TYPE geometry(Point, 4326)")
            cursor.execute(f"CREATE INDEX ON {TABLE}{suffix} USING gist (geom)")
            cursor.execute(f"GRANT SELECT ON {VIEW}{suffix}, {TABLE}{suffix} TO careconnect_app")
            cursor.execute(f"VACUUM ANALYZE {TABLE}{suffix}")


def _as_view(source: str, up_to: str) -> str:
    """A source's SELECT for everybody, with the place that is indexed."""
    text = (ROOT / "mobility" / "locations" / "sql" / source).read_text()
    return text[: text.rindex(up_to)].replace("l.position AS geom", "l.indexed_position AS geom")


def _token(stage: Stage, fleet: Fleet) -> str:
    """An operator's, made of a passenger of the fleet."""
    user_id = fleet.one(
        "UPDATE mobility_user SET is_staff = true WHERE id = (SELECT min(id) FROM mobility_user) RETURNING id"
    )
    with own_code(stage, fleet) as code:
        return code.tokens([user_id])[0]


def _dense_tile() -> tuple[int, int, int]:
    """The tile of zoom 12 in the middle of the dense city."""
    z, latitude, longitude = 12, DENSE.latitude + DENSE.side_deg / 2, DENSE.longitude + DENSE.side_deg / 2
    side = 1 << z
    x = int((longitude + 180) / 360 * side)
    return z, x, int((1 - math.asinh(math.tan(math.radians(latitude))) / math.pi) / 2 * side)


def _looked_at(asked: dict[str, Asked], min_tile: int) -> dict[str, tuple[int, int]]:
    """Bytes and features of each answer, which must be the same drivers; more than `min_tile` in a tile."""
    found = {what: over(question) for what, question in asked.items()}
    drivers = {
        what: {
            (feature["properties"].get("id", feature["id"]), feature["properties"]["name"])
            for feature in json.loads(body)["features"]
        }
        for what, body in found.items() if what.startswith("GeoJSON")
    }  # fmt: skip
    if any(len(one) != FEATURES or not all(name for _, name in one) for one in drivers.values()):
        raise BenchError(f"not so many drivers with names: { ({what: len(one) for what, one in drivers.items()}) }")
    tiles = {what: len(_tile_ids(body)) for what, body in found.items() if what.startswith("tile")}
    # Ours also draws a margin of 1/64 around it, so that symbols at the edge are whole.
    if not min_tile < min(tiles.values()) <= max(tiles.values()) < min(1.1 * min(tiles.values()), TILE_FEATURES):
        raise BenchError(f"not the same tile: {tiles}")
    return {what: (len(body), FEATURES if what in drivers else tiles[what]) for what, body in found.items()}


def _tile_ids(body: bytes) -> list[int]:
    import mapbox_vector_tile

    (layer,) = mapbox_vector_tile.decode(body).values()
    return layer["features"]


def over(question: Asked) -> bytes:
    """Its answer over a connection of its own."""
    connection = HTTPConnection("127.0.0.1", question.port, timeout=120)
    try:
        return question.over(connection)
    finally:
        connection.close()


def _per_s(question: Asked, seconds: float) -> float:
    """Answers a second to one client over one connection; at least three are waited for."""
    connection = HTTPConnection("127.0.0.1", question.port, timeout=120)
    try:
        question.over(connection)
        began, count = time.perf_counter(), 0
        while count < 3 or time.perf_counter() - began < seconds:
            question.over(connection)
            count += 1
        return count / (time.perf_counter() - began)
    finally:
        connection.close()


# ------------------------------------------------------------------------------------------------------------- peers


@contextmanager
def _drf_gis(env: dict[str, str]) -> Iterator[Server]:
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "tests.bench.maps_peer:application",
        "--port",
        str(port),
        *serve_options(),
    ]
    with program_server(command, env | {"DB_POOL": "yes"}, port) as server:
        yield server


@contextmanager
def _tipg(fleet: Fleet) -> Iterator[Server]:
    python, port = peers_python(), free_port()
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ} | {
        "DATABASE_URL": libpq(fleet.app_url),
        "TIPG_MAX_FEATURES_PER_QUERY": str(FEATURES),
        "TIPG_MAX_FEATURES_PER_TILE": str(TILE_FEATURES),
        "TIPG_DB_ONLY_SPATIAL_TABLES": "true",
    }
    command = [str(python), "-m", "uvicorn", "tipg.main:app", "--port", str(port), "--log-level", "warning"]
    with program_server(command, env, port) as server:
        yield server


def peers_python() -> Path:
    """The Python of an environment with what docker/peers.txt pins, made when it is first needed."""
    python, stamp = PEERS / "bin" / "python", PEERS / "stamp"
    wanted = hashlib.sha256(PINS.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        say("installing tipg, the peer, into var/peers")
        venv.create(PEERS, clear=True, with_pip=True)
        done = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--require-hashes",
             "-r", PINS], capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise BenchError(f"tipg could not be installed:\n{done.stderr[-2000:]}")
        stamp.write_text(wanted)
    return python


# ---------------------------------------------------------------------------------------------------------- streaming


class Streamed(NamedTuple):
    """All of a fleet in one answer."""

    features: int
    bytes: int
    seconds: float
    grown_mib: float


def _streamed(stage: Stage, fleet: Fleet) -> Streamed:
    """Export it twice; of the second time, by how much the server's memory rose above where it was before."""
    say(f"maps: streaming {fleet.drivers:,} drivers")
    token = _token(stage, fleet)
    with service(stage.service_env(fleet)) as server:
        _export(server, token)
        with _Highest(server.pid) as memory:
            began = time.perf_counter()
            size, features = _export(server, token)
            seconds = time.perf_counter() - began
    if features != fleet.drivers:
        raise BenchError(f"{features} of {fleet.drivers} drivers were exported")
    return Streamed(features, size, seconds, memory.grown_kib / 1024)


def _export(server: Server, token: str) -> tuple[int, int]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.request("GET", "/api/v1/drivers/?export=1", headers={"Authorization": f"Token {token}"})
    answer, size, end = connection.getresponse(), 0, b""
    while part := answer.read(1 << 16):
        size, end = size + len(part), (end + part)[-200:]
    connection.close()
    return size, int(json.loads(b"{" + end.rpartition(b"],")[2])["numberReturned"])


class _Highest:
    """The most memory a process has during the block, over what it had at its begin."""

    def __init__(self, pid: int) -> None:
        self._pid, self._over = pid, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._before = self._highest = resident_kib(pid)

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self._highest = max(self._highest, resident_kib(self._pid))

    def __enter__(self) -> "_Highest":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def grown_kib(self) -> int:
        """By how much it grew."""
        return self._highest - self._before


# ------------------------------------------------------------------------------------------------------------- result


def _result(
    plan: Plan, rounds: dict[str, list[float]], sizes: dict[str, tuple[int, int]], streamed: Streamed
) -> Result:
    result = Result("maps", f"answers a second to one client, from {plan.middle_size:,} drivers")
    for what, per_s in rounds.items():
        size, features = sizes[what]
        result.rows.append(
            {
                "answer": what, "features": features, "KiB": size / 1024, "answers/s": middle(per_s),
                "ms each": 1000 / middle(per_s),
            }
        )  # fmt: skip
    result.rows.append(
        {
            "answer": f"export, {OURS}", "features": streamed.features, "KiB": streamed.bytes / 1024,
            "answers/s": 1 / streamed.seconds, "ms each": 1000 * streamed.seconds,
        }
    )  # fmt: skip

    def ratio(what: str, peer: str) -> float:
        return share_of(rounds[f"{what}, {OURS}"], rounds[f"{what}, {peer}"])

    same = f"{TIPG} on a view of the same tables"
    result.targets = [
        Target(f"{FEATURES:,} drivers as GeoJSON over {DRF_GIS}", ratio("GeoJSON", DRF_GIS), at_least=40),
        Target(f"the same over {same}", ratio("GeoJSON", TIPG), at_least=10),
        Target(f"a dense tile over {same}", ratio("tile", TIPG), at_least=1.3),
        Target(f"MiB that the server grows by while {streamed.features:,} drivers are streamed", streamed.grown_mib,
               at_most=32),
    ]  # fmt: skip
    result.notes = [
        "Nothing is compressed, and no answer is taken from a cache: who asks has no entity tag.",
        f"{TIPG} reads a view of the same tables, with our columns and the geometry that is indexed. Beside it on",
        f"a copy, one table with all in it: GeoJSON {ratio('GeoJSON', COPIED):.1f} times as fast,",
        f"a tile {ratio('tile', COPIED):.2f} times.",
        f"{streamed.features / streamed.seconds:,.0f} features a second were streamed.",
    ]
    result.rounds = dict(rounds)
    return result
