"""Who goes first where many want the same."""

import asyncio
from contextlib import suppress

import pytest

from mobility.realtime.limits import LastInLine, TakingTurns


async def test_the_same_key_goes_one_at_a_time_in_order_and_others_do_not_wait():
    turns, story = TakingTurns(patience_s=10), []

    async def go(key, name, takes_s=0.0):
        async with turns.turn(key):
            story.append(f"{name} in")
            await asyncio.sleep(takes_s)
            story.append(f"{name} out")

    await asyncio.gather(go("ride", "ann", 0.05), go("ride", "ben"), go("ride", "cy"), go("other", "dee"))
    assert story.index("dee out") < story.index("ann out")
    assert [said for said in story if not said.startswith("dee")] == [
        "ann in", "ann out", "ben in", "ben out", "cy in", "cy out",
    ]  # fmt: skip


async def test_what_comes_last_goes_one_at_a_time_while_nothing_else_is_under_way():
    line, story = LastInLine(patience_s=10), []

    async def last(name):
        async with line.last():
            story.append(f"{name} in")
            await asyncio.sleep(0.01)
            story.append(f"{name} out")

    with line.at_once():
        with line.at_once():
            waiting = [asyncio.ensure_future(last(name)) for name in ("ann", "ben")]
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.05)
        assert story == []  # one is still under way
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)
    assert story == ["ann in", "ann out", "ben in", "ben out"]


async def test_what_comes_last_goes_on_all_the_same():
    line = LastInLine(patience_s=0.05)
    async with asyncio.timeout(5):
        with line.at_once():
            for _ in range(3):
                async with line.last():
                    pass
        with suppress(ZeroDivisionError), line.at_once():
            raise ZeroDivisionError
        waiting = asyncio.ensure_future(line.last().__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        began = asyncio.get_running_loop().time()
        async with line.last():  # neither a fault nor whoever gave up stands in the way
            assert asyncio.get_running_loop().time() - began < 0.05


async def test_patience_ends_and_a_fault_gives_the_turn_on():
    turns = TakingTurns(patience_s=0.05)
    async with turns.turn("ride"), asyncio.timeout(5):
        async with turns.turn("ride"):
            pass  # beside the first
        with pytest.raises(ZeroDivisionError):
            async with turns.turn("other"):
                raise ZeroDivisionError
        began = asyncio.get_running_loop().time()
        async with turns.turn("other"):
            assert asyncio.get_running_loop().time() - began < 0.05
    async with turns.turn("ride"):
        pass


async def test_whoever_gives_up_waiting_leaves_no_turn_behind():
    turns = TakingTurns(patience_s=10)

    async def wait():
        async with turns.turn("ride"):
            raise AssertionError("never came in")

    async with turns.turn("ride"):
        waiting = asyncio.ensure_future(wait())
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(5), turns.turn("ride"):
        pass
