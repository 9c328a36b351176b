"""Whatever a client sends: a clear error, nothing written, the socket open."""

import asyncio
import json

import pytest

from mobility.bookings.models import Booking
from mobility.models import Driver
from tests.realtime.sync import in_thread
from tests.server import EXAMPLE

pytestmark = pytest.mark.usefixtures("committed_db")


def with_fields(**fields) -> str:
    return json.dumps(EXAMPLE | fields)


def without(field: str) -> str:
    return json.dumps({k: v for k, v in EXAMPLE.items() if k != field})


def raw(field: str, value: str) -> str:
    """The example with a value that Python would not write."""
    return json.dumps(EXAMPLE | {field: "@@"}).replace('"@@"', value)


BAD = [
    ("not JSON", "{", "invalid_json", None),
    ("empty", "", "invalid_json", None),
    ("two values", "{} {}", "invalid_json", None),
    ("an array", "[]", "not_an_object", None),
    ("a string", '"ping"', "not_an_object", None),
    ("null", "null", "not_an_object", None),
    ("10,000 brackets", "[" * 5_000 + "]" * 5_000, None, None),
    ("10,000 braces", '{"a":' * 1_600 + "1" + "}" * 1_600, "too_deep", None),
    ("nine levels", '{"type":"ping","a":' + "[" * 8 + "]" * 8 + "}", "too_deep", None),
    ("NaN", raw("pickup_latitude", "NaN"), "invalid_json", None),
    ("Infinity", raw("distance_km", "Infinity"), "invalid_json", None),
    ("-Infinity", raw("fare_amount", "-Infinity"), "invalid_json", None),
    ("1e400", raw("pickup_latitude", "1e400"), "invalid_field", "pickup_latitude"),
    ("1e400 km", raw("distance_km", "1e400"), "invalid_field", "distance_km"),
    ("an integer of 400 digits", raw("fare_amount", "9" * 400), "invalid_field", "fare_amount"),
    ("an integer of 5,000 digits", raw("fare_amount", "9" * 5_000), "invalid_json", None),
    ("latitude 91", with_fields(pickup_latitude=91), "invalid_field", "pickup_latitude"),
    ("longitude -181", with_fields(dropoff_longitude=-181), "invalid_field", "dropoff_longitude"),
    (
        "swapped fields", with_fields(pickup_latitude=28.0473, pickup_longitude=-26.2041), "coordinates_swapped",
        "pickup_latitude",
    ),
    ("missing latitude", without("pickup_latitude"), "missing_field", "pickup_latitude"),
    ("missing dropoff", without("dropoff_longitude"), "missing_field", "dropoff_longitude"),
    ("null latitude", with_fields(pickup_latitude=None), "invalid_field", "pickup_latitude"),
    ("text for a number", with_fields(pickup_latitude="-26.2"), "invalid_field", "pickup_latitude"),
    ("a boolean for a number", with_fields(fare_amount=True), "invalid_field", "fare_amount"),
    ("a number for text", with_fields(pickup_address=12), "invalid_field", "pickup_address"),
    ("an object for text", with_fields(notes={}), "invalid_field", "notes"),
    ("a negative fare", with_fields(fare_amount=-1), "invalid_field", "fare_amount"),
    ("a fare of 1e9", with_fields(fare_amount=1e9), "invalid_field", "fare_amount"),
    ("a negative distance", with_fields(distance_km=-1), "invalid_field", "distance_km"),
    ("2,000 km for 15", with_fields(distance_km=2_000), "implausible_distance", "distance_km"),
    ("a negative duration", with_fields(estimated_duration_minutes=-5), "invalid_field", "estimated_duration_minutes"),
    ("a word for a phone", with_fields(passenger_phone="call me"), "invalid_field", "passenger_phone"),
    ("duplicate keys", '{"type": "ping", "type": "find_driver"}', "duplicate_field", None),
    ("NUL in text", with_fields(pickup_address="a\x00b"), "invalid_text", None),
    ("a lone surrogate", raw("dropoff_address", '"\\ud800"'), "invalid_text", None),
    ("a surrogate in a key", '{"type": "ping", "\\udfff": 1}', "invalid_text", None),
    ("a 10 kB string", with_fields(notes="x" * 10_000), "invalid_field", "notes"),
    ("a 10 kB address", with_fields(pickup_address="x" * 10_000), "invalid_field", "pickup_address"),
    ("a binary frame", b'{"type": "ping"}', "binary_frame", None),
    ("an unknown type", '{"type": "drive"}', "unknown_type", None),
    ("no type", "{}", "missing_field", "type"),
    ("a number for a type", '{"type": 1}', "missing_field", "type"),
    ("an unknown vehicle", with_fields(vehicle_type="broom"), "invalid_field", "vehicle_type"),
    ("our status", with_fields(status="confirmed"), "forbidden_field", "status"),
    ("our driver_id", with_fields(driver_id=1), "forbidden_field", "driver_id"),
    ("our seq", with_fields(seq=7), "forbidden_field", "seq"),
    ("requirements", with_fields(requirements=["oxygen"]), "not_supported", "requirements"),
    ("a quote", with_fields(quote_id="q1"), "not_supported", "quote_id"),
    ("a long reason", json.dumps({"type": "cancel_ride", "reason": "x" * 301}), "invalid_field", "reason"),
    ("a reason that is no text", '{"type": "cancel_ride", "reason": 1}', "invalid_field", "reason"),
]  # fmt: skip


