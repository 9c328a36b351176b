"""Rounds of rides, through the service or pgbench, each from the same untouched fleet and each checked after."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mobility.sql import sql
from tests.bench import pgbench
from tests.bench.load import load
from tests.bench.pgbench import Timing
from tests.bench.stage import BenchError, Box, Fleet, Server, cpu_s

_PICKED = "picked.id AS driver_id"


@dataclass(frozen=True)
class Round:
    """One round: its timing, and milliseconds of CPU that each ride cost the server process."""

    timing: Timing
    server_ms: float = 0.0
    load_share: float = 0.0


def transaction_script(box: Box, given: Mapping[str, Any], *, first_number: int) -> tuple[str, dict[str, Any]]:
    """The service's transaction as a pgbench script, with its parameters.

    The one change to its text is `coalesce(picked.id, 0)`, because pgbench cannot compare with NULL: like the service,
    the script asks for more drivers when all that were fetched are being bound by others.
    """
    book = pgbench.in_script(sql("bookings/sql/request_ride"), given["booking"])
    assign = pgbench.in_script(sql("dispatch/sql/assign_nearest"), given["search"])
    if _PICKED not in assign:
        raise BenchError(f"assign_nearest.sql no longer says {_PICKED!r}; see tests/bench/rides.py")
    assign = assign.replace(_PICKED, "coalesce(picked.id, 0) AS driver_id")
    script = (
        pgbench.draw(box, "pickup_")
        + "\\set longitude :pickup_longitude\n\\set latitude :pickup_latitude\n\\set number :number + 1\n"
        + f"\\set ride_id {first_number} + :client_id * 100000 + :number\n\\set fetch :first_fetch\n"
        + f"BEGIN;\n{book}\n\\gset new_\n\\set booking_id :new_id\n{assign}\n\\gset bound_\n"
        + f"\\if :bound_driver_id = 0\n\\set fetch 4 * :first_fetch\n{assign}\n\\gset bound_\n\\endif\n"
        + f"\\if :bound_driver_id = 0\n\\set fetch 16 * :first_fetch\n{assign}\n\\gset bound_\n\\endif\nCOMMIT;\n"
    )
    params = dict(given["booking"]) | dict(given["search"]) | {"number": 0, "first_fetch": given["search"]["fetch"]}
    params.pop("fetch")
    return script, params


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
