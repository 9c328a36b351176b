"""A city whose rides are known: staged in bulk, and what may be told of it worked out in plain Python, with sets.

The arithmetic here is written from the decision record, not from the SQL: both must come to the same numbers.
"""

import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg

ZONE = ZoneInfo("Africa/Johannesburg")
OUTCOMES = ("completed", "cancelled", "no_show", "unfulfilled", "open")
_STATUS = {"open": "scheduled"}
_COLUMNS = (
    "ride_id, passenger_id, passenger_phone, driver_id, offer_id, status, seq, pickup, dropoff, service_area_id,"
    " distance_m, distance_origin, duration_s, fare_currency, fare_origin, request_digest, requested_at,"
    " search_started_at, due_at, search_until, confirmed_at, arrived_at, started_at, completed_at,"
    " unfulfilled_at, no_show_at, cancelled_at, cancelled_by, rounds, releases, pickup_address, dropoff_address,"
    " notes, cancellation_reason, vehicle_type"
)


@dataclass(frozen=True)
class Ride:
    """One ride as it is staged: `person` > 0 is a passenger, a text a guest's phone."""

    number: int
    person: int | str
    area: int
    spot: int
    at: datetime
    outcome: str = "completed"
    to_area: int = 0
    wait_s: int = 300

    @property
    def day(self) -> date:
        return self.at.astimezone(ZONE).date()

    @property
    def month(self) -> date:
        return self.day.replace(day=1)

    @property
    def hour(self) -> datetime:
        return self.at.replace(minute=0, second=0, microsecond=0)

    @property
    def place(self) -> tuple[int, int, datetime]:
        return self.area, self.spot, self.hour