@pytest.mark.parametrize(("frame", "code", "field"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
async def test_is_answered_with_an_error_and_changes_nothing(server, make_driver, frame, code, field):
    await in_thread(make_driver, -26.2041, 28.0473)
    async with server.ride() as client:
        told = await client.ask(frame)
        assert told["type"] == "error"
        assert len(told["message"]) > 5
        if code is not None:
            assert told["code"] == code
        assert told.get("field") == field
        await client.quiet()
    assert await in_thread(Booking.objects.count) == 0
    assert (await in_thread(Driver.objects.get)).status == "available"


@pytest.mark.parametrize("field", ["requirements", "status"])
async def test_unknown_extra_fields_are_ignored_but_ours_never(server, field):
    async with server.ride() as client:
        assert (await client.ask(EXAMPLE | {"payment_method": "cash"}))["type"] == "searching"
        assert (await client.until("no_drivers"))["seq"] == 2
        assert (await client.ask(EXAMPLE | {field: "x"}))["type"] == "error"


async def test_a_frame_over_16_kib_closes_with_1009(server):
    async with server.ride() as client:
        await client.send('{"type": "ping", "x": "' + "x" * (16_384 - 25) + '"}')
        assert (await client.receive())["type"] == "pong"
    async with server.ride() as client:
        await client.send("x" * 16_385)
        assert await client.close_code() == 1009


async def test_more_than_30_bad_frames_close_with_4400(server):
    async with server.ride() as client:
        for _ in range(30):
            assert (await client.ask("{"))["code"] == "invalid_json"
        await client.send("{")
        assert await client.close_code() == 4400


async def test_a_flood_is_told_to_slow_down_and_then_closed_with_4429(server):
    async with server.ride() as client:
        told = []

        async def flood():
            for _ in range(400):
                await client.send('{"type": "ping"}')

        flooding = asyncio.ensure_future(flood())
        for _ in range(90):
            told.append((await client.receive()).get("code", "pong"))
        assert "too_fast" in told
        assert told[:60] == ["pong"] * 60
        assert await client.close_code() == 4429
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)


async def test_a_little_too_fast_is_forgiven(server):
    async with server.ride() as client:
        for _ in range(70):
            await client.send('{"type": "ping"}')
        told = [(await client.receive()).get("code", "pong") for _ in range(70)]
        assert told.count("too_fast") >= 5
        await asyncio.sleep(1)  # the time in which the budget grows again is what this is about
        await client.quiet()


@pytest.mark.parametrize(
    "ride_id",
    ["a%20b", "a%0A", "a%0Ab", "x" * 65, "a.b", "..%2F..", "%00", "é", "a/b", "", "%F0%9F%9A%95"],
    ids=lambda r: r[:8] or "empty",
)
async def test_a_bad_ride_id_is_told_and_closed_with_4400(server, ride_id):
    import websockets

    async with websockets.connect(f"{server.ws}/ws/ride/{ride_id}") as connection:
        told = json.loads(await connection.recv())
        assert (told["type"], told["code"]) == ("error", "bad_ride_id")
        with pytest.raises(websockets.ConnectionClosed):
            await connection.recv()
        assert connection.close_code == 4400


async def test_an_unknown_address_is_told_and_closed_with_4404(server):
    import websockets

    async with websockets.connect(f"{server.ws}/ws/nowhere/") as connection:
        assert json.loads(await connection.recv())["code"] == "unknown_path"
        with pytest.raises(websockets.ConnectionClosed):
            await connection.recv()
        assert connection.close_code == 4404
