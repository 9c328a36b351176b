"""A server is told to stop at noon: everybody hears 1012, what was begun is finished, nothing acknowledged is lost."""

import asyncio
import signal

import psycopg
import pytest

from mobility.models import Booking, Command, RideEvent
from tests.dispatch.test_contention import wait_until_blocked
from tests.realtime.sync import in_thread
from tests.realtime.test_commands import again, named, told
from tests.realtime.test_driver import Fleet, about
from tests.server import EXAMPLE, serving

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def fleet(make_driver):
    return Fleet(make_driver)


async def test_what_is_in_flight_is_finished_and_its_answer_kept(tmp_path, fleet, admin_url):
    """The command waits in the database when the server is told to stop; its client never hears the answer."""
    await fleet.driver(auto_accept=True)
    find = named(EXAMPLE)
    with serving(tmp_path) as first:
        async with first.ride("r") as client:
            with psycopg.connect(admin_url) as held:
                held.execute("LOCK TABLE mobility_booking IN ACCESS EXCLUSIVE MODE")
                await client.send(find)
                await in_thread(wait_until_blocked, admin_url)
                first.process.send_signal(signal.SIGTERM)
                assert await client.close_code() == 1012
                held.rollback()
            assert await asyncio.get_running_loop().run_in_executor(None, first.process.wait, 12) in {
                0,
                -signal.SIGTERM,
            }
        assert "Traceback" not in first.output
    assert (await in_thread(Command.objects.get)).command_id == find["command_id"]
    with serving(tmp_path) as second:
        async with second.ride("r") as client:
            assert (await client.receive())["status"] == "confirmed"
            await client.until("driver_assigned")
            await client.send(find)
            assert (await told(client))[-1]["type"] == "command_done"
    assert await in_thread(Booking.objects.count) == 1


async def test_a_restart_under_load_loses_nothing(tmp_path, fleet):
    """Twenty passengers and a driver; all are told 1012, and go on where they were with the next server."""
    driver = await fleet.driver()
    finds = {f"r{n}": named(EXAMPLE) for n in range(20)}
    answers, answered = {}, {ride_id: asyncio.Event() for ride_id in finds}
    with serving(tmp_path) as first:
        async with fleet.socket(first, driver) as app, asyncio.TaskGroup() as group:

            async def ask(ride_id):
                async with first.ride(ride_id) as client:
                    await client.send(finds[ride_id])
                    answers[ride_id] = (await told(client))[-1]
                    answered[ride_id].set()
                    assert await client.close_code(15) == 1012

            asking = [group.create_task(ask(ride_id)) for ride_id in finds]
            request = await app.until("ride_request")
            await asyncio.gather(*(event.wait() for event in answered.values()))
            first.process.send_signal(signal.SIGTERM)
            assert await app.close_code(15) == 1012
            await asyncio.gather(*asking)
    with serving(tmp_path) as second:
        async with fleet.socket(second, driver) as app:
            assert (await app.receive())["booking_id"] == request["booking_id"]  # still asked
            await app.send(about(request, "accept_ride"))
            await app.until("ride_assigned")
            for ride_id, find in finds.items():
                async with second.ride(ride_id) as client:
                    state = await client.receive()
                    assert (state["type"], state["booking_id"]) == ("ride_state", answers[ride_id]["booking_id"])
                    await client.receive()
                    await again(client, find, answers[ride_id])
    assert await in_thread(Booking.objects.count) == len(finds)
    assert await in_thread(RideEvent.objects.filter(event="driver_assigned").count) == 1
