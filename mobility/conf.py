"""Product settings ("knobs"), each with its unit in its name.

Every knob is read from the environment as `CARECONNECT_` + its name in upper case, for example
`CARECONNECT_SEARCH_RADIUS_M=5000`. `docs/configuration.md` lists them all and a test holds it to this file.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import available_timezones

PREFIX = "CARECONNECT_"
NOT_KNOBS = {"CARECONNECT_ENV"}
STRATEGIES = ("balanced", "nearest")
RANKINGS = ("distance", "eta")
SMALLEST_CELL_M = 250  # the grid's numbers have no room for smaller ones


class ConfigurationMistake(ValueError):
    """A knob in the environment that cannot be used; the text says which and why."""


def _knob(default: Any, what: str, *, demo: Any = None, low: float = 0) -> Any:
    """A field with its explanation, its default in the demo where that differs, and its lowest legal value."""
    return field(default=default, metadata={"what": what, "demo": default if demo is None else demo, "low": low})


@dataclass(frozen=True, slots=True)
class Knobs:
    """Every product setting. Build with `read_knobs`; the running service asks `knobs()`."""

    search_radius_m: float = _knob(
        10_000.0,
        "Drivers farther than this from the pickup are never matched, unless a service area has its own radius.",
        low=1,
    )
    reach_cell_m: int = _knob(
        2_000,
        "What passengers learn about drivers who are not theirs is told by cells of a grid: hexagons with edges of "
        "this length, 250 or more. Whom a ride is offered to stays exact. 0 tells by exact distances, by which anybody "
        "can locate a driver.",
    )
    candidate_count: int = _knob(5, "How many of the nearest drivers are asked at once for a ride.", low=1)
    strategy: str = _knob(
        "balanced",
        "Who gets a driver who becomes free. `balanced`: the nearest waiting ride while riders outnumber idle drivers, "
        "else the one that waits longest; `nearest`: always the one that waits longest.",
    )
    ranking: str = _knob(
        "distance",
        "Who of the nearest is asked first: `distance`, or `eta`, whoever is at the pickup soonest by road, of the 16 "
        "nearest; that needs a routing engine.",
    )
    ranking_timeout_s: float = _knob(
        0.2,
        "How long a search waits for the routing engine, then it goes by distance. The ride's row is locked meanwhile.",
        low=0.01,
    )
    offer_ttl_s: float = _knob(15.0, "How long a driver has to answer a request, once they have it.", low=0.1)
    delivery_timeout_s: float = _knob(
        4.0,
        "A request that has not reached the driver's app in this time is withdrawn and costs them nothing.",
        low=0.1,
    )
    search_timeout_s: float = _knob(
        90.0, "How long a passenger's search goes on while drivers are busy or asked.", low=1
    )
    waiting_retry_s: float = _knob(2.0, "How often a waiting ride nobody is asked for is looked at again.", low=0.1)
    misses_until_offline: int = _knob(
        3, "After so many requests in a row that ran out unanswered a driver goes offline.", low=1
    )
    max_releases: int = _knob(3, "How often a ride goes on searching after its driver gave it back or was lost.")
    arrival_radius_m: float = _knob(200.0, "A driver arrives within this distance of the pickup.", low=1)
    no_show_wait_s: float = _knob(300.0, "How long a driver waits at the pickup before nobody came.")
    lost_driver_s: float = _knob(
        120.0, "A driver silent for this long on the way to the pickup loses the ride; another is searched.", low=1
    )
    lost_trip_s: float = _knob(
        1_800.0, "A driver silent for this long during a ride brings an operator's alert.", low=1
    )
    presence_lease_s: float = _knob(
        30.0, "How long a driver counts as connected without a sign from the socket.", low=1
    )
    explained_drivers: int = _knob(
        10, "How many free and how many other drivers the explanation of a search lists, nearest first."
    )
    explain_keep_days: float = _knob(30.0, "How long explanations of searches are kept.", low=0.01)
    command_keep_days: float = _knob(
        7.0, "How long the answers to commands with a command_id are remembered, a day at least.", low=1
    )
    dispatcher: bool = _knob(
        True, "Run the dispatcher inside the server. Off where `manage.py dispatcher` runs as processes of their own."
    )
    stale_after_s: float = _knob(60.0, "A driver whose last position is older than this is not matched.", low=1)
    auto_assign: bool = _knob(False, "Bind the nearest driver at once, without asking them.")
    guest_rides: bool = _knob(False, "Let people without an account ask for a ride. Demo only.", demo=True)
    demo_complete_after_s: float = _knob(
        20.0, "In the demo: the ride of a seed driver without a socket completes itself after this time.", low=0.1
    )
    searches_per_hour: int = _knob(
        10, "New searches one passenger may start in an hour, and one address for guests.", demo=100_000, low=1
    )
    address_searches_per_hour: int = _knob(
        200,
        "New searches all passengers of one address together may start in an hour; a clinic is one address.",
        demo=100_000,
        low=1,
    )
    logins_per_quarter_hour: int = _knob(
        10, "Failed logins for one account from one address in 15 minutes before further tries are refused.", low=1
    )
    registrations_per_hour: int = _knob(20, "New accounts one address may register in an hour.", low=1)
    geocodes_per_minute: int = _knob(
        60, "Questions for places and addresses one person may ask over REST in a minute.", low=1
    )
    geocode_cache_days: float = _knob(
        30.0, "How long answers of a geocoder are kept, also that there is nothing; 0 keeps none."
    )
    key_requests_per_minute: int = _knob(600, "Requests one API key may make in a minute; each key has as many.", low=1)
    ticket_ttl_s: float = _knob(30.0, "How long a socket ticket can be used.", low=1)
    token_ttl_hours: float = _knob(24.0 * 30, "How long a login token is valid.", low=0.01)
    max_trip_km: float = _knob(1_000.0, "Longest distance a client may state for a ride.", low=1)
    max_fare: float = _knob(1_000_000.0, "Highest fare a client may state, in whole currency.", low=1)
    currency: str = _knob("ZAR", "ISO 4217 code of every fare.")
    service_bounds: str = _knob(
        "16.3,-35.0,33.1,-22.0",
        "west,south,east,north of the home region. A point outside it whose swapped coordinates lie inside is "
        "refused as swapped. It limits nothing else; empty switches the check off.",
    )
    frames_per_s: float = _knob(20.0, "Frames a second one socket may send for long.", low=1)
    frames_burst: int = _knob(60, "Frames one socket may send at once.", low=1)
    positions_per_s: float = _knob(2.0, "Position frames a second one driver may send for long.", low=0.1)
    positions_burst: int = _knob(60, "Position frames one driver may send at once.", low=1)
    eta_detour: float = _knob(
        1.3, "Roads are so much longer than the great circle, where no routing engine says better.", low=1
    )
    eta_speed_km_h: float = _knob(30.0, "Average speed on roads, where no routing engine says better.", low=1)
    routing_timeout_s: float = _knob(
        1.0, "How long the routing engine is waited for in all; then it is the great circle.", low=0.01
    )
    position_accuracy_m: float = _knob(
        200.0, "A position whose device says it may be farther off than this is not taken.", low=1
    )
    position_late_hours: int = _knob(
        24, "How late a position may come, for example after a dead spot; older ones are not taken.", low=1
    )
    jump_km_h: float = _knob(
        250.0, "A position that could only be reached faster than this is left out of tracks.", low=1
    )
    position_keep_days: int = _knob(30, "How long positions of the past are kept, in whole days (UTC).", low=2)
    exports_at_once: int = _knob(
        2,
        "Exports of whole collections that one process streams at the same time; each holds a database connection.",
        low=1,
    )
    export_timeout_s: float = _knob(600.0, "An export that takes longer than this is cut off.", low=1)
    tile_features: int = _knob(20_000, "The most features that one vector tile holds.", low=1)
    demand_keep_days: int = _knob(
        400, "How long counts of requests and idle drivers by hexagon and hour are kept, in days.", low=3
    )
    analyst_statement_timeout_s: float = _knob(
        60.0,
        "How long a statement of an analyst's login may run, and a transaction ten times as long; the service ends it.",
        low=1,
    )
    surrogate_keep_months: int = _knob(
        13,
        "For how many months (UTC), the present one included, schema gis has keys that stand for people; then the "
        "secret they are made of is thrown away.",
        low=1,
    )
    reporting_time_zone: str = _knob(
        "Africa/Johannesburg",
        "In which time zone the days and months that analysts see begin and end. "
        "The first day that is published fixes it.",
    )
    publish_keep_days: int = _knob(
        1_830, "How long the numbers that analysts see are kept, in days; whole months are thrown away.", low=431
    )
    trackers: bool = _knob(
        False,
        "Let phones with a tracker app tell positions at /api/v1/track/. Their keys stand in addresses.",
        demo=True,
    )
    sockets_per_user: int = _knob(
        5, "Open sockets of one user in one process; the oldest is closed (4409) for a newer one.", low=1
    )
    sockets_per_process: int = _knob(
        5_000, "Open sockets of one process; more are turned away (1013). About 70 KiB of memory each.", low=1
    )
    socket_send_timeout_s: float = _knob(5.0, "A client that does not read for this long is closed (4408).", low=0.1)
    credential_recheck_s: float = _knob(30.0, "How often open sockets' credentials are checked again.", low=0.5)
    catch_up_s: float = _knob(
        5.0, "How often open sockets are compared with the database, in case a hint of a move was lost.", low=0.1
    )
    socket_db_workers: int = _knob(4, "Threads, and so database connections, that serve sockets in one process.", low=1)


def read_knobs(environ: Mapping[str, str], *, demo: bool) -> Knobs:
    """Knobs from the environment, or `ConfigurationMistake` naming the variable that is wrong."""
    fields = {f.name: f for f in dataclasses.fields(Knobs)}
    for name in environ:
        if name.startswith(PREFIX) and name not in NOT_KNOBS and name[len(PREFIX) :].lower() not in fields:
            raise ConfigurationMistake(f"{name} is not a setting; docs/configuration.md lists them")
    values = {
        name: _parse(PREFIX + name.upper(), f, environ.get(PREFIX + name.upper()), demo=demo)
        for name, f in fields.items()
    }
    if values["strategy"] not in STRATEGIES:
        raise ConfigurationMistake(f"CARECONNECT_STRATEGY must be one of {', '.join(STRATEGIES)}")
    if values["ranking"] not in RANKINGS:
        raise ConfigurationMistake(f"CARECONNECT_RANKING must be one of {', '.join(RANKINGS)}")
    if values["reporting_time_zone"] not in available_timezones():
        raise ConfigurationMistake("CARECONNECT_REPORTING_TIME_ZONE must be a time zone like Africa/Johannesburg")
    if values["guest_rides"] and not demo:
        raise ConfigurationMistake("CARECONNECT_GUEST_RIDES exists only with CARECONNECT_ENV=demo")
    if 0 < values["reach_cell_m"] < SMALLEST_CELL_M:
        raise ConfigurationMistake(f"CARECONNECT_REACH_CELL_M must be 0 or at least {SMALLEST_CELL_M}")
    return Knobs(**values)


def _parse(variable: str, f: "dataclasses.Field[Any]", text: str | None, *, demo: bool) -> Any:
    if text is None:
        return f.metadata["demo"] if demo else f.default
    try:
        value = _convert(f.type, text.strip())
    except ValueError:
        raise ConfigurationMistake(f"{variable}={text!r} is not a {_type_name(f.type)}") from None
    if isinstance(value, int | float) and not isinstance(value, bool):
        low = f.metadata["low"]
        if not low <= value < float("inf"):
            raise ConfigurationMistake(f"{variable}={text!r} must be a finite number of at least {low}")
    return value


def _convert(kind: Any, text: str) -> Any:
    if kind is bool:
        if text.lower() not in {"1", "0", "true", "false", "yes", "no", "on", "off"}:
            raise ValueError(text)
        return text.lower() in {"1", "true", "yes", "on"}
    return kind(text)


def _type_name(kind: Any) -> str:
    return {bool: "yes or no", int: "whole number", float: "number"}.get(kind, "text")


def knobs() -> Knobs:
    """The knobs in force (tests override `settings.MOBILITY`)."""
    from django.conf import settings

    return settings.MOBILITY
