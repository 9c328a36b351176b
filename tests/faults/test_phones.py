"""The apps of the drop tests notice what they must not be told."""

import contextlib

import pytest

from tests.faults.phones import DriverPhone, PassengerPhone
from tests.server import free_port

SEARCHING = {"type": "searching", "booking_id": 1, "seq": 1, "at": "a"}
ASSIGNED = {"type": "driver_assigned", "booking_id": 1, "seq": 2, "at": "b", "driver": {"id": 7}}
ARRIVED = {"type": "driver_arrived", "booking_id": 1, "seq": 3, "at": "c", "status": "confirmed"}
STATE = dict.fromkeys(
    ("cancelled_by", "started_at", "completed_at", "unfulfilled_at", "no_show_at", "cancelled_at", "arrived_at")
) | {
    "type": "ride_state", "seq": 2, "status": "confirmed", "cancellation_reason": "", "confirmed_at": "b",
    "driver": {"id": 7},
}  # fmt: skip
PONG = {"type": "pong"}


@contextlib.asynccontextmanager
async def switched_off(kind, *args):
    """A phone that nobody speaks to but the test."""
    phone = kind(free_port(), "", *args, 1)
    await phone.stop()
    yield phone


@pytest.mark.parametrize(
    ("frames", "odd"),
    [
        ([PONG, SEARCHING, ASSIGNED, ARRIVED], []),
        ([PONG, SEARCHING, ARRIVED], ["gap"]),
        ([PONG, SEARCHING, ASSIGNED, SEARCHING], ["again"]),
        ([PONG, SEARCHING, ASSIGNED, ASSIGNED], ["again"]),
        ([SEARCHING, ASSIGNED, SEARCHING, ASSIGNED, PONG], []),  # what crossed with the replay
        ([STATE, ASSIGNED, SEARCHING, ASSIGNED, PONG], []),
        ([STATE | {"status": "pending"}, ASSIGNED, SEARCHING, ASSIGNED, PONG], ["differs"]),
        ([STATE | {"driver": {"id": 8}}, ASSIGNED, SEARCHING, ASSIGNED, PONG], ["differs"]),
        ([STATE | {"confirmed_at": None}, ASSIGNED, SEARCHING, ASSIGNED, PONG], ["differs"]),
        ([STATE, ASSIGNED, SEARCHING, PONG], ["differs"]),  # a move was not replayed
        ([PONG, {"type": "error", "code": "internal_error"}], ["told"]),
    ],
)
async def test_a_passengers_app_notices(frames, odd):
    async with switched_off(PassengerPhone, "r") as phone:
        for frame in frames:
            await phone._hear(frame)
        assert [said.split()[0].rstrip(":") for said in phone.odd] == odd


@pytest.mark.parametrize(("numbers", "odd"), [([1, 2, 3], []), ([1, 3], ["gap"]), ([1, 2, 2], ["again"])])
async def test_a_drivers_app_notices(numbers, odd):
    async with switched_off(DriverPhone, 7) as phone:
        await phone._hear(PONG)
        for number in numbers:
            await phone._hear({"type": "went_offline", "inbox_seq": number})
        assert [said.split(":")[0] for said in phone.odd] == odd
