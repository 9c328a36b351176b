"""Rounds of rides, through the service or pgbench, each from the same untouched fleet and each checked after."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.bench import pgbench
from tests.bench.load import load
from tests.bench.pgbench import Timing
from tests.bench.stage import BenchError, Box, Fleet, Server, cpu_s

# How find_driver begins where a driver takes the ride by themselves; what it sends after that needs no answer. The run
# stops when the service begins otherwise.
BEGINNING = (
    "areas/sql/area_of", "bookings/sql/request_ride", "dispatch/sql/nearest", "dispatch/sql/lock_drivers",
    "dispatch/sql/ask",
)  # fmt: skip
_OF_THE_RIDE = {
    "ride_id", "booking_id", "pickup_longitude", "pickup_latitude", "longitude", "latitude", "fetch", "driver_ids",
    "distances_m",
}  # fmt: skip
_ARRAYS = (
    "coalesce(array_agg(driver_id ORDER BY {order}) {where}, '{{}}')::text AS driver_ids, "
    "coalesce(array_agg(distance_m ORDER BY {order}) {where}, '{{}}')::text AS distances_m"
)


@dataclass(frozen=True)
class Round:
    """One round: its timing, and milliseconds of CPU that each ride cost the server process."""

    timing: Timing
    server_ms: float = 0.0
    load_share: float = 0.0


def transaction_script(box: Box, given: Mapping[str, Any], *, first_number: int) -> tuple[str, dict[str, Any]]:
    """The service's transaction as a pgbench script, with its parameters.

    The statements are the service's, in its order. Their answers are changed, because pgbench takes single rows only:
    of the nearest it keeps those whose order is certain, as two arrays, of the locked ones the same arrays without the
    rest, of the bound one that there is one. Like the service, the script asks for more drivers when too few of those
    fetched were certain, and when others were binding all of them.
    """
    area, request, nearest, lock, ask, *others = _statements(given)
    nearest = pgbench.summed_up(
        nearest,
        "count(*) FILTER (WHERE distance_m <= certain_m) AS certain, coalesce(max(fetched), 0) AS fetched, "
        + _ARRAYS.format(order="distance_m, driver_id", where="FILTER (WHERE distance_m <= certain_m)"),
    )
    lock = pgbench.summed_up(
        lock,
        "count(*) AS locked, " + _ARRAYS.format(order="place", where=""),
        " JOIN unnest(:driver_ids::bigint[], :distances_m::double precision[]) WITH ORDINALITY"
        " AS wanted (driver_id, distance_m, place) ON wanted.driver_id = answer.id",
    )
    ask = pgbench.summed_up(ask, "count(*) FILTER (WHERE status = 'accepted') AS bound")
    search = "".join(
        f"\\if :bound = 0\n\\set fetch {more} * :first_fetch\n{nearest}\n\\gset\n"
        f"\\if :certain >= :candidate_count or :fetched < :fetch\n{lock}\n\\gset\n"
        f"\\if :locked > 0\n{ask}\n\\gset\n\\endif\n\\endif\n\\endif\n"
        for more in (1, 4, 16)
    )
    script = (
        pgbench.draw(box, "pickup_")
        + "\\set longitude :pickup_longitude\n\\set latitude :pickup_latitude\n\\set number :number + 1\n"
        + f"\\set ride_id {first_number} + :client_id * 100000 + :number\n\\set bound 0\n"
        + f"BEGIN;\n{area}\n\\gset area_\n"
        + f"{request}\n\\gset new_\n\\set booking_id :new_id\n{search}{';'.join([*others, ''])}\nCOMMIT;\n"
    )
    return script, _params(given) | {"number": 0}


def _statements(given: Mapping[str, Any]) -> list[str]:
    if tuple(name for name, _ in given["ride"][: len(BEGINNING)]) != BEGINNING:
        sent = ", ".join(name for name, _ in given["ride"])
        raise BenchError(f"the service's transaction is another one now; see tests/bench/rides.py. It sends {sent}")
    return [pgbench.in_script(name, params) for name, params in given["ride"]]


def _params(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is the same for every ride."""
    params: dict[str, Any] = {"first_fetch": given["ride"][2][1]["fetch"], "candidate_count": given["candidate_count"]}
    for _, sent in given["ride"]:
        for name, value in sent.items():
            if name not in _OF_THE_RIDE and params.setdefault(name, value) != value:
                raise BenchError(f"two statements of the service mean different things by {name}")
    return params


def by_pgbench(fleet: Fleet, box: Box, given: Mapping[str, Any], *, clients: int, each: int, seed: int) -> Round:
    """So many rides by so many pgbench clients."""
    script, params = transaction_script(box, given, first_number=1_000_000_000)
    timing = pgbench.pgbench(fleet, script, params, clients=clients, each=each, seed=seed, options=given["options"])
    _check(fleet, clients * each, "pgbench")
    return Round(timing)


def by_service(
    fleet: Fleet, server: Server, env: Mapping[str, str], box: Box, *,
    clients: int, each: int, seed: int, opened: bool, tokens: list[str] | None = None,
) -> Round:  # fmt: skip
    """So many rides over so many sockets at once; `opened`: before the clock starts. With tokens nobody is a guest."""
    server_cpu = cpu_s(server.pid)
    answer = load(
        env, "rides", port=server.port, box=box, clients=clients, each=each, seed=seed, opened=opened,
        name=f"bench{seed}", tokens=tokens or [],
    )  # fmt: skip
    server_ms = (cpu_s(server.pid) - server_cpu) * 1e3 / (clients * each)
    if answer["answers"] != {"driver_assigned": clients * each}:
        raise BenchError(f"not every ride was given a driver: {answer['answers']}")
    _check(fleet, clients * each, "the service")
    timing = Timing(*(answer[name] for name in ("count", "per_s", "p50_ms", "p99_ms")))
    return Round(timing, server_ms, answer["own_cpu_share"])


def _check(fleet: Fleet, wanted: int, who: str) -> None:
    rides, confirmed, doubles = fleet.rides()
    if (rides, confirmed, doubles) != (wanted, wanted, 0):
        raise BenchError(
            f"{who}: of {wanted} rides {rides} were booked, {confirmed} confirmed, {doubles} with a taken driver"
        )
