"""The service's own code in a process of its own, told what to measure: one JSON object a line in, one out.

A process per fleet, because Django knows one database; it stays warm from round to round.
"""

import json
import math
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.bench.pgbench import Timing, steady
from tests.bench.stage import DENSE, BenchError, Box, Fleet, Stage, process

if TYPE_CHECKING:
    from mobility.locations.fixes import Fix

EARTH_RADIUS_M = 6_371_008.8
AT_ONCE = 50_000  # positions made before they are written


# ------------------------------------------------------------------------------------------------- the bench's side


class OwnCode:
    """A warm process with the service's code on one fleet."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self._child = child

    def ask(self, do: str, **how: Any) -> Any:
        """Have one thing done and wait for the answer."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(json.dumps({"do": do, **how}), file=self._child.stdin, flush=True)
        answer = self._child.stdout.readline()
        if not answer:
            raise BenchError("the process with the service's own code ended, see above")
        return json.loads(answer)

    def nearest(
        self, box: Box, *, clients: int, seconds: float, seed: int, vehicle_type: str | None = None,
        per_s: float | None = None,
    ) -> Timing:  # fmt: skip
        """`nearest_available` for random pickups in the box, as for a ride: only drivers who can be asked. On end, or
        each client so many a second."""
        how = {"clients": clients, "seconds": seconds, "seed": seed, "vehicle_type": vehicle_type, "per_s": per_s}
        return Timing(**self.ask("nearest", box=box, **how))

    def statements(self) -> dict[str, Any]:
        """What the service sends for a ride and for accepts; see `_statements`."""
        given: dict[str, Any] = self.ask("statements", box=DENSE)
        return given

    def tokens(self, user_ids: Iterable[int]) -> list[str]:
        """A login token for each of these users."""
        tokens: list[str] = self.ask("tokens", user_ids=list(user_ids))
        return tokens

    def require_invariants(self) -> None:
        """End the run when an invariant of the service does not hold."""
        if broken := self.ask("invariants"):
            raise BenchError("invariants are broken: " + "; ".join(broken))

    def haversine(self, box: Box, *, queries: int, seed: int) -> list[float]:
        """Milliseconds of each query that reads every free driver by the ORM and measures in Python."""
        found: list[float] = self.ask("haversine", box=box, queries=queries, seed=seed)
        return found


