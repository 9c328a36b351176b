"""Some thousand hostile frames in every run of the tests; `make fuzz` sends a million, and measures."""

import json
import random
from contextlib import suppress

import pytest

from mobility.errors import Refusal
from mobility.invariants.queries import broken_invariants
from mobility.realtime.protocol import FindDriver, parse_passenger
from tests.fuzz.grammar import role_of, shot, spoiled_text
from tests.fuzz.messages import MAX_BYTES, PASSENGER, Answer, answer_to
from tests.fuzz.people import people
from tests.fuzz.run import Ground, Plan, run
from tests.fuzz.verdict import errors_in_log, judge, written
from tests.realtime.sync import in_thread
from tests.server import serving

SEED = 1


def test_a_shot_follows_from_seed_and_number_alone():
    assert [shot(SEED, n) for n in range(500)] == [shot(SEED, n) for n in reversed(range(500))][::-1]
    assert shot(SEED, 3) != shot(SEED + 1, 3)
    assert {role_of(n) for n in range(8)} == {"passenger", "driver"}


def test_the_judge_overlooks_no_frame_that_the_service_takes_for_a_ride():
    """Else a ride that such a frame began would be taken for one that nobody asked for."""
    taken = 0
    for n in range(4_000):
        kind, payload = spoiled_text(random.Random(n), PASSENGER)
        with suppress(UnicodeDecodeError, Refusal):
            if isinstance(parse_passenger(payload.decode()), FindDriver) and len(payload) <= MAX_BYTES:
                assert answer_to(payload, PASSENGER) is Answer.RIDE, (kind, payload)
                taken += 1
    assert taken > 5


@pytest.mark.usefixtures("committed_db")
@pytest.mark.parametrize("frames", [5_000, pytest.param(50_000, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
async def test_hostile_frames_harm_nobody(frames, tmp_path, admin_url):
    """Everything but the clock: how long a neighbour waits is for `make fuzz`."""
    plan = Plan(frames, SEED)
    drivers = await in_thread(people, plan.drivers)
    with serving(tmp_path) as server:
        ground = Ground(server.port, server.process.pid, tmp_path / f"server-{server.port}.log", drivers)
        outcome = await run(ground, plan, print)
        assert server.process.poll() is None
    rows, _ = written(admin_url, outcome.tally, plan.drivers)
    wrong = judge(outcome, errors_in_log(ground.log), rows)
    assert wrong == [], json.dumps(outcome.tally.violations[:3], indent=1)
    assert sum(outcome.tally.sent.values()) == frames
    assert await in_thread(broken_invariants) == []
