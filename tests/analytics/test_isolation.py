"""An analyst with a login of their own tries to single out fewer than ten people, and the truth says whether it worked.

The truth is which rides each published number counts (tests/analytics/city.py). A number that is had by sums and
differences of published ones is of a group of rides exactly when what is subtracted lies inside; the attack makes
thousands of those, as SQL, and looks how many people each group is. That is harder on the service than an analyst could
be: the group's true number is compared, not what rounding leaves of it. Nobody can prove that a group is of one to nine
people which is not.
"""

import json
import os
import random
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import NamedTuple

import psycopg
import pytest

from mobility import transactions
from mobility.analytics import publish
from tests.analytics.city import ZONE, Ride, Told, grown, people, told
from tests.analytics.test_publish import crowd, days_ago, publish_all

SEED = 20260107
PASSWORD = "a password of one test"


class Found(NamedTuple):
    """What a query gave: its number, and how often it was rounded."""

    number: int
    rounded: int


@pytest.fixture
def analyst(committed_db, admin_url):
    """A login like those of analysts, on a connection of its own."""
    name = f"analyst_{os.getpid()}"
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' IN ROLE careconnect_analyst")
    parts = psycopg.conninfo.conninfo_to_dict(admin_url) | {"user": name, "password": PASSWORD}
    connection = psycopg.connect(psycopg.conninfo.make_conninfo(**parts), autocommit=True)
    yield connection
    connection.close()
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(f"DROP ROLE {name}")