@contextmanager
def own_code(stage: Stage, fleet: Fleet) -> Iterator[OwnCode]:
    """Start it, and end it with the block."""
    command = [sys.executable, "-m", "tests.bench.own_code"]
    with process(command, stage.service_env(fleet), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        yield OwnCode(child)


# --------------------------------------------------------------------------------------------- in the process itself


def drawn(rng: random.Random, box: Box) -> tuple[float, float]:
    """Latitude and longitude of a random pickup in the box."""
    return box.latitude + box.side_deg * rng.random(), box.longitude + box.side_deg * rng.random()


def _nearest(how: dict[str, Any]) -> dict[str, Any]:
    from django.db import connection

    from geo.coordinates import LatLon
    from mobility.dispatch.queries import nearest_available

    ends: list[list[tuple[float, float]]] = [[] for _ in range(how["clients"])]
    all_warm = threading.Barrier(how["clients"])

    def client(number: int) -> None:
        rng, box, mine = random.Random(how["seed"] * 1000 + number), Box(*how["box"]), ends[number]
        nearest_available(LatLon(*drawn(rng, box)), vehicle_type=how["vehicle_type"], asking=True)
        all_warm.wait()
        stop = time.perf_counter() + how["seconds"]
        due = time.perf_counter()
        while (began := time.perf_counter()) < stop:
            if how["per_s"] is not None:
                due += 1 / how["per_s"]
                time.sleep(max(0.0, due - began))
                began = due  # one that could not begin in time has waited
            nearest_available(LatLon(*drawn(rng, box)), vehicle_type=how["vehicle_type"], asking=True)
            ended = time.perf_counter()
            mine.append((ended, (ended - began) * 1e3))
        if threading.current_thread() is not threading.main_thread():
            connection.close()

    if how["clients"] == 1:
        client(0)  # here, where the connection stays open from round to round
    else:
        threads = [threading.Thread(target=client, args=(n,)) for n in range(how["clients"])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return asdict(steady(ends))


def _haversine(how: dict[str, Any]) -> list[float]:
    rng, took = random.Random(how["seed"]), []
    for _ in range(how["queries"]):
        latitude, longitude = drawn(rng, Box(*how["box"]))
        began = time.perf_counter()
        _five_nearest_by_python(latitude, longitude)
        took.append((time.perf_counter() - began) * 1e3)
    return took


def _five_nearest_by_python(latitude: float, longitude: float) -> list[tuple[float, int]]:
    """What one writes without a spatial database: read every free driver, measure each, sort."""
    from mobility.drivers.models import Driver, DriverStatus

    free = Driver.objects.filter(status=DriverStatus.AVAILABLE, verified=True).select_related("location")
    distances = [
        (_great_circle_m(latitude, longitude, d.location.position.y, d.location.position.x), d.pk)
        for d in free.iterator()
    ]
    return sorted(distances)[:5]


def _great_circle_m(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    a, b = math.radians(lat1), math.radians(lat2)
    half = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(half))


def _statements(how: dict[str, Any]) -> dict[str, Any]:
    """What the service sends to the database, for pgbench to send the same: session settings, parameters, and in their
    order the statements of a ride that a driver takes by themselves, of a first accept, of one that loses against
    it and of one that comes too late.

    Found by doing all of it once, at a pickup where drivers abound, and taking it back.
    """
    from django.conf import settings
    from django.db import transaction

    from geo.coordinates import LatLon
    from mobility.conf import knobs
    from mobility.dispatch.offers import RideRef, accept_offer, offer_of, take_ride
    from mobility.dispatch.queries import first_fetch, nearest_available, search_params
    from mobility.dispatch.services import find_driver
    from mobility.dispatch.states import CLOSED
    from mobility.errors import Refusal
    from mobility.realtime.protocol import FindDriver, parse_passenger
    from tests.bench.load import find_driver_frame

    box = Box(*how["box"])
    pickup = LatLon(box.latitude + box.side_deg / 2, box.longitude + box.side_deg / 2)
    command = parse_passenger(find_driver_frame(*pickup))
    assert isinstance(command, FindDriver)
    request = command.request()
    with transaction.atomic():
        with _recorded() as ride:
            find_driver(None, "taken", request)
        transaction.set_rollback(True)
    with transaction.atomic():
        wave = [c.driver_id for c in nearest_available(pickup, asking=True)]
        _have_them_asked(wave)
        find_driver(None, "asked", request)
        meanwhile = offer_of(wave[1], RideRef(ride_id="asked"))  # as one reads it who accepts at the same time
        with _recorded() as first:
            accept_offer(wave[0], RideRef(ride_id="asked"))
        with _recorded() as contested, suppress(Refusal):
            take_ride(wave[1], meanwhile)
        with _recorded() as late, suppress(Refusal):
            accept_offer(wave[1], RideRef(ride_id="asked"))
        transaction.set_rollback(True)
    search = search_params(pickup) | {"fetch": first_fetch(knobs().candidate_count)}
    return {
        "options": settings.DATABASES["default"]["OPTIONS"]["options"],
        "search": {name: value for name, value in search.items() if name not in {"longitude", "latitude"}},
        "candidate_count": knobs().candidate_count,
        "closed": sorted(CLOSED), "ride": ride, "accept": first, "contested_accept": contested, "late_accept": late,
    }  # fmt: skip


def _have_them_asked(driver_ids: list[int]) -> None:
    """Connected and asked instead of taking rides by themselves."""
    from uuid import uuid4

    from django.db.models.functions import Now

    from mobility.models import Driver, Presence

    Driver.objects.filter(pk__in=driver_ids).update(auto_accept=False)
    for driver_id in driver_ids:
        in_an_hour = Now() + timedelta(hours=1)
        Presence.objects.update_or_create(
            driver_id=driver_id, defaults={"socket_id": uuid4(), "lease_until": in_an_hour}
        )


@contextmanager
def _recorded() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The names and parameters of the hand-written statements that are run in the block."""
    from mobility import transactions

    run, sent = transactions.rows, []

    def rows(statement: str, params: dict[str, Any]) -> list[Any]:
        sent.append((statement, dict(params)))
        return run(statement, params)

    users = [m for name, m in sys.modules.items() if name.startswith("mobility.") and vars(m).get("rows") is run]
    for module in users:
        module.rows = rows  # type: ignore[attr-defined]
    try:
        yield sent
    finally:
        for module in users:
            module.rows = run  # type: ignore[attr-defined]


def _positions(how: dict[str, Any]) -> float:
    """Positions a second that the ingest's own writer stores in batches on so many connections; the batches are made
    beforehand: no buffer, no client."""
    rng, size = random.Random(how["seed"]), how["batch"]
    _find_places()
    stored, spent = 0, 0.0
    while spent < how["seconds"]:
        batches = [_batch(rng, size) for _ in range(max(AT_ONCE // size, how["writers"]))]
        stored += size * len(batches)
        spent += _written(batches, how["writers"])
    return stored / spent


def _prepare(how: dict[str, Any]) -> int:
    """Make so many positions for `_write_prepared`."""
    rng, size = random.Random(how["seed"]), how["batch"]
    _find_places()
    _prepared[:] = [_batch(rng, size) for _ in range(how["count"] // size)]
    return len(_prepared) * size


def _write_prepared(how: dict[str, Any]) -> float:
    """Write them at so many a second, or as fast as it goes where that is less; how many a second it were."""
    stored = sum(len(batch) for batch in _prepared)
    took = _written(_prepared, how["writers"], how["per_s"])
    _prepared.clear()
    return stored / took


def _told_places(_how: dict[str, Any]) -> dict[int, tuple[float, float]]:
    """Latitude and longitude of every driver."""
    _find_places()
    return _places


def _fleet_key(_how: dict[str, Any]) -> str:
    """A gateway's key."""
    from mobility.locations.keys import issue_key

    return issue_key("bench")[1]


def _find_places() -> None:
    from mobility.models import DriverLocation

    if not _places:
        _places.update(
            (d, (at.y, at.x)) for d, at in DriverLocation.objects.values_list("driver_id", "position").iterator()
        )


def _batch(rng: random.Random, size: int) -> "list[Fix]":
    from mobility.locations.fixes import Door, Fix

    fixes = []
    for driver_id in rng.sample(list(_places), size):
        north, east = _places[driver_id]
        at = _places[driver_id] = north + rng.uniform(-5e-4, 5e-4), east + rng.uniform(-5e-4, 5e-4)
        fixes.append(Fix(driver_id, *at, time.time(), 90.0, 8.0, 10.0, Door.FLEET, time.monotonic()))
    return fixes


def _written(batches: "list[list[Fix]]", writers: int, per_s: float | None = None) -> float:
    """Seconds until they are stored, each batch not before its time at `per_s`; every connection open before."""
    from django.db import connection

    from mobility.locations.ingest import write_fixes

    ready, ends = threading.Barrier(writers + 1), []
    apart_s = 0.0 if per_s is None else len(batches[0]) / per_s

    def write(number: int) -> None:
        try:
            connection.ensure_connection()
            ready.wait()
            began = time.perf_counter()
            for at in range(number, len(batches), writers):
                time.sleep(max(0.0, began + at * apart_s - time.perf_counter()))
                write_fixes(batches[at])
            ends.append(time.perf_counter())
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=[n]) for n in range(writers)]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    if len(ends) != writers:
        raise BenchError("a writer failed, see above")
    return max(ends) - began


