"""Every message as every role, over the real consumers; and what a ride's two sockets are told, told to nobody else."""

import ast
import dataclasses
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.core.cache import cache

from mobility.bookings.services import SYSTEM
from mobility.bookings.states import LIVE
from mobility.dispatch.services import cancel_ride
from mobility.models import Booking, Driver
from tests.faults.app import App
from tests.permissions.frames import REFUSAL, listed, members, plain
from tests.permissions.stage import HERE, Stage
from tests.permissions.table import NAME, SOCKET_ROLES, allowed, table
from tests.realtime.sync import in_thread
from tests.server import EXAMPLE, ROOT

RIDE, DRIVER = "/ws/ride/<ride_id>/", "/ws/driver/<driver_id>/"
SOCKETS = table()["sockets"]
CELLS = [(path, kind, role) for path in SOCKETS for kind in SOCKETS[path] for role in SOCKET_ROLES]
# Codes that say: you are not let in, or this is not yours.
TURNED_AWAY = {
    "unauthenticated", "forbidden", "unknown_type", "forbidden_field", "no_offer", "no_ride", "internal_error",
}  # fmt: skip
_CONTENT: dict[str, dict[str, Any]] = {
    "find_driver": EXAMPLE,
    "resume": {"last_seq": 0, "last_inbox_seq": 0},
    "location_update": {"latitude": HERE.latitude, "longitude": HERE.longitude},
}
ABOUT_A_RIDE = {
    "accept_ride", "decline_ride", "ride_request_received", "driver_arrived", "start_ride", "complete_ride",
    "cancel_ride", "no_show",
}  # fmt: skip


@pytest.fixture
def calm(stage: Stage, settings: Any) -> Iterator[Stage]:
    """The stage with no driver on duty and no ride begun that is not its own, before and after; one may speak fast."""
    settings.MOBILITY = dataclasses.replace(settings.MOBILITY, frames_burst=1_000)
    _end_all(stage)
    cache.clear()
    yield stage
    _end_all(stage)


def _end_all(stage: Stage) -> None:
    for ride in Booking.objects.filter(status__in=LIVE).exclude(pk=stage.live):
        cancel_ride(ride.pk, SYSTEM)
    Driver.objects.filter(status="available").update(status="offline")


@asynccontextmanager
async def opened(stage: Stage, path: str, role: str) -> Any:
    """A socket of this role, and what it was told on the way."""
    authorization = (await in_thread(stage.headers, role)).get("Authorization", "")
    app = App(path, authorization=authorization)
    try:
        yield app, await app.connect()
    finally:
        await app.leave()


def message(kind: str, **more: Any) -> dict[str, Any]:
    """A message that can be understood."""
    return {"type": kind} | _CONTENT.get(kind, {}) | more


def codes(told: list[dict[str, Any]]) -> set[str]:
    """The codes of the errors among these frames; a close counts as `closed`."""
    return {frame["code"] for frame in told if frame["type"] == "error"} | {
        "closed" for frame in told if frame["type"] == "closed"
    }


@pytest.mark.parametrize(("path", "kind", "role"), CELLS, ids=str)
async def test_each_message_is_taken_from_whom_it_is_listed(calm, path, kind, role):
    may = role in allowed(SOCKETS[path][kind])
    where = path.replace("<driver_id>", str(calm.driver.pk)).replace("<ride_id>", f"{role}-{kind}".replace(":", "-"))
    async with opened(calm, where, role) as (app, greeting):
        if not may:
            refused = codes(greeting) & {"unauthenticated", "forbidden"}
            told = [] if "closed" in codes(greeting) else await app.ask(message(kind))
            assert refused or codes(told) & TURNED_AWAY, f"{role} is let send {kind}, and {NAME} does not name it"
            return
        assert not codes(greeting), f"{role} may open {path}, says {NAME}: {greeting}"
        if path == RIDE and kind in {"cancel_ride", "resume"}:
            begun = await app.ask(EXAMPLE)
            assert not codes(begun), begun
        own = {"booking_id": calm.rides[calm.people["passenger"].pk]} if path == DRIVER and kind in ABOUT_A_RIDE else {}
        told = await app.ask(message(kind, **own))
        assert not codes(told) & {*TURNED_AWAY, "closed"}, f"{role} may send {kind}, says {NAME}: {told}"


@pytest.mark.parametrize("role", [role for role in SOCKET_ROLES if role in allowed(SOCKETS[RIDE]["find_driver"])])
async def test_somebody_elses_ride_id_opens_nothing_of_theirs(calm, role):
    theirs = await in_thread(Booking.objects.get, pk=calm.rides[calm.stranger.pk])
    async with opened(calm, f"/ws/ride/{theirs.ride_id}/", role) as (app, greeting):
        assert [frame["type"] for frame in greeting] == ["connection_established"]
        for kind in ("cancel_ride", "resume"):
            assert codes(await app.ask(message(kind))) == {"no_ride"}
    assert (await in_thread(Booking.objects.get, pk=theirs.pk)).seq == theirs.seq


