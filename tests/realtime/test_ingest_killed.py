"""kill -9 while positions come in: what is gone, and what is not."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mobility.models import Booking, DriverLocation, Position
from tests.realtime.sync import in_thread
from tests.realtime.test_driver import Fleet, confirmed
from tests.server import serving

pytestmark = pytest.mark.usefixtures("committed_db")
# 0.2 s in a buffer, and what a busy machine needs to write them.
LOST_AT_MOST = timedelta(seconds=1)


@pytest.fixture
def fleet(make_driver):
    return Fleet(make_driver)


def to_the_millisecond(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


@pytest.mark.parametrize("sent_for_s", [0.4, 1.5])
async def test_a_killed_server_loses_the_positions_of_the_last_moment_and_nothing_else(tmp_path, fleet, sent_for_s):
    driver = await fleet.driver()
    many = {"CARECONNECT_POSITIONS_PER_S": "1000", "CARECONNECT_POSITIONS_BURST": "1000"}
    sent: list[datetime] = []
    with serving(tmp_path, **many) as server:
        async with fleet.socket(server, driver) as app, server.ride() as passenger:
            await confirmed(server, fleet, passenger, app)
            begin = datetime.now(UTC)
            while datetime.now(UTC) - begin < timedelta(seconds=sent_for_s):
                sent.append(to_the_millisecond(datetime.now(UTC)))
                await app.send(
                    {
                        "type": "location_update", "recorded_at": sent[-1].isoformat(), "longitude": 28.0473,
                        "latitude": -26.2041 + len(sent) / 1e5,
                    }
                )  # fmt: skip
                await asyncio.sleep(0.01)
            server.process.kill()
            killed = datetime.now(UTC)
            server.process.wait(10)
    kept = [row.recorded_at for row in await in_thread(lambda: list(Position.objects.order_by("recorded_at")))]
    stored = [to_the_millisecond(at + timedelta(microseconds=500)) for at in kept]
    assert stored == sent[: len(stored)]  # the oldest, without a gap
    assert all(killed - at < LOST_AT_MOST for at in sent[len(stored) :])
    place = await in_thread(DriverLocation.objects.get)
    assert place.position.y == pytest.approx(-26.2041 + len(stored) / 1e5)
    assert (await in_thread(Booking.objects.get)).status == "confirmed"
