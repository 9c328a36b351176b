"""Who has sent nonsense comes after everybody else in the database, and is served all the same."""

import asyncio
import json
from contextlib import AsyncExitStack

import psycopg
import pytest
from asgiref.testing import ApplicationCommunicator

from mobility import server as serving
from mobility.realtime import passenger, socket
from mobility.realtime.database import comes_last
from mobility.routing import websocket
from tests.dispatch.test_contention import wait_until_blocked
from tests.realtime.sync import in_thread
from tests.server import EXAMPLE

pytestmark = pytest.mark.usefixtures("committed_db")
MANY = 12  # more than there are workers for the database
BEHIND = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


async def test_however_many_send_nonsense_everybody_else_is_served_meanwhile(server, make_driver, admin_url):
    async with AsyncExitStack() as open_now:
        broken = [await open_now.enter_async_context(server.ride(f"broken-{n}")) for n in range(MANY)]
        for client in broken:
            await client.send(EXAMPLE)
            await client.until("no_drivers")
        assert [(await client.ask("{"))["code"] for client in broken] == ["invalid_json"] * MANY
        await in_thread(make_driver, -26.2041, 28.0473, stationary=True)
        with psycopg.connect(admin_url) as blocker:
            blocker.execute("SELECT FROM mobility_booking FOR UPDATE")
            answers = [asyncio.ensure_future(client.ask({"type": "cancel_ride"})) for client in broken]
            await in_thread(wait_until_blocked, admin_url)
            async with server.ride("honest") as honest:
                await honest.send(EXAMPLE)
                await honest.until("driver_assigned")
            # Without turns they had every worker, and the honest passenger would have waited for their time limits.
            assert not any(answer.done() for answer in answers)
            assert blocker.execute(BEHIND).fetchone()[0] == 1
            blocker.rollback()
        assert [(await answer)["type"] for answer in answers] == ["ride_cancelled"] * MANY


async def test_what_a_command_causes_for_others_does_not_come_last():
    """A mistrusted driver who becomes free is asked for an honest passenger's ride at once."""
    loop = asyncio.get_running_loop()
    seen = loop.create_future()
    comes_last.set(True)
    serving._in_background(lambda: loop.call_soon_threadsafe(seen.set_result, comes_last.get()))
    async with asyncio.timeout(10):
        assert await seen is False


async def test_trust_comes_back_with_time(monkeypatch):
    """In process, with the real consumer."""
    seen = []
    monkeypatch.setattr(passenger.PassengerSocket, "_cancel_now", lambda *_: seen.append(comes_last.get()) or 1 / 0)
    scope = {
        "type": "websocket", "path": "/ws/ride/trust/", "headers": [], "query_string": b"", "subprotocols": [],
        "client": ["127.0.0.1", 1],
    }  # fmt: skip
    client = ApplicationCommunicator(websocket, scope)

    async def ask(text: str) -> None:
        await client.send_input({"type": "websocket.receive", "text": text})
        assert json.loads((await client.receive_output(10))["text"])["type"] == "error"

    await client.send_input({"type": "websocket.connect"})
    assert (await client.receive_output(10))["type"] == "websocket.accept"
    await client.receive_output(10)
    for nonsense, lasts_s in (("", 60.0), ("[]", 60.0), ('{"type": "dance"}', 0.0)):
        monkeypatch.setattr(socket, "MISTRUSTED_S", lasts_s)
        if nonsense:
            await ask(nonsense)
        await ask('{"type": "cancel_ride"}')
    await client.send_input({"type": "websocket.disconnect", "code": 1000})
    await client.wait(10)
    assert seen == [False, True, False]
