"""How long and how often: the whole run, and the quick one."""

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

    @property
    def middle_size(self) -> int:
        """The fleet that most benches use."""
        return 100_000


FULL = Plan(
    quick=False, sizes=(10_000, 100_000, 1_000_000), rounds=3, seconds=2, haversine_queries=20, rides=1_920,
    hot_rides=1_600, accept_rides=480, echo_seconds=3, idle_sockets=1_000,
    position_seconds=10, update_seconds=5, fanout_messages=40, meanwhile_seconds=10,
    map_seconds=4,
)  # fmt: skip
QUICK = Plan(
    quick=True, sizes=(10_000, 100_000), rounds=1, seconds=1, haversine_queries=3, rides=640, hot_rides=320,
    accept_rides=160, echo_seconds=1, idle_sockets=500, position_seconds=3, update_seconds=2, fanout_messages=15,
    meanwhile_seconds=5, map_seconds=1,
)  # fmt: skip
SEED = 20_260