@pytest.mark.parametrize("kind", sorted(ABOUT_A_RIDE))
async def test_a_ride_of_another_driver_is_like_one_that_one_was_never_asked_for(calm, kind):
    before = await in_thread(Booking.objects.get, pk=calm.live)
    async with opened(calm, f"/ws/driver/{calm.driver.pk}/", "driver") as (app, _):
        theirs = await app.ask(message(kind, booking_id=calm.live))
        absent = await app.ask(message(kind, booking_id=2**40))
    assert codes(theirs) == {"no_offer"}
    assert theirs == absent
    after = await in_thread(Booking.objects.get, pk=calm.live)
    assert (after.seq, after.status, after.driver_id) == (before.seq, before.status, before.driver_id)


async def test_a_key_or_nobody_opens_no_drivers_socket_by_phone_either(calm):
    for role in ("guest", "passenger", "operator", "key:drivers:read"):
        async with opened(calm, f"/ws/driver/{calm.driver.phone}/", role) as (_, greeting):
            assert codes(greeting) & {"unauthenticated", "forbidden"}, role


async def test_a_ride_is_told_to_its_two_and_every_member_of_every_frame_is_listed(calm):
    """Whole rides of a passenger and a driver, with a stranger and another driver at their sockets."""
    await in_thread(Driver.objects.filter(pk=calm.driver.pk).update, auto_accept=False, stationary=True)
    driver_at, others_at = f"/ws/driver/{calm.driver.pk}/", f"/ws/driver/{calm.idle.pk}/"
    calm.people["idle"] = calm.idle.user
    async with (
        opened(calm, driver_at, "driver") as (driver, _), opened(calm, others_at, "idle") as (idle, _),
        opened(calm, "/ws/ride/whole/", "guest") as (stranger, _),
        opened(calm, "/ws/ride/whole/", "passenger") as (app, _),
    ):  # fmt: skip
        await driver.ask(message("location_update", command_id="at-1"), {"type": "go_online", "auto_accept": False})
        for ending in (("driver_arrived", "start_ride", "complete_ride"), ("cancel_ride",)):
            async with opened(calm, f"/ws/ride/whole-{ending[0]}/", "passenger") as (rider, _):
                await rider.ask(EXAMPLE | {"command_id": f"find-{ending[0]}"})
                request = [frame for frame in await driver.ask(_all()) if frame["type"] == "ride_request"][-1]
                ride = {"booking_id": request["booking_id"]}
                await driver.ask(message("ride_request_received", **ride), message("accept_ride", **ride))
                await driver.ask({"type": "resume", "last_inbox_seq": 2**31 - 1})  # ahead of the truth: the whole state
                for kind in ending:
                    assert not codes(await driver.ask(message(kind, **ride))) & TURNED_AWAY
                await rider.ask(message("resume"), {"type": "resume", "last_seq": 2**31 - 1}, message("cancel_ride"))
                _listed("ride", rider)
        await driver.ask(message("decline_ride", booking_id=2**40), {"type": "go_offline"}, _all())
        _listed("driver", driver)
        for bystander in (idle, stranger, app):
            await bystander.ask(message("resume"))
        assert {frame["type"] for frame in stranger.told} <= {"connection_established", "pong", "error"}
        assert {frame["type"] for frame in idle.told} <= {"connection_established", "driver_state", "pong"}
        assert request["passenger_phone"] not in str(stranger.told) + str(idle.told)
    assert {"ride_request", "ride_assigned", "driver_arrived", "ride_completed", "command_done"} <= _types(driver)


def _all() -> dict[str, Any]:
    return {"type": "resume", "last_inbox_seq": 0}


def _types(app: App) -> set[str]:
    return {frame["type"] for frame in app.told}


def _listed(socket: str, app: App) -> None:
    known = {kind: set(map(plain, words)) for kind, words in listed(socket).items()}
    for frame in app.told:
        more = members(frame) - known.get(frame["type"], set())
        assert not more, f"add to [frames.{socket}] {frame['type']}: {sorted(more)}"


def test_refusals_come_with_no_detail_that_is_not_listed():
    told = {"field", *REFUSAL.details}
    for file in ROOT.joinpath("mobility").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"Refusal", "Misunderstood"}:
                more = {k.arg for k in node.keywords if k.arg} - told
                assert not more, f"{file}: REFUSAL in tests/permissions/frames.py lacks {more}"
