"""The dispatcher counts by itself, in the server and as a process of its own."""

import asyncio

from mobility import server
from mobility.models import DemandHour, DemandMade
from tests.demand.staging import hour_ago


def test_the_dispatcher_counts_every_minute_and_throws_away(stage, set_knobs):
    set_knobs(demand_keep_days=3)
    stage.requested(hour_ago(20))
    DemandMade.objects.create(hour=hour_ago(24 * 5), made_at=hour_ago(1), changed_at=hour_ago(1))

    async def a_minute_and_ten() -> None:
        await server._demand_tick()
        await server._tidy_tick()

    asyncio.run(a_minute_and_ten())
    assert sorted(DemandMade.objects.values_list("hour", flat=True)) == [
        hour_ago(back) for back in range(24 * 3, -1, -1)
    ]
    assert set(DemandHour.objects.values_list("hour", flat=True)) == {hour_ago(20)}


def test_its_loops_have_one_for_demand():
    async def names() -> set[str]:
        loops = server.dispatcher_loops()
        for task in loops:
            task.cancel()
        found = {task.get_coro().cr_frame.f_locals["work"].__name__ for task in loops}
        await asyncio.gather(*loops, return_exceptions=True)
        return found

    assert "_demand_tick" in asyncio.run(names())
