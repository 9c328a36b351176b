"""How HTTP goes through Django."""

import pytest
from asgiref.sync import AsyncToSync
from asgiref.testing import ApplicationCommunicator
from django.core.handlers.asgi import ASGIHandler
from django.http import StreamingHttpResponse

from config.http import OneTurn


@pytest.fixture
def ways_back(monkeypatch):
    """How often a thread has gone back to the event loop for something."""
    found = []
    call = AsyncToSync.__call__

    def counted(self, *args, **kwargs):
        found.append(self.awaitable)
        return call(self, *args, **kwargs)

    monkeypatch.setattr(AsyncToSync, "__call__", counted)
    return found


async def _status(handler, path):
    scope = {
        "type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [(b"host", b"localhost")],
        "server": ("localhost", 80), "scheme": "http",
    }  # fmt: skip
    asked = ApplicationCommunicator(handler, scope)
    await asked.send_input({"type": "http.request"})
    return (await asked.receive_output(10))["status"]


async def test_middleware_and_view_are_one_turn_of_one_thread(ways_back):
    assert await _status(OneTurn(), "/nothing") == 404
    assert await _status(OneTurn(), "/tiles/drivers/0/0/0.mvt") == 401
    assert ways_back == []


async def test_djangos_own_handler_goes_back_and_forth(ways_back):
    """Else there is no need of ours any more."""
    assert await _status(ASGIHandler(), "/nothing") == 404
    assert ways_back != []


@pytest.mark.parametrize(("handler", "closes"), [(OneTurn, True), (ASGIHandler, False)])
async def test_an_answer_whose_content_fails_is_closed(handler, closes):
    """By ours; Django's own leaves it open, else there is no need of ours any more."""

    async def content():
        yield b"a part"
        raise RuntimeError("the rest cannot be had")

    async def send(_message):
        pass

    answer, closed = StreamingHttpResponse(content()), []
    answer._resource_closers.append(lambda: closed.append(True))
    with pytest.raises(RuntimeError):
        await handler().send_response(answer, send)
    assert bool(closed) is closes
