"""Jumps: positions that nobody can have driven to are told apart when the past is read, in the device's order."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geo.coordinates import LatLon, lat_lon
from geo.geodesy import destination
from mobility.locations.ingest import write_fixes
from tests.positions import fix

pytestmark = pytest.mark.django_db
HERE = lat_lon(-26.2, 28.05)
DRIVER = 10**9  # of no driver: the past asks for none
LIMIT_M_S = 250 / 3.6


def begin() -> datetime:
    """An hour ago, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


def north(metres: float) -> LatLon:
    return destination(HERE, bearing_deg=0.0, distance_m=metres)


def told(fixes: Iterable[tuple[float, float]], since: datetime, **fields: object) -> None:
    """Store positions: at which second, how many metres north."""
    stored = [fix(DRIVER, north(m), since + timedelta(seconds=s), **fields) for s, m in fixes]
    if stored:
        write_fixes(stored)


def read(since: datetime, until: datetime, *more: float) -> list[tuple[datetime, bool, bool]]:
    """What the function says: when, a jump, a leap."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT recorded_at, jump, leap FROM mobility_driver_fixes(%s, %s, %s"
            + ", %s" * len(more) + ")", [DRIVER, since, until, *more],
        )  # fmt: skip
        return cursor.fetchall()


def flags(since: datetime, until: datetime | None = None, *more: float) -> str:
    """A letter a position: . of the track, j a jump, l of the track that goes on elsewhere."""
    found = read(since, until or since + timedelta(hours=1), *more)
    assert [at for at, _, _ in found] == sorted(at for at, _, _ in found)
    assert not any(jump and leap for _, jump, leap in found)
    return "".join("j" if jump else "l" if leap else "." for _, jump, leap in found)


KM = 1_000.0


@pytest.mark.parametrize(
    ("fixes", "expected"),
    [
        ([], ""),
        ([(0, 0)], "."),
        ([(0, 0), (10, 100), (20, 200), (30, 300)], "...."),
        ([(0, 0), (10, 100), (20, 50 * KM), (30, 300), (40, 400)], "..j.."),
        ([(0, 0), (10, 100), (20, 50 * KM), (30, 50.1 * KM), (40, 400)], "..jj."),
        ([(0, 0), (10, 50 * KM), (20, 100), (30, 50 * KM), (40, 200), (50, 50 * KM)], ".j.j.j"),
        # The wrong one is the first: three that fit each other are believed, it is not.
        ([(0, 50 * KM), (10, 0), (20, 100), (30, 200), (40, 300)], "j...."),
        ([(0, 50 * KM), (10, 50.1 * KM), (20, 100), (30, 200), (40, 300)], "jj..."),
        ([(0, 50 * KM), (10, 0), (20, 100)], ".jj"),
        # Three here, three there: both are kept, and the way between is not.
        ([(0, 0), (10, 100), (20, 200), (30, 50 * KM), (40, 50.1 * KM), (50, 50.2 * KM)], "...l.."),
        ([(0, 0), (10, 100), (20, 200), (30, 50 * KM), (40, 50.1 * KM)], "...jj"),
        ([(10 * n, 50 * KM if 3 <= n < 6 else 0) for n in range(9)], "...l..l.."),
        # Out of reach, and not of each other's: nothing to believe.
        ([(0, 0), (10, 0), (20, 0), (30, 50 * KM), (40, 90 * KM), (50, 50 * KM), (60, 90 * KM), (70, 0)], "...jjjj."),
        # Time goes on: 50 km in a quarter of an hour can be driven.
        ([(0, 0), (10, 50 * KM), (900, 50 * KM)], ".j."),
    ],
    ids=[
        "none", "one", "steady", "one wrong", "two wrong", "two devices", "wrong first", "two wrong first",
        "too few to tell", "elsewhere", "not yet elsewhere", "there and back", "scattered", "later",
    ],
)  # fmt: skip
def test_a_jump_is_flagged_and_three_in_a_row_are_none(fixes, expected):
    since = begin()
    told(fixes, since)
    assert flags(since) == expected


@pytest.mark.parametrize(("metres", "expected"), [(694.0, ".."), (695.0, ".j")])
def test_faster_than_250_km_h_is_a_jump(metres, expected):
    """694.4 m in ten seconds."""
    since = begin()
    told([(0, 0), (10, metres)], since)
    assert flags(since) == expected


def test_the_limit_can_be_another():
    since = begin()
    told([(0, 0), (10, 300)], since)
    assert flags(since, since + timedelta(hours=1), 120.0) == ".."  # 108 km/h
    assert flags(since, since + timedelta(hours=1), 100.0) == ".j"


@pytest.mark.parametrize(
    ("metres", "accuracy_m", "expected"),
    [(5.0, None, ".."), (49.0, None, ".."), (51.0, None, ".j"), (79.0, 40.0, ".."), (81.0, 40.0, ".j")],
)
def test_what_may_be_noise_is_no_jump(metres, accuracy_m, expected):
    """Ten milliseconds apart even 5 m are 1,800 km/h."""
    since = begin()
    told([(0, 0), (0.01, metres)], since, accuracy_m=accuracy_m)
    assert flags(since) == expected


def test_the_antimeridian_is_no_jump():
    since = begin()
    around = [lat_lon(-17.0, 179.999), lat_lon(-17.0, -179.999), lat_lon(-17.0, 179.998)]
    write_fixes([fix(DRIVER, at, since + timedelta(seconds=10 * n)) for n, at in enumerate(around)])
    assert flags(since) == "..."


def test_a_window_holds_both_its_ends_and_its_driver_only():
    since = begin()
    told([(0, 0), (10, 100), (20, 200), (30, 300)], since)
    write_fixes([fix(DRIVER + 1, HERE, since + timedelta(seconds=15))])
    found = read(since + timedelta(seconds=10), since + timedelta(seconds=20))
    assert [at for at, _, _ in found] == [since + timedelta(seconds=s) for s in (10, 20)]
    assert read(since + timedelta(seconds=20), since + timedelta(seconds=10)) == []


def test_what_came_before_and_after_a_window_decides_with():
    """Alone, the first of them would begin the track."""
    since = begin()
    told([(0, 0), (10, 50 * KM), (20, 200)], since)
    assert flags(since + timedelta(seconds=10)) == "j."
    told([(5, 50), (30, 50 * KM)], since)
    assert flags(since + timedelta(seconds=20), since + timedelta(seconds=30)) == ".j"
    told([(40, 50 * KM), (50, 50 * KM)], since)
    assert flags(since + timedelta(seconds=20), since + timedelta(seconds=30)) == ".l"


def test_it_is_the_devices_clock_that_orders():
    """The wrong one came first and the others an hour late; all that counts is when they were recorded."""
    since = begin()
    told([(20, 50 * KM)], since)
    told([(30, 300), (10, 100), (0, 0)], since)
    assert flags(since) == "..j."


# --- whatever the order ------------------------------------------------------------------------------------------

STEPS = st.lists(st.tuples(st.integers(1, 30_000), st.sampled_from([0, 0, 0, 0, 40, 90])), min_size=1, max_size=30)


@st.composite
def _deliveries(draw: st.DrawFn) -> tuple[list[tuple[float, float]], list[list[tuple[float, float]]]]:
    """A track of seconds and metres with wrong places in it, and batches that bring each position at least once."""
    second, metres = 0.0, 0.0
    track = []
    for ms, off_km in draw(STEPS):
        second += ms / 1_000
        metres += 20.0 * ms / 1_000
        track.append((second, metres + off_km * KM))
    flow = draw(st.permutations(track + draw(st.lists(st.sampled_from(track), max_size=10))))
    cuts = sorted(draw(st.lists(st.integers(0, len(flow)), max_size=5)))
    return track, [flow[a:b] for a, b in zip([0, *cuts], [*cuts, len(flow)], strict=True) if a < b]


def expected(track: Sequence[tuple[float, float]]) -> str:
    """The rule again, slowly: on metres along one line, with the fixes of the track as a list."""

    def fits(a: int, b: int) -> bool:
        return abs(track[a][1] - track[b][1]) <= max(50.0, LIMIT_M_S * (track[b][0] - track[a][0]))

    kept: list[int] = []
    apart: list[int] = []
    leaps: set[int] = set()
    for n in range(len(track)):
        if not kept or fits(kept[-1], n):
            kept, apart = [*kept, n], []
            continue
        apart = [*apart, n] if apart and fits(n - 1, n) else [n]
        if len(apart) == 3:
            leaps |= {apart[0]} if len(kept) >= 3 else set()
            kept, apart = (kept if len(kept) >= 3 else []) + apart, []
    return "".join("l" if n in leaps else "." if n in kept else "j" for n in range(len(track)))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(delivered=_deliveries())
def test_any_order_in_any_batches_with_repeats_has_the_same_flags(delivered):
    track, batches = delivered
    since = begin()
    with transaction.atomic():
        for batch in batches:
            told(batch, since)
        assert flags(since) == expected(track)
        transaction.set_rollback(True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(delivered=_deliveries())
def test_a_fix_has_the_same_flag_in_every_window(delivered):
    """Where three fixes that fit each other lie before the window, and three after it."""
    track, _ = delivered
    lead = [(float(s), 20.0 * s) for s in range(-30, 1, 10)]
    last, where = track[-1]
    tail = [(last + s, where + 20.0 * s) for s in (10, 20, 30)]
    since = begin()
    with transaction.atomic():
        told([*lead, *track, *tail], since)
        whole = flags(since - timedelta(seconds=30))
        part = flags(since + timedelta(milliseconds=1), since + timedelta(seconds=last))
        assert part == whole[len(lead) : len(lead) + len(track)]
        transaction.set_rollback(True)