_places: dict[int, tuple[float, float]] = {}
_prepared: "list[list[Fix]]" = []


def _invariants(_how: dict[str, Any]) -> list[str]:
    """The invariants that do not hold now, in words."""
    from mobility.invariants.queries import broken_invariants

    return [f"{broken.name}: {broken.says} {broken.rows[:3]}" for broken in broken_invariants()]


def _tokens(how: dict[str, Any]) -> list[str]:
    """A login token for each of these users."""
    from django.utils import timezone
    from knox.crypto import create_token_string, hash_token
    from knox.models import get_token_model
    from knox.settings import CONSTANTS

    tokens, model = [create_token_string() for _ in how["user_ids"]], get_token_model()
    model.objects.bulk_create(
        model(
            digest=hash_token(token), token_key=token[: CONSTANTS.TOKEN_KEY_LENGTH], user_id=user_id,
            expiry=timezone.now() + timedelta(days=1),
        )
        for user_id, token in zip(how["user_ids"], tokens, strict=True)
    )  # fmt: skip
    return tokens


def _main() -> None:
    import django

    django.setup()
    work = {
        "nearest": _nearest, "haversine": _haversine, "statements": _statements, "tokens": _tokens,
        "invariants": _invariants, "positions": _positions, "prepare": _prepare, "write_prepared": _write_prepared,
        "places": _told_places, "fleet_key": _fleet_key,
    }  # fmt: skip
    for line in sys.stdin:
        how = json.loads(line)
        print(json.dumps(work[how.pop("do")](how)), flush=True)


if __name__ == "__main__":
    _main()
