"""How many sockets one user and one process may have open."""

import asyncio
import contextlib

import pytest
from knox.models import AuthToken

from tests.realtime.sync import in_thread
from tests.realtime.test_driver import Fleet
from tests.server import serving

pytestmark = pytest.mark.usefixtures("committed_db")


async def token_of(user):
    token = (await in_thread(AuthToken.objects.create, user))[1]
    return {"additional_headers": {"Authorization": f"Token {token}"}}


async def test_of_too_many_sockets_of_one_user_the_oldest_goes(server, make_user):
    """A phone that lost the network without a word must not keep its owner out."""
    mine, other = await token_of(await in_thread(make_user)), await token_of(await in_thread(make_user))
    async with contextlib.AsyncExitStack() as open_now:
        neighbour = await open_now.enter_async_context(server.ride("n", **other))
        sockets = [await open_now.enter_async_context(server.ride(f"r{n}", **mine)) for n in range(7)]
        for oldest in sockets[:2]:
            assert await oldest.close_code() == 4409
        for client in (neighbour, *sockets[2:]):
            await client.quiet()
        # Those that closed by themselves count no more.
        for client in sockets[2:4]:
            await client.connection.close()
        await asyncio.sleep(0.2)
        for n in range(2):
            await open_now.enter_async_context(server.ride(f"s{n}", **mine))
        for client in (neighbour, *sockets[4:]):
            await client.quiet()


async def test_a_driver_counts_on_both_paths(server, make_driver):
    fleet = Fleet(make_driver)
    driver = await fleet.driver()
    mine = await token_of(driver.user)
    async with fleet.socket(server, driver) as app, contextlib.AsyncExitStack() as open_now:
        for n in range(5):
            await open_now.enter_async_context(server.ride(f"r{n}", **mine))
        assert await app.close_code() == 4409


async def test_a_full_process_turns_away_and_says_so(tmp_path, make_user):
    mine = await token_of(await in_thread(make_user))
    with serving(tmp_path, CARECONNECT_SOCKETS_PER_PROCESS="3") as small:
        async with small.ride("a") as one, small.ride("b"), small.ride("c"):
            for options in ({}, mine):
                async with small.ride("d", greeted=False, **options) as late:
                    assert (await late.receive())["code"] == "server_full"
                    assert await late.close_code() == 1013
            await one.quiet()
            assert (await in_thread(small.get, "/healthz"))[0] == 200
        await asyncio.sleep(0.2)
        async with small.ride("d", **mine) as client:
            await client.quiet()
        assert "Traceback" not in small.output
