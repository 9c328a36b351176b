"""What a request leaves behind in memory when it is answered.

A server process collects cyclic garbage rarely (mobility/server.py), so what only the collector can free stays for a
while. At a fleet's 20,000 positions a second the bodies of requests were 580 MiB a minute.
"""

import gc
import io
import json
import tracemalloc
import weakref

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler

from mobility import server
from mobility.locations.keys import issue_key
from tests.rest import empty_cache

__all__ = ["empty_cache"]
pytestmark = pytest.mark.django_db
TIMES, AT_MOST_KIB = 5, 40
HERE = {"latitude": -26.2, "longitude": 28.05}


@pytest.fixture
def handler():
    """Django with its middleware, as the server calls it."""
    handler = BaseHandler()
    handler.load_middleware()
    return handler


def post_of(body, key):
    """A function that makes the request as the ASGI server does, and what closes it."""

    def make():
        headers = {"host": "testserver", "authorization": f"Key {key}", "content-type": "application/json"}
        headers["content-length"] = str(len(body))
        scope = {
            "type": "http", "method": "POST", "path": "/api/v1/locations/", "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip
        stream = io.BytesIO(body.encode())
        return ASGIRequest(scope, stream), stream.close

    return make


def kept_kib(handler, make_request, status=200):
    """What an answered request leaves to the collector; the first ones fill caches."""
    gc.collect()
    gc.disable()
    try:
        for number in range(2 * TIMES):
            if number == TIMES:
                tracemalloc.start()
                before = tracemalloc.get_traced_memory()[0]
            request, close = make_request()
            response = handler.get_response(request)
            assert response.status_code == status, response.content
            close()
            del response, request, close
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        gc.enable()
    return (after - before) / TIMES / 1024


def test_a_fleets_positions(handler, make_driver):
    driver_ids = [make_driver(-26.1, 28.0).pk for _ in range(3)]
    told = [{"driver_id": driver_ids[n % 3], **HERE, "accuracy_m": 6.5, "heading": n % 360} for n in range(2_000)]
    body = json.dumps({"locations": told})
    assert kept_kib(handler, post_of(body, issue_key("gateway")[1])) < AT_MOST_KIB


def test_a_refused_body(handler, caplog):
    caplog.set_level("CRITICAL", logger="django.request")  # pytest keeps what is logged, and the request with it
    body = json.dumps({"locations": [HERE] * 2_000})
    assert kept_kib(handler, post_of(body, issue_key("gateway")[1]), status=400) < AT_MOST_KIB


class Circle:
    """Something that only the collector can free."""

    def __init__(self, mib):
        self.self = self
        self.content = bytearray(mib * 2**20)


async def test_what_is_left_in_circles_is_collected_when_memory_has_grown():
    gc.collect()
    gc.disable()
    try:
        await server._collect_all()
        few = weakref.ref(Circle(8))
        await server._collect_when_grown()
        assert few() is not None
        many = [weakref.ref(Circle(8)) for _ in range(int(server.GROWTH_MIB / 8) + 4)]
        await server._collect_when_grown()
        assert [circle() for circle in (few, *many)] == [None] * (1 + len(many))
    finally:
        gc.enable()
