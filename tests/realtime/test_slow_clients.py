"""A client that does not read is closed (4408), and nobody else notices."""

import socket

import pytest
import websockets
from knox.models import AuthToken

from mobility.dispatch.services import find_driver
from tests.realtime.sync import in_thread
from tests.server import EXAMPLE, Client, serving

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def impatient(tmp_path):
    changes = {"CARECONNECT_SOCKET_SEND_TIMEOUT_S": "0.5", "CARECONNECT_FRAMES_BURST": "10000"}
    with serving(tmp_path, **changes) as running:
        yield running


async def test_who_does_not_read_is_closed_and_the_others_go_on(impatient, make_user, make_driver, ride_request):
    user = await in_thread(make_user)
    token = (await in_thread(AuthToken.objects.create, user))[1]
    # Each search finds nobody: a log of 180 moves, some 25 KB to replay.
    await in_thread(lambda: [find_driver(user.pk, "r", ride_request()) for _ in range(90)])
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", impatient.port))
    deaf.setblocking(False)
    async with impatient.ride("neighbour") as neighbour:
        # A queue that takes one frame and no more: then the client reads nothing from the network either.
        async with websockets.connect(
            f"{impatient.ws}/ws/ride/r/", sock=deaf, max_queue=1, ping_interval=None, close_timeout=1,
            additional_headers={"Authorization": f"Token {token}"},
        ) as connection:  # fmt: skip
            for _ in range(600):
                await connection.send('{"type": "resume", "last_seq": 0}')
            while "client_not_reading" not in impatient.output:
                await neighbour.quiet()
            await in_thread(make_driver, -26.2041, 28.0473, stationary=True)
            await neighbour.send(EXAMPLE)
            await neighbour.until("driver_assigned")
            assert await Client(connection).close_code(20) == 4408
        await neighbour.quiet()
    assert "Traceback" not in impatient.output
