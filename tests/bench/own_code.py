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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from tests.bench.pgbench import Timing, steady
from tests.bench.stage import BenchError, Box, Fleet, Stage, process

EARTH_RADIUS_M = 6_371_008.8


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

    def nearest(self, box: Box, *, clients: int, seconds: float, seed: int, vehicle_type: str | None = None) -> Timing:
        """`nearest_available` for random pickups in the box."""
        return Timing(
            **self.ask("nearest", box=box, clients=clients, seconds=seconds, seed=seed, vehicle_type=vehicle_type)
        )

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
        nearest_available(LatLon(*drawn(rng, box)), vehicle_type=how["vehicle_type"])
        all_warm.wait()
        stop = time.perf_counter() + how["seconds"]
        while (began := time.perf_counter()) < stop:
            nearest_available(LatLon(*drawn(rng, box)), vehicle_type=how["vehicle_type"])
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


def _statements(_how: dict[str, Any]) -> dict[str, Any]:
    """The parameters the service gives to its statements, and its session settings, for pgbench to use the same."""
    from django.conf import settings

    from geo.coordinates import LatLon
    from mobility.bookings.services import _columns
    from mobility.conf import knobs
    from mobility.dispatch.queries import search_params
    from mobility.realtime.protocol import FindDriver, parse_passenger
    from tests.bench.load import find_driver_frame

    command = parse_passenger(find_driver_frame(-26.25, 28.05))
    assert isinstance(command, FindDriver)
    drawn_later = {"longitude", "latitude", "pickup_longitude", "pickup_latitude"}
    search = search_params(LatLon(0, 0)) | {"count": knobs().candidate_count}
    booking = {"passenger_id": None, **_columns(command.request())}
    return {
        "options": settings.DATABASES["default"]["OPTIONS"]["options"],
        "search": {name: value for name, value in search.items() if name not in drawn_later},
        "booking": {name: value for name, value in booking.items() if name not in drawn_later},
    }


def _tokens(how: dict[str, Any]) -> list[str]:
    """Login tokens of this many passengers."""
    from datetime import timedelta

    from django.utils import timezone
    from knox.crypto import create_token_string, hash_token
    from knox.models import get_token_model
    from knox.settings import CONSTANTS

    tokens, model = [create_token_string() for _ in range(how["count"])], get_token_model()
    model.objects.bulk_create(
        model(
            digest=hash_token(token), token_key=token[: CONSTANTS.TOKEN_KEY_LENGTH],
            user_id=how["first_user_id"] + number, expiry=timezone.now() + timedelta(days=1),
        )
        for number, token in enumerate(tokens)
    )  # fmt: skip
    return tokens


def _main() -> None:
    import django

    django.setup()
    work = {"nearest": _nearest, "haversine": _haversine, "statements": _statements, "tokens": _tokens}
    for line in sys.stdin:
        how = json.loads(line)
        print(json.dumps(work[how.pop("do")](how)), flush=True)


if __name__ == "__main__":
    _main()