class Attack:
    """Queries as an analyst writes them, each with the groups of rides whose numbers it adds and subtracts."""

    def __init__(self, analyst: psycopg.Connection, truth: Told, seed: int) -> None:
        self.analyst, self.truth, self.rng = analyst, truth, random.Random(seed)
        over = {m for (m,) in analyst.execute("SELECT begins FROM gis.published WHERE kind = 'month'")}
        self.months = [key for key in truth.months if key[0] in over]
        self.days = list(truth.days)
        self.hours_of: dict[tuple[date, int], list] = {}
        for key in truth.hours:
            self.hours_of.setdefault(key[:2], []).append(key)
        places = analyst.execute(
            "SELECT DISTINCT cell, ST_X(ST_Centroid(geom))::float8, ST_Y(ST_Centroid(geom))::float8"
            " FROM gis.demand_hours"
        )
        self.cell = {round((x - 28.0) / 0.05) + 20 * round((-26.0 - y) / 0.05): cell for cell, x, y in places}
        self.ways: list[Callable[[], tuple[str, list, set, set, int]]] = [
            self.day_less_hours, self.month_less_days, self.month_less_days_and_hours, self.hours_less_hours,
            self.outcomes_of_day, self.outcomes_of_month, self.completed_of_month_less_days, self.flows_of_month,
            self.whole_city, self.joined_with_itself,
        ]  # fmt: skip

    def run(self, queries: int) -> list[str]:
        """The queries that singled out one to nine people."""
        singled_out = []
        while queries:
            statement, params, plus, minus, rounded = self.rng.choice(self.ways)()
            if not plus or not minus <= plus:
                continue
            queries -= 1
            (number,) = self.analyst.execute(statement, params).fetchone()
            if number is None:
                continue
            group = plus - minus
            assert abs(int(number) - len(group)) <= 2 * rounded, (statement, params)
            if 0 < people(group) < 10:
                singled_out.append(f"{people(group)} people: {statement} {params}")
        return singled_out

    def _some(self, keys: list) -> list:
        share = self.rng.choice([0, 0.1, 0.5, 0.9, 1, 1, 1])
        return [key for key in keys if self.rng.random() < share]

    @staticmethod
    def _all(sets) -> set:
        return set().union(*sets)

    def day_less_hours(self):
        day, area = self.rng.choice(self.days)
        hours = self._some(self.hours_of.get((day, area), []))
        statement = (
            "SELECT requests - coalesce((SELECT sum(h.requests) FROM gis.demand_hours h JOIN unnest(%s::bigint[],"
            " %s::timestamptz[]) u (cell, hour) USING (cell, hour) WHERE h.area_id = d.area_id), 0)"
            " FROM gis.area_days d WHERE day = %s AND area_id = %s"
        )
        params = [[self.cell[k[2]] for k in hours], [k[3] for k in hours], day, area]
        return (
            statement,
            params,
            set(self.truth.days[day, area]),
            self._all(self.truth.hours[k] for k in hours),
            len(hours) + 1,
        )

    def month_less_days(self):
        month, area = self.rng.choice(self.months)
        days = self._some([d for d, a in self.days if a == area and d.replace(day=1) == month])
        statement = (
            "SELECT requests - coalesce((SELECT sum(requests) FROM gis.area_days d WHERE d.area_id = m.area_id"
            " AND day = ANY (%s)), 0) FROM gis.area_months m WHERE month = %s AND area_id = %s"
        )
        minus = self._all(self.truth.days[d, area] for d in days)
        return statement, [days, month, area], set(self.truth.months[month, area]), minus, len(days) + 1

    def month_less_days_and_hours(self):
        """Whole days, and of the others the hours that are told."""
        month, area = self.rng.choice(self.months)
        own = [d for d, a in self.days if a == area and d.replace(day=1) == month]
        days = self._some(own)
        hours = [k for d in own if d not in days for k in self.hours_of.get((d, area), [])]
        statement = (
            "SELECT m.requests - coalesce((SELECT sum(d.requests) FROM gis.area_days d WHERE d.area_id = m.area_id AND"
            " d.day = ANY (%s)), 0) - coalesce((SELECT sum(h.requests) FROM gis.demand_hours h WHERE h.area_id ="
            " m.area_id AND (h.hour AT TIME ZONE 'Africa/Johannesburg')::date = ANY (%s)), 0)"
            " FROM gis.area_months m WHERE month = %s AND area_id = %s"
        )
        minus = self._all(self.truth.days[d, area] for d in days) | self._all(self.truth.hours[k] for k in hours)
        others = [d for d in own if d not in days]
        return (
            statement,
            [days, others, month, area],
            set(self.truth.months[month, area]),
            minus,
            len(days) + len(hours) + 1,
        )

    def hours_less_hours(self):
        """The same question twice, once with one condition more."""
        keys = list(self.truth.hours)
        area, after = self.rng.choice(keys)[1], self.rng.choice(keys)[3]
        hour = self.rng.choice(keys)[3].astimezone(ZONE).hour
        plus = [k for k in keys if k[1] == area and k[3] >= after]
        minus = [k for k in plus if k[3].astimezone(ZONE).hour != hour]
        statement = (
            "WITH h AS (SELECT *, extract(hour FROM hour AT TIME ZONE 'Africa/Johannesburg') AS local FROM"
            " gis.demand_hours) SELECT coalesce((SELECT sum(requests) FROM h WHERE area_id = %s AND hour >= %s), 0)"
            " - coalesce((SELECT sum(requests) FROM h WHERE area_id = %s AND hour >= %s AND local <> %s), 0)"
        )
        sets = (self._all(self.truth.hours[k] for k in side) for side in (plus, minus))
        return statement, [area, after, area, after, hour], *sets, len(plus) + len(minus)

    def outcomes_of_day(self):
        day, area = self.rng.choice(self.days)
        sides = self._some([s for s in ("completed", "not_completed") if (day, area, s) in self.truth.day_sides])
        statement = (
            f"SELECT requests{''.join(f' - {s}' for s in sides)} FROM gis.area_days WHERE day = %s AND area_id = %s"
        )
        minus = self._all(self.truth.day_sides[day, area, s] for s in sides)
        return statement, [day, area], set(self.truth.days[day, area]), minus, 1 + len(sides)

    def outcomes_of_month(self):
        month, area = self.rng.choice(self.months)
        whole = self.rng.choice(["requests", "followed", "not_completed"])
        names = {
            "requests": ["followed", "completed", "not_completed"], "followed": ["completed", "not_completed"],
            "not_completed": ["cancelled", "no_show", "unfulfilled", "still_open"],
        }[whole]  # fmt: skip
        part_of = self.truth.month_parts
        named = self._some([n for n in names if (month, area, n) in part_of])
        if "followed" in named:
            named = ["followed"]
        plus = self.truth.months[month, area] if whole == "requests" else part_of.get((month, area, whole), set())
        statement = (
            f"SELECT {whole}{''.join(f' - {n}' for n in named)} FROM gis.area_months WHERE month = %s AND area_id = %s"
        )
        return statement, [month, area], set(plus), self._all(part_of[month, area, n] for n in named), 1 + len(named)

    def completed_of_month_less_days(self):
        month, area = self.rng.choice(self.months)
        name = self.rng.choice(["completed", "not_completed"])
        days = self._some(
            [d for d, a, s in self.truth.day_sides if a == area and s == name and d.replace(day=1) == month]
        )
        statement = (
            f"SELECT m.{name} - coalesce((SELECT sum(d.{name}) FROM gis.area_days d WHERE d.area_id = m.area_id AND"
            " d.day = ANY (%s)), 0) FROM gis.area_months m WHERE month = %s AND area_id = %s"
        )
        minus = self._all(self.truth.day_sides[d, area, name] for d in days)
        return (
            statement,
            [days, month, area],
            set(self.truth.month_parts.get((month, area, name), ())),
            minus,
            len(days) + 1,
        )

    def flows_of_month(self):
        month, area = self.rng.choice(self.months)
        to = self._some([t for m, a, t in self.truth.flows if (m, a) == (month, area)])
        statement = (
            "SELECT m.requests - coalesce((SELECT sum(f.requests) FROM gis.flows f WHERE f.from_area_id = m.area_id AND"
            " f.month = m.month AND to_area_id = ANY (%s)), 0) FROM gis.area_months m WHERE month = %s AND area_id = %s"
        )
        minus = self._all(self.truth.flows[month, area, t] for t in to)
        return statement, [to, month, area], set(self.truth.months[month, area]), minus, len(to) + 1

    def whole_city(self):
        """All areas of a month less all of their days but some."""
        month = self.rng.choice(self.months)[0]
        areas = [a for m, a in self.months if m == month]
        days = self._some([d for d, a in self.days if a in areas and d.replace(day=1) == month])
        told_days = [(d, a) for d, a in self.days if d in days and a in areas]
        statement = (
            "SELECT (SELECT sum(requests) FROM gis.area_months WHERE month = %s) - coalesce((SELECT sum(requests) FROM"
            " gis.area_days WHERE day = ANY (%s) AND area_id = ANY (%s)), 0)"
        )
        plus = self._all(self.truth.months[month, a] for a in areas)
        minus = self._all(self.truth.days[key] for key in told_days)
        return statement, [month, days, areas], plus, minus, len(areas) + len(told_days)

    def joined_with_itself(self):
        """A hexagon in an hour, less the same hexagon where another view knows better."""
        key = self.rng.choice(list(self.truth.hours))
        day, area, number, hour = key
        statement = (
            "SELECT d.requests - h.requests FROM gis.demand_hours h JOIN gis.area_days d ON d.area_id = h.area_id AND"
            " d.day = (h.hour AT TIME ZONE 'Africa/Johannesburg')::date WHERE h.area_id = %s AND h.cell = %s AND"
            " h.hour = %s AND EXISTS (SELECT FROM gis.demand_hours o WHERE o.cell = h.cell AND o.id = h.id)"
        )
        return (
            statement,
            [area, self.cell[number], hour],
            set(self.truth.days[day, area]),
            set(self.truth.hours[key]),
            2,
        )


