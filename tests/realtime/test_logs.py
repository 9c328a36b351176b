"""The log tells a ride's story and nobody's secrets."""

import json

import httpx
import pytest
from knox.models import AuthToken

from config.logs import masked
from tests.realtime.sync import in_thread
from tests.server import EXAMPLE, serving

pytestmark = pytest.mark.usefixtures("committed_db")

# Values that occur nowhere else: whatever of them appears in the output came from this ride.
CANARY = EXAMPLE | {
    "pickup_latitude": -26.204177, "pickup_longitude": 28.047388, "dropoff_latitude": -26.104199,
    "passenger_phone": "+27999888777", "pickup_address": "Canary Street 77", "notes": "canary oxygen bottle",
}  # fmt: skip


async def ride_through(server, headers) -> None:
    """A ride with its faults: bad frames, a database error, a cancellation, a disconnect."""
    async with server.ride("story-1", additional_headers=headers) as client:
        await client.ask("{")
        await client.ask(CANARY | {"pickup_latitude": 91.204177})
        await client.send(CANARY)
        await client.until("driver_assigned")
        await client.ask(CANARY | {"notes": "canary two"})
        await client.ask({"type": "cancel_ride", "reason": "canary reason"})
    import websockets

    async with websockets.connect(f"{server.ws}/ws/driver/+27999888777/?ticket=canary-ticket") as connection:
        await connection.recv()
    async with httpx.AsyncClient(base_url=server.http) as http:
        await http.get("/api/v1/drivers/?near=-26.204177,28.047388&radius_m=5", headers=headers)
        await http.post("/api/v1/auth/login/", json={"username": "+27999888777", "password": "canary-password"})


@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_a_ride_leaves_its_story_and_no_personal_data(tmp_path, make_driver, make_user, log_format):
    driver = await in_thread(make_driver, -26.204177, 28.047388, stationary=True)
    user = await in_thread(make_user, phone="+27999888776", first_name="Canarina")
    token = (await in_thread(AuthToken.objects.create, user))[1]
    with serving(tmp_path, LOG_FORMAT=log_format, LOG_LEVEL="DEBUG") as running:
        await ride_through(running, {"Authorization": f"Token {token}"})
    output = running.output
    for secret in (
        "204177", "047388", "104199", "999888777", "999888776", "Canar", "canary", token, token[:15], driver.phone,
        driver.vehicle_registration,
    ):  # fmt: skip
        assert secret not in output, secret
    for event in (
        "connected", "finding_driver", "booking_created", "candidates", "assigned", "cancelled", "disconnected",
    ):  # fmt: skip
        assert event in output, event
    assert "Finished server process" in output.splitlines()[-1]
    if log_format == "json":
        lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        story = {line["event"]: line for line in lines if line.get("ride_id") == "story-1"}
        assert story["assigned"]["driver_id"] == driver.pk
        told = ("connected", "finding_driver", "booking_created", "candidates", "assigned", "cancelled", "disconnected")
        assert all({"ride_id", "booking_id"} <= set(story[event]) for event in told)
        assert story["assigned"]["booking_id"] == story["cancelled"]["booking_id"] > 0
        assert len(lines) == len(output.strip().splitlines())


def test_an_error_is_logged_without_the_values_it_quotes():
    import sys

    from django.db import DataError, IntegrityError

    from config.logs import _without_values

    quoted = "".join(["can", "ary"])  # the source lines of a traceback are no leak
    try:
        try:
            raise DataError(f"value {quoted} is bad")
        except DataError as cause:
            raise IntegrityError(f"DETAIL: Failing row contains ({quoted})") from cause
    except IntegrityError:
        told = _without_values(sys.exc_info())
    assert "IntegrityError" in told
    assert "test_logs.py" in told
    assert quoted not in told


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('"WebSocket /ws/ride/12345/?ticket=abc" [accepted]', '"WebSocket /ws/ride/12345/" [accepted]'),
        ('"WebSocket /ws/driver/+27123456789/" 403', '"WebSocket /ws/driver/***/" 403'),
        ('"WebSocket /ws/driver/%2B27123456789?x=1" 403', '"WebSocket /ws/driver/***" 403'),
        ("GET /api/v1/drivers/?near=-26.2,28.0 HTTP/1.1", "GET /api/v1/drivers/ HTTP/1.1"),
    ],
)
def test_paths_are_masked(line, expected):
    assert masked(line) == expected


async def test_a_wrong_host_is_answered_and_leaves_no_traceback(server):
    before = len(server.output)
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{server.http}/healthz", headers={"Host": "canary.example"})
    assert answer.status_code == 400
    assert "Traceback" not in server.output[before:]
    assert "canary" not in server.output[before:]