def spot(number: int) -> tuple[float, float]:
    """Longitude and latitude of a pickup; spots of different numbers lie in different hexagons of 1 km."""
    return 28.0 + 0.05 * (number % 20), -26.0 - 0.05 * (number // 20)


class City:
    """Stages rides as the superuser, with no trigger and no foreign key in the way, and takes them away again."""

    def __init__(self, admin_url: str) -> None:
        self.admin = psycopg.connect(admin_url, autocommit=True)
        self.admin.execute("SET session_replication_role = replica")
        self.rides: list[Ride] = []

    def areas(self, *numbers: int, side_deg: float = 0.5) -> None:
        """Active areas of these numbers, by default so wide that their surface never limits what is told."""
        for number in numbers:
            self.admin.execute(
                "INSERT INTO mobility_service_area (id, name, active, area) VALUES (%s, %s, true,"
                " ST_Multi(ST_MakeEnvelope(%s, 0, %s, %s, 4326)))",
                [number, f"Area {number}", number, number + side_deg, side_deg],
            )

    def add(self, rides: Iterable[Ride]) -> None:
        rides = list(rides)
        self.rides += rides
        with self.admin.cursor() as cursor, cursor.copy(f"COPY mobility_booking ({_COLUMNS}) FROM STDIN") as copy:
            for ride in rides:
                copy.write_row(_row(ride))

    def clear(self) -> None:
        """Without rides, so that the checks of the service, for which these were never real, find nothing."""
        self.admin.execute("TRUNCATE mobility_booking CASCADE")
        self.rides = []

    def close(self) -> None:
        self.clear()
        self.admin.close()


def _row(ride: Ride) -> list[object]:
    lon, lat = spot(ride.spot)
    to = f"SRID=4326;POINT({ride.to_area + 0.25} 0.25)" if ride.to_area else "SRID=4326;POINT(-20 -20)"
    driven = ride.outcome in {"completed", "no_show", "cancelled"}
    arrived = ride.at + timedelta(seconds=ride.wait_s)
    started = arrived + timedelta(seconds=60)
    done = started + timedelta(seconds=600)
    known = isinstance(ride.person, int)
    return [
        f"r{ride.number}", ride.person if known else None, "" if known else ride.person, 1 if driven else None,
        ride.number if driven else None, _STATUS.get(ride.outcome, ride.outcome), 1, f"SRID=4326;POINT({lon} {lat})",
        to, ride.area or None, 1000, "geodesic", None, "ZAR", "none", "x", ride.at, ride.at,
        None, None, ride.at if driven else None, arrived if driven else None,
        started if ride.outcome == "completed" else None, done if ride.outcome == "completed" else None,
        done if ride.outcome == "unfulfilled" else None, done if ride.outcome == "no_show" else None,
        done if ride.outcome == "cancelled" else None, "passenger" if ride.outcome == "cancelled" else None, 0, 0, "",
        "", "", "", None,
    ]  # fmt: skip


def people(rides: Iterable[Ride]) -> int:
    return len({ride.person for ride in rides})


@dataclass
class Told:
    """What may be told: each number as the rides it counts."""

    hours: dict[tuple[date, int, int, datetime], frozenset[Ride]] = field(default_factory=dict)
    days: dict[tuple[date, int], frozenset[Ride]] = field(default_factory=dict)
    months: dict[tuple[date, int], frozenset[Ride]] = field(default_factory=dict)
    day_sides: dict[tuple[date, int, str], frozenset[Ride]] = field(default_factory=dict)
    month_parts: dict[tuple[date, int, str], frozenset[Ride]] = field(default_factory=dict)
    flows: dict[tuple[date, int, int], frozenset[Ride]] = field(default_factory=dict)


def _groups(rides, key):
    found = defaultdict(set)
    for ride in rides:
        found[key(ride)].add(ride)
    return {name: frozenset(group) for name, group in found.items()}


def parts(rides: Iterable[Ride], key, least: int = 10, rest: int = 10) -> dict:
    """The parts that can be told, the smallest kept back where the rest would be of a few."""
    groups = _groups(rides, key)
    told = {name: group for name, group in groups.items() if people(group) >= least}
    left = [ride for name, group in groups.items() if name not in told for ride in group]
    if told and 0 < people(left) < rest:
        del told[min(told, key=lambda name: (people(told[name]), str(name)))]
    return told


def side(ride: Ride) -> str:
    return "completed" if ride.outcome == "completed" else "not_completed"


def told(rides: list[Ride], *, least: int = 10, rest: int = 10, months: bool = True) -> Told:
    """Everything of these rides, by the rules of docs/decisions/0024-published-counts.md."""
    found = Told()
    late: dict[tuple[date, int], set[Ride]] = defaultdict(set)
    rest_days: dict[tuple[date, int], int] = defaultdict(int)
    for (day, area), group in _groups(rides, lambda r: (r.day, r.area)).items():
        cells = {place: c for place, c in _groups(group, lambda r: r.place).items() if people(c) >= least}
        for (_, number, hour), cell in cells.items():
            found.hours[day, area, number, hour] = cell
        counted = frozenset().union(*cells.values())
        left = group - counted
        # The areas of these tests have room for a thousand hexagons: that there are three places more is certain.
        if people(left) >= rest:
            counted, left = counted | left, frozenset()
            rest_days[day.replace(day=1), area] += bool(left or group - frozenset().union(*cells.values()))
        late[day.replace(day=1), area] |= left
        if counted:
            found.days[day, area] = counted
            sides = _groups(counted, side)
            if len(sides) == 2 and all(people(s) >= least for s in sides.values()):
                for name, s in sides.items():
                    found.day_sides[day, area, name] = s
    if months:
        for month, area in {(d.replace(day=1), a) for d, a in found.days} | set(late):
            _month(found, month, area, late[month, area], rest_days[month, area], least, rest)
    return found


def _month(found: Told, month: date, area: int, late: set[Ride], rest_days: int, least: int, rest: int) -> None:
    length = ((month + timedelta(days=32)).replace(day=1) - month).days
    days = {d: group for (d, a), group in found.days.items() if a == area and d.replace(day=1) == month}
    blocks: dict[date | None, frozenset[Ride]] = dict(days)
    if people(late) >= rest and length - rest_days >= 3:
        blocks[None] = frozenset(late)
    if not blocks:
        return
    all_rides = frozenset().union(*blocks.values())
    found.months[month, area] = all_rides
    found.flows |= {(month, area, to): f for to, f in parts(all_rides, lambda r: r.to_area, least, rest).items()}
    open_days = [d for d in blocks if d is not None and (d, area, "completed") in found.day_sides]
    hidden = {d: group for d, group in blocks.items() if d not in open_days}
    unseen = frozenset().union(*hidden.values())
    sides = _groups(unseen, side)
    may = (
        len(hidden) >= 3 and max(len(g) for g in hidden.values()) * 2 <= len(unseen)
        and len(sides) == 2 and all(people(s) >= rest for s in sides.values())
    )  # fmt: skip
    followed = frozenset().union(*(blocks[d] for d in open_days)) | (unseen if may else frozenset())
    if not followed:
        return
    found.month_parts[month, area, "followed"] = followed
    for name, s in _groups(followed, side).items():
        found.month_parts[month, area, name] = s
    not_done = [r for r in followed if r.outcome != "completed"]
    found.month_parts |= {
        (month, area, "still_open" if o == "open" else o): p
        for o, p in parts(not_done, lambda r: r.outcome, least, rest).items()
    }


def grown(seed: int, first: date, days: int, *, citizens: int = 2500, a_day: int = 240) -> list[Ride]:
    """Rides of a city with skewed habits: a few people ride often, few spots are busy, some areas are nearly empty."""
    rng = random.Random(seed)
    regulars = [(p, rng.randrange(1, 5), rng.randrange(12), rng.randrange(24)) for p in range(1, 41)]
    found: list[Ride] = []

    def ride(person: int | str, day: date, area: int, number: int, hour: int) -> None:
        at = datetime(day.year, day.month, day.day, hour, rng.randrange(60), rng.randrange(60), tzinfo=ZONE)
        outcome = rng.choices(OUTCOMES, [80, 10, 2, 6, 1])[0]
        to = rng.choices([area, 1, 2, 3, 4, 0], [50, 25, 12, 6, 2, 5])[0]
        found.append(
            Ride(len(found) + 1, person, area, number, at.astimezone(UTC), outcome, to, rng.randrange(60, 1200))
        )

    for n in range(days):
        day = first + timedelta(days=n)
        busy = rng.choice([0.2, 0.6, 1.0, 1.4])
        for person, area, number, hour in regulars:
            if rng.random() < 0.6:
                for _ in range(rng.choice([1, 2, 2, 4])):
                    ride(person, day, area, number, hour)
        for _ in range(int(a_day * busy)):
            person = 41 + (
                rng.randrange(citizens) if rng.random() < 0.7 else min(int(rng.paretovariate(0.8)), citizens)
            )
            area = rng.choices([1, 2, 3, 4, 0], [60, 25, 8, 4, 3])[0]
            ride(
                person, day, area, min(int(rng.paretovariate(1.0)), 12) - 1, rng.choice([7, 7, 7, 8, 8, 12, 16, 17, 3])
            )
    return found