def a_city(seed: int = SEED) -> list[Ride]:
    """Rides from the beginning of the month before the last to three days ago."""
    today = datetime.now(ZONE).date()
    first = (today.replace(day=1) - timedelta(days=35)).replace(day=1)
    return grown(seed, first, (today - timedelta(days=3) - first).days + 1)


@pytest.mark.parametrize("queries", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_queries_single_out_fewer_than_ten_people(city, analyst, queries):
    city.areas(1, 2, 3, 4)
    city.add(a_city())
    publish_all()
    assert Attack(analyst, told(city.rides), SEED).run(queries) == []


# --- what the attack is worth: without each rule it succeeds ------------------------------------------------------


def test_the_attack_succeeds_where_totals_count_whatever_is_left(city, analyst, monkeypatch):
    monkeypatch.setattr(publish, "MIN_REST", 1)
    city.areas(1, 2, 3, 4)
    # Only where the day as a whole can be told: a check of the tables refuses a number below ten even so.
    crowds: dict = {}
    for ride in a_city():
        crowds.setdefault((ride.day, ride.area), []).append(ride)
    city.add(ride for rides in crowds.values() if people(rides) >= 10 for ride in rides)
    publish_all()
    assert len(Attack(analyst, told(city.rides, rest=1), SEED).run(2_000)) > 5


@pytest.mark.slow
def test_the_attack_succeeds_where_rides_are_counted_for_people(city, analyst, monkeypatch):
    whole = transactions._statement
    monkeypatch.setattr(
        transactions, "_statement", lambda name: whole(name).replace(b"count(DISTINCT person)", b"count(*)")
    )
    city.areas(1, 2, 3, 4)
    city.add(a_city())
    publish_all()
    alone = [Ride(**{**vars(ride), "person": ride.number}) for ride in city.rides]
    owner = {ride.number: ride for ride in city.rides}
    truth = told(alone)
    for numbers in vars(truth).values():
        for key, group in numbers.items():
            numbers[key] = frozenset(owner[ride.number] for ride in group)
    assert len(Attack(analyst, truth, SEED).run(500)) > 5


def test_a_number_that_followed_what_changes_would_tell_of_one_ride(city, analyst):
    """Twelve, rounded to ten, and one ride later thirteen, rounded to fifteen."""
    at = days_ago(4)
    city.add(crowd(at, range(1, 13)))
    publish_all()
    read = "SELECT requests FROM gis.demand_hours"
    assert analyst.execute(read).fetchall() == [(10,)]
    city.add(crowd(at, [13], first=20))
    publish_all()
    assert analyst.execute(read).fetchall() == [(10,)]
    # Published again, which only somebody can do who may switch the guards off:
    city.admin.execute("DELETE FROM mobility_published_hour")
    city.admin.execute("DELETE FROM mobility_published_area")
    city.admin.execute("DELETE FROM mobility_published_ride")
    city.admin.execute("DELETE FROM mobility_published")
    publish_all()
    assert analyst.execute(read).fetchall() == [(15,)]


# --- what stands behind the views -----------------------------------------------------------------------------

RELATIONS = (
    "area_days", "area_months", "demand_hours", "flows", "matching_days", "published", "service_areas", "supply_hours",
)  # fmt: skip


@pytest.mark.parametrize("relation", RELATIONS)
def test_a_plan_names_published_tables_only(analyst, relation):
    explained = analyst.execute(f"EXPLAIN (ANALYZE, VERBOSE, FORMAT JSON) SELECT * FROM gis.{relation}").fetchone()
    tables = set(re.findall(r'"Relation Name": "(\w+)"', json.dumps(explained)))
    assert tables
    assert {t for t in tables if not t.startswith("mobility_published")} <= {"mobility_service_area"}


@pytest.mark.parametrize(
    "table", ["mobility_published_ride", "mobility_published_hour", "mobility_published_area", "mobility_booking"]
)
def test_the_tables_themselves_are_not_read(analyst, table):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        analyst.execute(f"SELECT * FROM public.{table}")


def test_views_and_columns_are_explained_and_begin_with_a_key(analyst):
    for relation in RELATIONS:
        columns = analyst.execute(
            "SELECT a.attname, format_type(a.atttypid, a.atttypmod), col_description(a.attrelid, a.attnum),"
            " obj_description(a.attrelid, 'pg_class') FROM pg_attribute a WHERE attrelid = %s::regclass AND attnum > 0"
            " ORDER BY attnum", [f"gis.{relation}"],
        ).fetchall()  # fmt: skip
        assert columns[0][:2] == ("id", "bigint"), relation
        assert [name for name, _, said, whole in columns if not said or not whole] == [], relation
        assert {kind for name, kind, *_ in columns if name == "geom"} <= {
            "geometry(Polygon,4326)", "geometry(MultiPolygon,4326)",
        }  # fmt: skip
