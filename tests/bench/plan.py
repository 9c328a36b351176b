"""How long and how often: the whole run, the quick one, and the trial that only sees whether a bench still runs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Sizes, rounds and seconds of one run."""

    quick: bool
    sizes: tuple[int, ...]
    rounds: int
    seconds: float  # of one measurement in one round
    haversine_queries: int
    rides: int  # of one round of the assignments, all clients together
    hot_rides: int
    accept_rides: int  # of one round, all passengers together
    echo_seconds: float
    idle_sockets: int
    position_seconds: float  # of one way to write in one round
    update_seconds: float
    fanout_messages: int
    meanwhile_seconds: float
    map_seconds: float  # of one server in one round
    history: int  # positions that the time machine looks into
    middle_size: int = 100_000  # of the fleet that most benches use


FULL = Plan(
    quick=False, sizes=(10_000, 100_000, 1_000_000), rounds=3, seconds=2, haversine_queries=20, rides=1_920,
    hot_rides=1_600, accept_rides=480, echo_seconds=3, idle_sockets=1_000,
    position_seconds=10, update_seconds=5, fanout_messages=40, meanwhile_seconds=10,
    map_seconds=4, history=10_000_000,
)  # fmt: skip
QUICK = Plan(
    quick=True, sizes=(10_000, 100_000), rounds=1, seconds=1, haversine_queries=3, rides=640, hot_rides=320,
    accept_rides=160, echo_seconds=1, idle_sockets=500, position_seconds=3, update_seconds=2, fanout_messages=15,
    meanwhile_seconds=5, map_seconds=1, history=1_000_000,
)  # fmt: skip
TRIAL = Plan(
    quick=True, sizes=(2_000, 20_000), rounds=1, seconds=0.5, haversine_queries=1, rides=96, hot_rides=320,
    accept_rides=32, echo_seconds=0.5, idle_sockets=100, position_seconds=1, update_seconds=0.5, fanout_messages=15,
    meanwhile_seconds=1.5, map_seconds=0.3, history=100_000, middle_size=20_000,
)  # fmt: skip
SEED = 20_260
