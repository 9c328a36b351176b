"""What is published, when, and that it is what the decision record says."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mobility import server
from mobility.analytics import publish
from mobility.analytics.publish import due_periods, forget_old_publications, publish_due_periods, publish_period
from mobility.demand.layers import COARSE_SIZE_M
from mobility.demand.queries import MIN_COUNT
from mobility.sql import sql
from tests.analytics.city import ZONE, Ride, grown, told


def rows(statement, *params):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall()


def publish_all():
    done = 0
    while more := publish_due_periods():
        done += more
    return done


def days_ago(days, hour=10):
    today = datetime.now(ZONE).replace(hour=hour, minute=0, second=0, microsecond=0)
    return (today - timedelta(days=days)).astimezone(UTC)


def crowd(at, people_numbers, *, first=1, area=1, spot=0, **more):
    return [Ride(first + n, p, area, spot, at, **more) for n, p in enumerate(people_numbers)]


def test_the_rules_are_those_of_keys_of_dashboards():
    assert publish.MIN_PEOPLE == publish.MIN_REST == MIN_COUNT
    assert publish.HEXAGON_M == COARSE_SIZE_M


def test_a_city_is_published_as_the_rules_say(city):
    """Every number of two months against sets in Python."""
    first = (datetime.now(ZONE).date().replace(day=1) - timedelta(days=40)).replace(day=1)
    last = datetime.now(ZONE).date() - timedelta(days=3)
    city.areas(1, 2, 3, 4)
    city.add(grown(1, first, (last - first).days + 1))
    publish_all()
    expected = told(city.rides)
    assert {d for d, _ in expected.days} == {first + timedelta(days=n) for n in range((last - first).days + 1)}
    over = {m for (m,) in rows("SELECT begins FROM gis.published WHERE kind = 'month'")}
    assert first in over
    cells = dict(rows("SELECT mobility_hex_of(ST_SetSRID(ST_MakePoint(28.0 + 0.05 * (n %% 20), -26.0 - 0.05 * (n"
                      " / 20)), 4326), 1000), n FROM generate_series(0, 39) n"))  # fmt: skip
    assert len(cells) == 40

    def near5(counted):
        return {key: (len(group) + 2) // 5 * 5 for key, group in counted.items()}

    assert {
        (hour.astimezone(ZONE).date(), area, cells[cell], hour): n
        for area, cell, hour, n in rows("SELECT area_id, cell, hour, requests FROM gis.demand_hours")
    } == near5(expected.hours)
    assert len(expected.hours) > 50
    found = rows("SELECT day, area_id, requests, completed, not_completed FROM gis.area_days")
    assert {(d, a): n for d, a, n, *_ in found} == near5(expected.days)
    sides = {
        (d, a, s): n for d, a, _, *both in found for s, n in zip(("completed", "not_completed"), both, strict=True) if n
    }
    assert sides == near5(expected.day_sides)
    assert 5 < len(sides) < 2 * len(found)
    names = ("followed", "completed", "not_completed", "cancelled", "no_show", "unfulfilled", "still_open")
    found = rows(f"SELECT month, area_id, requests, {', '.join(names)} FROM gis.area_months")
    assert {(m, a): n for m, a, n, *_ in found} == near5({k: v for k, v in expected.months.items() if k[0] in over})
    assert {(m, a, name): n for m, a, _, *all_ in found for name, n in zip(names, all_, strict=True) if n} == near5(
        {k: v for k, v in expected.month_parts.items() if k[0] in over}
    )
    assert {
        (m, a, b): n for m, a, b, n in rows("SELECT month, from_area_id, to_area_id, requests FROM gis.flows")
    } == near5({k: v for k, v in expected.flows.items() if k[0] in over})
    # Of a published month nothing is kept that numbers could be made of again.
    assert not {p for (p,) in rows("SELECT DISTINCT period FROM mobility_published_ride") if p.replace(day=1) in over}


# --- people --------------------------------------------------------------------------------------------------------


def test_ten_people_are_told_and_nine_are_not_however_often_they_ride(city):
    at = days_ago(4)
    city.add(crowd(at, range(1, 11), spot=0) + crowd(at, [*range(1, 10)] * 5, first=100, spot=1))
    publish_all()
    assert [n for (n,) in rows("SELECT requests FROM gis.demand_hours")] == [10]
    # The nine are in the ten's company nowhere: together they would be what the day has more than its hexagon.
    assert [n for (n,) in rows("SELECT requests FROM gis.area_days")] == [10]


def test_guests_are_people_by_their_phone_and_without_one_all_are_one(city, make_user):
    account = make_user(phone="+27820000001")
    at = days_ago(4)
    city.add(
        crowd(at, [account.pk, "+27 82 000 0001", "082", "", "", "", *range(1001, 1007)], spot=0)  # 9 people
        + crowd(at, [account.pk, "082", "", *range(1001, 1008)], first=50, spot=1)  # 10
    )
    publish_all()
    assert [n for (n,) in rows("SELECT requests FROM gis.demand_hours")] == [10]
    assert [n for (n,) in rows("SELECT requests FROM gis.area_days")] == [10]


def test_what_is_left_of_a_day_is_counted_when_it_is_of_ten(city):
    at = days_ago(4)
    city.add(
        crowd(at, range(1, 11), spot=0)
        + [r for s in range(1, 6) for r in crowd(at, [100 + s, 200 + s], first=s * 10 + 100, spot=s)]
    )
    publish_all()
    assert [n for (n,) in rows("SELECT requests FROM gis.demand_hours")] == [10]
    assert [n for (n,) in rows("SELECT requests FROM gis.area_days")] == [20]


def test_a_median_counts_every_passenger_alike(city):
    """One passenger who rides forty times does not make the middle their own."""
    at = days_ago(4)
    city.add(
        crowd(at, [1] * 40, wait_s=1000) + crowd(at, range(2, 13), first=100, wait_s=200)
        + crowd(at, range(20, 32), first=200, outcome="unfulfilled")
    )  # fmt: skip
    publish_all()
    assert rows("SELECT requests, completed, not_completed, wait_median_s, wait_p90_s, trip_duration_median_s,"
                " trip_length_median_m FROM gis.area_days") == [(65, 50, 10, 200, None, 600, None)]  # fmt: skip


def test_nine_of_ten_are_told_of_a_hundred_passengers(city):
    at = days_ago(4)
    city.add(
        [Ride(n, n, 1, 0, at, wait_s=10 * n) for n in range(1, 101)]
        + crowd(at, range(200, 210), first=200, outcome="cancelled")
    )
    publish_all()
    assert rows("SELECT wait_median_s, wait_p90_s FROM gis.area_days") == [(500, 900)]


def test_a_day_tells_outcomes_only_if_each_is_of_ten_people(city):
    city.add(crowd(days_ago(4), range(1, 31)) + crowd(days_ago(4), range(40, 49), first=100, outcome="no_show"))
    publish_all()
    assert rows("SELECT requests, completed, wait_median_s FROM gis.area_days") == [(40, None, None)]


def test_rides_are_told_by_the_hour_of_the_reporting_zone(city, set_knobs):
    set_knobs(reporting_time_zone="Asia/Kolkata")
    at = datetime.now(UTC).replace(hour=18, minute=45, second=0, microsecond=0) - timedelta(days=5)  # 00:15 there
    city.add(crowd(at, range(1, 12)))
    publish_all()
    assert rows("SELECT hour FROM gis.demand_hours") == [(at.replace(minute=30),)]
    assert rows("SELECT day FROM gis.area_days") == [((at + timedelta(hours=6)).date(),)]


def test_idle_drivers_come_out_of_final_counts_of_demand(city):
    at = days_ago(4)
    hour = at.replace(minute=0)
    city.add(crowd(at, range(1, 3)))
    day = at.astimezone(ZONE).replace(hour=0)
    for n in range(24):
        city.admin.execute(
            "INSERT INTO mobility_demand_made (hour, made_at, changed_at, due_at) VALUES (%s, now(), now(), %s)",
            [day + timedelta(hours=n), datetime.now(UTC) if n == 5 else None],
        )
    for cell, drivers in ((4294967296, 13), (4294967297, 9)):
        city.admin.execute("INSERT INTO mobility_demand_hour VALUES (1000, %s, %s, 0, 0, %s)", [hour, cell, drivers])
    publish_all()
    assert rows("SELECT 1 FROM gis.published WHERE kind = 'supply'") == []
    city.admin.execute("UPDATE mobility_demand_made SET due_at = NULL")
    publish_all()
    assert rows("SELECT cell, hour, idle_drivers, ST_GeometryType(geom) FROM gis.supply_hours") == [
        (4294967296, hour, 15, "ST_Polygon")
    ]


def test_why_drivers_were_passed_over_is_of_ten_drivers_and_ten_passengers(city):
    at = days_ago(4)
    city.add(crowd(at, range(1, 13)))
    ids = [i for (i,) in rows("SELECT id FROM mobility_booking ORDER BY id")]
    for n, booking in enumerate(ids):
        for driver, verdict in ((n, "busy"), (n % 9, "stale"), (n, "asked")):
            city.admin.execute(
                "INSERT INTO mobility_search_considered (booking_id, round, driver_id, distance_m, verdict)"
                " VALUES (%s, %s, %s, 10, %s)",
                [booking, {"busy": 1, "stale": 2, "asked": 3}[verdict], driver, verdict],
            )
    for n in range(15):  # of many drivers, but one ride
        city.admin.execute(
            "INSERT INTO mobility_search_considered (booking_id, round, driver_id, distance_m, verdict)"
            " VALUES (%s, 4, %s, 10, 'offline')",
            [ids[0], n],
        )
    publish_all()
    assert rows("SELECT area, day, verdict, passed_over FROM gis.matching_days") == [
        ("area 1", at.astimezone(ZONE).date(), "busy", 10)
    ]


def test_acceptance_is_a_share_of_what_drivers_answered(city):
    month = (datetime.now(ZONE).replace(day=1, hour=10) - timedelta(days=40)).replace(day=5)
    city.add(crowd(month.astimezone(UTC), range(1, 41)))
    for n, (booking,) in enumerate(rows("SELECT id FROM mobility_booking ORDER BY id")):
        status = ("accepted", "declined", "expired", "withdrawn")[n % 4] if n < 36 else "accepted"
        city.admin.execute(
            "INSERT INTO mobility_offer (booking_id, driver_id, round, status, reason, origin, offered_at, settled_at)"
            " VALUES (%s, %s, 1, %s, %s, 'asked', now(), now())",
            [booking, n + 1, status, "taken" if status == "withdrawn" else None],
        )
    publish_all()
    # 13 of 31 that were answered or ran out
    assert rows("SELECT acceptance_pct FROM gis.area_months") == [(40,)]


# --- when ----------------------------------------------------------------------------------------------------------


def test_a_day_is_published_two_days_after_its_end_and_once(city):
    city.add(crowd(days_ago(1), range(1, 12)) + crowd(days_ago(5), range(1, 12), first=50))
    publish_all()
    assert len(rows("SELECT * FROM gis.area_days")) == 1
    newest = max(d for (d,) in rows("SELECT begins FROM gis.published WHERE kind = 'day'"))
    now = datetime.now(ZONE)
    assert newest == (now - timedelta(hours=48)).date() - timedelta(days=1)
    # The days of the month of the first ride are published too, empty as they are; a month needs all of them.
    assert min(d for (d,) in rows("SELECT begins FROM gis.published")) == days_ago(5).astimezone(ZONE).date().replace(
        day=1
    )
    before = rows("SELECT * FROM gis.area_days")
    city.add(crowd(days_ago(5), range(20, 40), first=200))
    assert publish_all() == 0
    assert rows("SELECT * FROM gis.area_days") == before


def test_a_month_waits_for_its_days(city):
    month = (datetime.now(ZONE).date().replace(day=1) - timedelta(days=40)).replace(day=1)
    at = datetime(month.year, month.month, 10, 10, tzinfo=ZONE)
    city.add(crowd(at.astimezone(UTC), range(1, 12)))
    (due,) = [p for p in due_periods(at_once=1000) if p.kind == "month" and p.begins == month]
    assert not publish_period(due)
    publish_all()
    assert rows("SELECT month, requests FROM gis.area_months") == [(month, 10)]


def test_nothing_is_due_without_a_ride(city):
    assert due_periods() == []


def test_one_process_publishes_at_a_time(city, admin_url):
    city.add(crowd(days_ago(5), range(1, 12)))
    with psycopg.connect(admin_url) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('published', 8067))")
        assert publish_due_periods() == 0
        with pytest.raises(CommandError, match="Another process is publishing"):
            call_command("publish_gis")
        other.rollback()
    assert publish_due_periods() > 0


def test_a_day_that_fails_leaves_nothing_and_stops_no_other(city, monkeypatch):
    city.add(crowd(days_ago(5), range(1, 12)) + crowd(days_ago(4), range(1, 12), first=50))
    city.admin.execute(
        "ALTER TABLE mobility_published_area ADD CONSTRAINT broken"
        f" CHECK (period <> '{days_ago(5).astimezone(ZONE).date()}')"
    )
    try:
        publish_due_periods()
        assert rows("SELECT day FROM gis.area_days") == [(days_ago(4).astimezone(ZONE).date(),)]
        assert len(rows("SELECT 1 FROM gis.demand_hours")) == 1
    finally:
        city.admin.execute("ALTER TABLE mobility_published_area DROP CONSTRAINT broken")
    publish_all()
    assert len(rows("SELECT * FROM gis.area_days")) == 2


def test_the_first_day_fixes_the_zone(city, set_knobs):
    city.add(crowd(days_ago(40), range(1, 12)))
    publish_due_periods(at_once=1)
    set_knobs(reporting_time_zone="America/New_York")
    publish_all()
    assert rows("SELECT DISTINCT time_zone FROM gis.published") == [("Africa/Johannesburg",)]


def test_old_numbers_are_thrown_away_and_not_published_again(city, set_knobs):
    city.add(crowd(days_ago(600), range(1, 12)) + crowd(days_ago(10), range(1, 12), first=50))
    publish_all()
    assert len(rows("SELECT 1 FROM gis.area_days")) == 2
    set_knobs(publish_keep_days=431)
    assert forget_old_publications() == 4  # hour, day, month, flow
    assert forget_old_publications() == 0
    set_knobs(publish_keep_days=1000)
    assert publish_all() == 0
    assert rows("SELECT day FROM gis.area_days") == [(days_ago(10).astimezone(ZONE).date(),)]


def test_the_dispatcher_publishes_and_throws_away(city, set_knobs):
    city.add(crowd(days_ago(5), range(1, 12)) + crowd(days_ago(600), range(1, 12), first=50))
    set_knobs(publish_keep_days=1000)

    async def ticks() -> None:
        await server._publish_tick()
        set_knobs(publish_keep_days=431)
        await server._tidy_tick()

    async def loops() -> set[str]:
        running = server.dispatcher_loops()
        for task in running:
            task.cancel()
        found = {task.get_coro().cr_frame.f_locals["work"].__name__ for task in running}
        await asyncio.gather(*running, return_exceptions=True)
        return found

    asyncio.run(ticks())
    done = rows("SELECT count(*) FROM gis.published")[0][0]
    assert done == server.PUBLISH_ROUNDS  # more than that at the next tick
    assert rows("SELECT 1 FROM gis.area_days") == []
    assert "_publish_tick" in asyncio.run(loops())


# --- the command ---------------------------------------------------------------------------------------------------


def test_the_command_catches_up(city, capsys):
    city.add(crowd(days_ago(40), range(1, 12)) + crowd(days_ago(5), range(1, 12), first=50))
    call_command("publish_gis", dry_run=True)
    said = capsys.readouterr().out.splitlines()
    assert f"day {days_ago(40).astimezone(ZONE).date()}" in said
    count = len(said) - 1
    assert said[-1] == f"{count} would be published"
    assert rows("SELECT 1 FROM gis.published") == []
    call_command("publish_gis", since=str(days_ago(5).astimezone(ZONE).date()))
    assert len(rows("SELECT 1 FROM gis.area_days")) == 1
    call_command("publish_gis")
    assert len(rows("SELECT 1 FROM gis.area_days")) == 2
    assert len(rows("SELECT 1 FROM gis.published")) == count
    capsys.readouterr()
    call_command("publish_gis")
    assert capsys.readouterr().out.startswith("0 published")


def test_a_day_that_is_none_is_refused():
    with pytest.raises(CommandError, match="2026-01-31") as refused:
        call_command("publish_gis", since="soon")
    assert refused.value.returncode == 2


# --- what is left may not be of two places ---------------------------------------------------------------------------


def hours_of_a_day(told_hours, at):
    """An hour each: ten people in so many hours of a day, six in the next two, none in the others."""
    begins = at.astimezone(ZONE).replace(hour=0, minute=5)
    for n in range(told_hours + 2):
        people_of = range(1, 11) if n < told_hours else range(100 + 10 * n, 106 + 10 * n)
        yield from crowd((begins + timedelta(hours=n)).astimezone(UTC), people_of, first=1 + 20 * n)


@pytest.mark.parametrize(("told_hours", "requests"), [(21, 220), (22, 220)])
def test_in_an_area_of_one_hexagon_the_last_two_hours_are_not_told_together(city, told_hours, requests):
    """Twelve people in the two hours that are not told: some of them in each, as everybody could see."""
    city.areas(1, side_deg=0.001)
    city.add(hours_of_a_day(told_hours, days_ago(4)))
    publish_all()
    assert len(rows("SELECT 1 FROM gis.demand_hours")) == told_hours
    # 210 and the 12 of three hours that may have had any; 220 without the 12.
    assert rows("SELECT requests FROM gis.area_days") == [(requests,)]


def test_in_a_wide_area_they_are(city):
    city.areas(1)
    city.add(hours_of_a_day(22, days_ago(4)))
    publish_all()
    assert rows("SELECT requests FROM gis.area_days") == [(230,)]


@pytest.mark.django_db
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("vwxyz"), st.integers(1, 14)), max_size=90),
    st.integers(2, 5),
)
def test_parts_that_are_told_leave_nobody_or_a_crowd(members, least):
    """The statement that publishes outcomes and flows, against what it promises."""
    part = sql("analytics/sql/published_parts")
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH member AS (SELECT * FROM unnest(%(whole)s::text[], %(part)s::text[], %(person)s::int[])"
            f" m (whole, part, person)) {part}",
            {"whole": [m[0] for m in members], "part": [m[1] for m in members], "person": [m[2] for m in members],
             "min_people": least, "min_rest": least},
        )  # fmt: skip
        shown = {(whole, part): rides for whole, part, rides in cursor.fetchall()}
    for whole in "abc":
        own = [m for m in members if m[0] == whole]
        small = kept_back = 0
        for part in {m[1] for m in own}:
            crowd_of = [m for m in own if m[1] == part]
            count = len({m[2] for m in crowd_of})
            if (whole, part) in shown:
                assert count >= least
                assert shown[whole, part] == len(crowd_of)
            else:
                small, kept_back = small + (count < least), kept_back + (count >= least)
        left = {m[2] for m in own if (m[0], m[1]) not in shown}
        told_any = any(key[0] == whole for key in shown)
        assert not left or len(left) >= least or not told_any
        # No more is kept back than is needed.
        assert kept_back <= 1
        assert not kept_back or small
