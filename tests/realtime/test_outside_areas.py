"""find_driver from outside the service areas, over a real server."""

import pytest
from django.contrib.gis.geos import MultiPolygon, Polygon

from mobility.models import Booking, ServiceArea
from tests.realtime.sync import in_thread
from tests.server import EXAMPLE

pytestmark = pytest.mark.usefixtures("committed_db")


def make_area(name, box):
    return ServiceArea.objects.create(name=name, area=MultiPolygon(Polygon.from_bbox(box), srid=4326))


async def test_one_refusal_names_the_nearest_area_and_the_socket_stays(server, make_driver):
    await in_thread(make_driver, -26.2041, 28.0473)
    await in_thread(make_area, "Pretoria", (28.0, -25.9, 28.4, -25.6))
    async with server.ride() as client:
        told = await client.ask(EXAMPLE)
        assert (told["type"], told["code"], told["area"]) == ("error", "outside_service_area", "Pretoria")
        assert told["distance_m"] == pytest.approx(33_690, abs=100)
        assert told["message"] == "Nobody is picked up there. The nearest area is Pretoria, 33.7 km away."
        await client.quiet()
        assert await in_thread(Booking.objects.count) == 0
        area = await in_thread(make_area, "Jozi", (28.0, -26.3, 28.2, -26.1))
        assert (await client.ask(EXAMPLE))["type"] == "searching"
        assert (await client.receive())["type"] == "driver_assigned"
        await in_thread(area.delete)
        assert (await client.ask(EXAMPLE))["type"] == "driver_assigned"  # a repeat is answered as before


async def test_a_named_command_that_was_refused_has_that_answer(server, make_driver):
    await in_thread(make_driver, -26.2041, 28.0473)
    await in_thread(make_area, "Pretoria", (28.0, -25.9, 28.4, -25.6))
    async with server.ride() as client:
        first = await client.ask(EXAMPLE | {"command_id": "c1"})
        await in_thread(make_area, "Jozi", (28.0, -26.3, 28.2, -26.1))
        assert await client.ask(EXAMPLE | {"command_id": "c1"}) == first
        assert first["code"] == "outside_service_area"
        assert (await client.ask(EXAMPLE | {"command_id": "c2"}))["type"] == "searching"
