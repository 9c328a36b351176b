"""No answer to a passenger holds the place of a driver who is not theirs: not over REST, not over the sockets.

Each driver stands where no pickup, dropoff or tile corner is, so their coordinates' first digits are a canary.
"""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from geo.tiles import Tile, bounds_of
from mobility.bookings.services import Actor
from mobility.bookings.states import ActorRole
from mobility.dispatch.services import cancel_ride, find_driver
from mobility.models import Booking, Presence
from mobility.tiles.catalog import CATALOG
from tests.realtime.sync import in_thread
from tests.rest import token_of
from tests.server import EXAMPLE

IDLE, TAKEN = (-26.27391, 28.11847), (-26.16873, 28.02659)  # of nobody; of somebody else's ride
CANARY = re.compile(r"26\.27[34]|28\.11[89]|26\.16[89]|28\.02[67]")
QUERIES = ("", "?limit=1000", "?near=28.1,-26.25&radius_m=20000", "?bbox=28.0,-26.3,28.2,-26.1")


def paths(patterns=None, before=""):
    """Every path of the URLconf but the admin, as it is written there."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if not route.startswith("admin/"):
                yield from paths(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route


def filled(route, numbers, tiles):
    """The path with every number and layer there is in its places."""
    if "<int:pk>" in route:
        return [route.replace("<int:pk>", str(n)) for n in numbers]
    if "<str:layer>" not in route:
        return [route]
    named = [route.replace("<str:layer>", layer) for layer in CATALOG]
    if "<int:z>" not in route:
        return named
    return [
        path.replace("<int:z>", str(t.z)).replace("<int:x>", str(t.x)).replace("<int:y>", str(t.y))
        for path in named for t in tiles
    ]  # fmt: skip


def tile_of(place, z):
    return next(
        Tile(z, x, y)
        for x in range(2**z) for y in range(2**z)
        if (box := bounds_of(Tile(z, x, y))) and box.west <= place[1] < box.east and box.south <= place[0] < box.north
    )  # fmt: skip


@pytest.fixture
def drivers(make_driver):
    """One who is idle and answers nothing, and one who takes whatever comes."""
    idle = make_driver(*IDLE, auto_accept=False, stationary=True)
    Presence.objects.create(driver=idle, socket_id=uuid4(), lease_until=Now() + timedelta(hours=1))
    return idle, make_driver(*TAKEN, vehicle_type="suv", stationary=True)


@pytest.mark.django_db
def test_no_path_of_the_urlconf_tells_a_passenger_where_a_driver_is(drivers, make_user, ride_request):
    other, me = make_user(), make_user()
    theirs = find_driver(other.pk, "theirs", ride_request(vehicle_type="suv", distance_km=None))
    assert theirs.driver_id == drivers[1].pk
    mine = find_driver(me.pk, "mine", ride_request(distance_km=None))
    assert Booking.objects.get(pk=mine.booking_id).status == "pending"
    numbers = {drivers[0].pk, drivers[1].pk, theirs.booking_id, mine.booking_id}
    tiles = [tile_of(place, z) for place in (IDLE, TAKEN) for z in (6, 8)]
    asked, client, refused = 0, Client(raise_request_exception=False), set()
    credentials = [{}, {"Authorization": f"Token {token_of(me)}"}]
    for route in paths():
        for path in filled(route, numbers, tiles):
            for headers in credentials:
                for query in QUERIES:
                    answer = client.get(f"/{path}{query}", headers=headers)
                    body = b"".join(answer) if answer.streaming else answer.content
                    said = body.decode("latin-1") + str(dict(answer.items()))
                    assert not CANARY.search(said), (path, query, said[:500])
                    asked += 1
                    if answer.status_code >= 400:
                        refused.add(route)
                    elif any(part in route for part in ("<str:layer>/", "drivers/", "demand")):
                        raise AssertionError(f"{path} answers a passenger with {answer.status_code}")
    assert len(refused) > 10
    assert asked > 300


@pytest.mark.django_db
def test_the_canary_is_seen_where_somebody_may(drivers, make_user):
    operator = make_user(roles=["operator"])
    answer = Client().get("/api/v1/drivers/", headers={"Authorization": f"Token {token_of(operator)}"})
    assert CANARY.search(answer.content.decode())


@pytest.mark.django_db
def test_a_passengers_entity_tag_changes_with_their_own_rides_only(drivers, make_user, ride_request):
    """It was the version of tables once, and told when the driver one asks for was written to."""
    me = make_user()
    find_driver(me.pk, "mine", ride_request(distance_km=None))
    client, headers = Client(), {"Authorization": f"Token {token_of(me)}"}
    before = client.get("/api/v1/bookings/", headers=headers)
    drivers[0].rating = 3
    drivers[0].save(update_fields=["rating"])
    find_driver(make_user().pk, "theirs", ride_request(distance_km=None))
    again = client.get("/api/v1/bookings/", headers=headers | {"If-None-Match": before["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", before["ETag"])
    cancel_ride(Booking.objects.get(passenger=me).pk, Actor(me.pk, ActorRole.PASSENGER))
    assert client.get("/api/v1/bookings/", headers=headers | {"If-None-Match": before["ETag"]}).status_code == 200


@pytest.mark.usefixtures("committed_db")
async def test_no_frame_tells_a_passenger_where_a_driver_is_who_is_not_theirs(server, drivers, make_user):
    token = await in_thread(lambda: token_of(make_user()))
    seen, sedan = [], EXAMPLE | {"vehicle_type": "sedan"}

    async def say(client, frame):
        await client.send(frame)
        while (told := await client.receive())["type"] != "pong":
            seen.append(told)

    async def talk(ride_id, **options):
        async with server.ride(ride_id, **options) as client:
            for frame in (sedan, {"type": "resume", "last_seq": 0}, sedan, {"type": "cancel_ride"}):
                await client.send(frame)
                await say(client, {"type": "ping", "seq": 0})
            seen.extend(client.positions)
        async with server.ride(ride_id, greeted=False, **options) as client:
            await client.send({"type": "resume", "last_seq": 0})
            await say(client, {"type": "ping"})
            seen.extend(client.positions)

    await talk("guest")
    await talk("mine", additional_headers={"Authorization": f"Token {token}"})
    assert {"searching", "ride_cancelled"} <= {frame["type"] for frame in seen}
    assert not CANARY.search(str(seen))
    # Bound and cancelled: told while it was theirs, and never again.
    async with server.ride("bound") as client:
        await client.send(EXAMPLE | {"vehicle_type": "suv"})
        assert CANARY.search(str(await client.until("driver_assigned")))
        await client.send({"type": "cancel_ride"})
        await client.until("ride_cancelled")
        seen.clear()
        await client.send({"type": "resume", "last_seq": 0})
        await say(client, {"type": "ping", "seq": 0})
    async with server.ride("bound", greeted=False) as client:
        await client.send({"type": "resume", "last_seq": 0})
        await say(client, {"type": "ping"})
        seen.extend(client.positions)
    assert "driver_assigned" in {frame["type"] for frame in seen}  # that it was so is told, where they were is not
    assert not CANARY.search(str(seen))
