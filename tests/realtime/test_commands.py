"""Commands with a `command_id` over real sockets: one effect and one answer, across repeats, sockets and servers."""

import asyncio
import json
from uuid import uuid4

import psycopg
import pytest
from asgiref.testing import ApplicationCommunicator
from knox.models import AuthToken

from mobility.errors import Refusal
from mobility.models import Booking, Command, Driver, DriverLocation, Offer, Position, RideEvent
from mobility.realtime.once import answering
from mobility.realtime.passenger import PassengerSocket
from mobility.realtime.socket import Socket
from mobility.routing import websocket
from tests.realtime.sync import in_thread
from tests.realtime.test_driver import Fleet, about
from tests.server import EXAMPLE, serving

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def fleet(make_driver):
    return Fleet(make_driver)


@pytest.fixture
async def login(make_user):
    """The options of a socket that a new passenger opens."""
    user = await in_thread(make_user)
    token = (await in_thread(AuthToken.objects.create, user))[1]
    return {"additional_headers": {"Authorization": f"Token {token}"}}


def named(frame, command_id=None):
    return frame | {"command_id": command_id or str(uuid4())}


async def told(client, kind="command_done"):
    """All frames up to the answer."""
    frames = [await client.receive()]
    while frames[-1]["type"] not in {kind, "error"}:
        frames.append(await client.receive())
    return frames


async def again(client, command, answer):
    """The same command again: the same answer, and nothing else that is new."""
    for _ in range(2):
        await client.send(command)
        assert (await told(client))[-1] == answer


def rows():
    """How much there is of everything that commands write."""
    return [model.objects.count() for model in (Booking, RideEvent, Offer)]


async def test_every_command_of_a_ride_has_one_effect_and_one_answer(server, fleet, login):
    driver = await fleet.driver(status="offline")
    async with fleet.socket(server, driver, confirms=True) as app, server.ride("r", **login) as passenger:

        async def act(client, frame, command):
            sent = named(frame)
            await client.send(sent)
            frames = await told(client)
            answer = frames[-1]
            assert (answer["type"], answer["command"]) == ("command_done", command)
            assert answer["command_id"] == sent["command_id"]
            before = await in_thread(rows)
            await again(client, sent, answer)
            assert await in_thread(rows) == before
            return frames

        await act(app, {"type": "go_online", "auto_accept": False}, "go_online")
        frames = await act(passenger, EXAMPLE, "find_driver")
        assert [f["type"] for f in frames] == ["searching", "command_done"]
        ride = {"ride_id": "r", "booking_id": frames[0]["booking_id"]}
        assert frames[1] == frames[1] | ride | {"seq": 1}
        request = await app.until("ride_request")
        await act(app, about(request, "ride_request_received"), "ride_request_received")
        frames = await act(app, about(request, "accept_ride"), "accept_ride")
        assert [f["type"] for f in frames] == ["ride_assigned", "command_done"]
        assert frames[1] == frames[1] | ride
        for command in ("driver_arrived", "start_ride", "complete_ride"):
            await act(app, about(request, command), command)
        await act(app, {"type": "go_offline"}, "go_offline")
        for kind in ("driver_assigned", "driver_arrived", "ride_started", "ride_completed"):
            assert (await passenger.receive())["type"] == kind
        await passenger.quiet()
    assert (await in_thread(Driver.objects.get)).total_rides == 1


async def test_declining_giving_back_and_cancelling_too(server, fleet, login):
    one, other = await fleet.driver(), await fleet.driver(100)
    async with (
        fleet.socket(server, one) as app, fleet.socket(server, other) as apps, server.ride("r", **login) as passenger,
    ):  # fmt: skip
        await passenger.send(EXAMPLE)
        request = await app.until("ride_request")
        await apps.until("ride_request")
        for client, frame in (
            (apps, about(request, "decline_ride", reason="lunch")), (app, about(request, "accept_ride")),
            (app, about(request, "cancel_ride", reason="flat tyre")), (passenger, {"type": "cancel_ride"}),
        ):  # fmt: skip
            sent = named(frame)
            await client.send(sent)
            frames = await told(client)
            assert frames[-1]["type"] == "command_done", frames
            before = await in_thread(rows)
            await again(client, sent, frames[-1])
            assert await in_thread(rows) == before
    assert (await in_thread(Booking.objects.get)).releases == 1


async def test_an_answer_outlives_the_connection_and_the_server(fleet, login, tmp_path):
    find, accept = named(EXAMPLE), None
    driver = await fleet.driver()
    with serving(tmp_path) as first:
        async with fleet.socket(first, driver) as app, first.ride("r", **login) as passenger:
            await passenger.send(find)
            found = (await told(passenger))[-1]
            accept = named(about(await app.until("ride_request"), "accept_ride"))
            await app.send(accept)
            accepted = (await told(app))[-1]
        first.process.kill()
    with serving(tmp_path) as second:
        async with fleet.socket(second, driver) as app, second.ride("r", **login) as passenger:
            await passenger.until("driver_assigned")  # the present state, as always
            await again(passenger, find, found)
            await again(app, accept, accepted)
    assert await in_thread(rows) == [1, 2, 1]


async def test_sent_over_five_sockets_at_once_it_is_done_once(server, fleet, login):
    await fleet.driver(auto_accept=True)
    find = named(EXAMPLE)

    async def ask():
        async with server.ride("r", **login) as client:
            await client.send(find)
            return (await told(client))[-1]

    answers = await asyncio.gather(*(ask() for _ in range(5)))
    assert answers == [answers[0]] * 5
    assert answers[0]["type"] == "command_done"
    assert await in_thread(rows) == [1, 2, 1]


async def test_a_refusal_is_remembered_and_names_the_command(server, fleet, login):
    drivers = [await fleet.driver(), await fleet.driver(50)]
    async with (
        fleet.socket(server, drivers[0]) as one, fleet.socket(server, drivers[1]) as other,
        server.ride("r", **login) as passenger,
    ):  # fmt: skip
        await passenger.send(EXAMPLE)
        request = await one.until("ride_request")
        await other.until("ride_request")
        await one.send(about(request, "accept_ride"))
        await one.until("ride_assigned")
        late = named(about(request, "accept_ride"))
        await other.send(late)
        error = await other.until("error")
        assert (error["code"], error["command_id"]) == ("ride_taken", late["command_id"])
        # Now the other one could have it; but this command was answered.
        await one.send(about(request, "cancel_ride"))
        await other.until("ride_request")
        await again(other, late, error)


async def test_another_command_under_a_used_id_is_refused(server, fleet, login):
    find = named(EXAMPLE)
    async with server.ride("r", **login) as client:
        await client.send(find)
        await told(client)
        for changed in (find | {"notes": "two steps"}, named({"type": "cancel_ride"}, find["command_id"])):
            await client.send(changed)
            error = (await told(client))[-1]
            assert (error["code"], error["command_id"]) == ("command_id_reused", find["command_id"])
    async with server.ride("another", **login) as client:
        await client.send(find)
        assert (await told(client))[-1]["code"] == "command_id_reused"
    assert (await in_thread(rows))[0] == 1


async def test_the_same_id_of_another_passenger_is_another_command(server, make_user, login):
    other = (await in_thread(lambda: AuthToken.objects.create(make_user())))[1]
    find = named(EXAMPLE)
    for options in (login, {"additional_headers": {"Authorization": f"Token {other}"}}, {}):
        async with server.ride("r", **options) as client:
            await client.send(find)
            assert (await told(client))[-1]["type"] == "command_done"
    assert (await in_thread(rows))[0] == 3


@pytest.mark.parametrize("command_id", ["", "a b", "x" * 65, 7, None, ["a"]], ids=repr)
async def test_what_is_no_command_id(server, command_id):
    async with server.ride() as client:
        answer = await client.ask(EXAMPLE | {"command_id": command_id})
        if command_id is None:  # as if it were not there
            assert answer["type"] == "searching"
            return
        assert (answer["code"], answer["field"]) == ("invalid_field", "command_id")
        assert "command_id" not in answer
    assert await in_thread(rows) == [0, 0, 0]


async def test_an_error_about_a_frame_names_its_command_and_is_not_remembered(server):
    async with server.ride() as client:
        wrong = named(EXAMPLE | {"pickup_latitude": 95})
        error = await client.ask(wrong)
        assert (error["code"], error["command_id"]) == ("invalid_field", wrong["command_id"])
        assert "command_id" not in await client.ask({"type": "nonsense"})
        right = EXAMPLE | {"command_id": wrong["command_id"]}
        await client.send(right)
        assert (await told(client))[-1]["type"] == "command_done"


# --- positions -----------------------------------------------------------------------------------------------------

HERE = {"type": "location_update", "latitude": -26.2, "longitude": 28.0}


def stored():
    """Latitudes of all positions that are stored."""
    return sorted(round(row.position.y, 5) for row in Position.objects.all())


async def test_a_position_with_an_id_is_answered_when_it_is_stored(server, fleet):
    driver = await fleet.driver()
    async with fleet.socket(server, driver) as app:
        answer = await app.ask(named(HERE, "p1"))
        assert answer == {"type": "command_done", "command_id": "p1", "command": "location_update"}
        assert await in_thread(stored) == [-26.2]
        await again(app, named(HERE, "p1"), answer)
        await app.send(HERE)
        await app.quiet()
        await again(app, named(HERE, "p1"), answer)
    assert await in_thread(stored) == [-26.2, -26.2]  # the named one, and the one without a name
    assert await in_thread(Command.objects.count) == 1


async def test_other_positions_or_another_command_under_a_used_id_are_refused(server, fleet):
    driver = await fleet.driver(status="offline")
    async with fleet.socket(server, driver) as app:
        await app.ask(named(HERE, "p1"))
        for other in (HERE | {"latitude": -26.3}, HERE | {"speed": 3.0}, {"type": "go_online", "auto_accept": False}):
            error = await app.ask(named(other, "p1"))
            assert (error["code"], error["command_id"]) == ("command_id_reused", "p1")
        await app.send(named({"type": "go_online", "auto_accept": False}, "g1"))
        await told(app)
        assert (await app.ask(named(HERE, "g1")))["code"] == "command_id_reused"
    assert await in_thread(stored) == [-26.2]
    place = await in_thread(DriverLocation.objects.get)
    assert (place.position.coords, place.dispatchable) == ((28.0, -26.2), True)


async def test_positions_that_were_dropped_are_answered_as_before(server, fleet):
    driver = await fleet.driver()
    cold, warm = {"latitude": 0.0, "longitude": 0.0}, {"latitude": -26.2, "longitude": 28.0}
    async with fleet.socket(server, driver) as app:
        for command_id, updates in (("all", [cold, cold]), ("some", [cold, warm])):
            sent = {"type": "location_update", "updates": updates, "command_id": command_id}
            answer = await app.ask(sent)
            assert answer["type"] == ("error" if command_id == "all" else "command_done")
            await again(app, sent, answer)
    assert await in_thread(stored) == [-26.2]


async def test_a_position_told_to_two_servers_at_once_and_to_a_third_later_is_stored_once(tmp_path, fleet):
    driver = await fleet.driver()
    sent = [named(HERE | {"latitude": -26.2 - n / 1000}) for n in range(20)]

    async def tell(server):
        async with fleet.socket(server, driver, greeted=False) as app:
            answers = []
            for command in sent:
                await app.send(command)
            while len(answers) < len(sent):
                frame = await app.receive()
                if frame["type"] in {"command_done", "error"}:
                    answers.append(frame)
            return answers

    # Without Redis the two do not hear of each other, so neither closes its socket for the other's.
    with serving(tmp_path) as one, serving(tmp_path) as other:
        answers = await asyncio.gather(tell(one), tell(other))
        assert answers[0] == answers[1]
        assert {a["type"] for a in answers[0]} == {"command_done"}
        one.process.kill()
        with serving(tmp_path) as third:
            assert await tell(third) == answers[0]
    assert await in_thread(stored) == sorted(round(command["latitude"], 5) for command in sent)


async def test_a_position_whose_answer_came_too_late_is_stored_once_however_often_it_is_told(
    tmp_path, fleet, admin_url
):
    """The database does not get on for seconds: the app is told to try again, and does, also at another server."""
    driver = await fleet.driver()
    many = named({"type": "location_update", "updates": [{"latitude": -26.2, "longitude": 28.0}] * 2})
    with serving(tmp_path) as server, serving(tmp_path) as other:
        async with fleet.socket(server, driver) as app, fleet.socket(other, driver) as app_of_other:
            with psycopg.connect(admin_url) as admin:
                admin.execute("SELECT FROM mobility_driver_location FOR UPDATE")
                for client in (app, app_of_other, app):
                    await client.send(many)
                    await client.send(named(HERE, "p1"))
                for client in (app, app_of_other):
                    refused = [await client.receive() for _ in range(2)]
                    assert [f["code"] for f in refused] == ["unavailable"] * 2
                    assert [f["command_id"] for f in refused] == [many["command_id"], "p1"]
            for client in (app, app_of_other):
                await client.send(many)
                await client.send(named(HERE, "p1"))
                answers = []
                while len(answers) < 2:
                    frame = await client.receive()
                    answers += [frame] if frame.get("code") != "unavailable" else []
                assert [f["type"] for f in answers] == ["command_done"] * 2
    assert await in_thread(stored) == [-26.2] * 3


async def test_what_became_of_a_position_is_no_answer_to_the_command_after_it(tmp_path, fleet, admin_url):
    driver = await fleet.driver(status="offline")
    with serving(tmp_path) as server:
        async with fleet.socket(server, driver) as app:
            await app.ask(named(HERE, "p1"))
            with psycopg.connect(admin_url) as admin:
                admin.execute("SELECT FROM mobility_driver_location FOR UPDATE")
                await app.send(HERE)  # in one batch with the next one, which is refused when that is written
                await app.send(named(HERE | {"latitude": -26.3}, "p1"))
                late = await app.receive()
                await app.send(named({"type": "go_online", "auto_accept": False}, "g1"))
                await asyncio.sleep(1)  # it waits for them
            answer = (await told(app))[-1]
            assert (late["command_id"], late["code"]) == ("p1", "unavailable")
            assert (answer["type"], answer["command_id"]) == ("command_done", "g1")
            assert (await app.ask(named(HERE | {"latitude": -26.3}, "p1")))["code"] == "command_id_reused"


@pytest.mark.parametrize("between", ["dropped", "repeated"])
async def test_a_command_waits_for_a_position_though_a_later_one_is_answered(tmp_path, fleet, admin_url, between):
    """Two threads write: one is held up with where the driver has come to, the other has no more to store."""
    driver = await fleet.driver(1_000)
    here = {"type": "location_update", "latitude": -26.2041, "longitude": 28.0473}
    other = named(here | {"latitude": 0.0, "longitude": 0.0} if between == "dropped" else HERE | {"longitude": 28.0473})
    with serving(tmp_path) as server:
        async with fleet.socket(server, driver) as app, server.ride() as passenger:
            if between == "repeated":
                assert (await app.ask(other))["type"] == "command_done"
            await passenger.send(EXAMPLE)
            request = await app.until("ride_request")
            await app.send(about(request, "accept_ride"))
            await app.until("ride_assigned")
            with psycopg.connect(admin_url) as admin:
                admin.execute("SELECT FROM mobility_driver_location FOR UPDATE")
                await app.send(here)
                await asyncio.sleep(0.4)  # a writer is busy with it
                await app.send(other)
                assert (await app.receive())["command_id"] == other["command_id"]
                await app.send(about(request, "driver_arrived"))
                await asyncio.sleep(0.5)
            assert (await app.receive())["type"] == "driver_arrived"


async def test_an_error_about_a_hint_names_no_command_of_whoever_caused_the_hint(monkeypatch):
    """In process: a hint is heard in the context of the command that made the change."""
    scope = {
        "type": "websocket", "path": "/ws/ride/hinted/", "headers": [], "query_string": b"", "subprotocols": [],
        "client": ["127.0.0.1", 1],
    }  # fmt: skip
    monkeypatch.setattr(PassengerSocket, "hinted", _unavailable)
    client = ApplicationCommunicator(websocket, scope)
    await client.send_input({"type": "websocket.connect"})
    assert (await client.receive_output(10))["type"] == "websocket.accept"
    assert json.loads((await client.receive_output(10))["text"])["type"] == "connection_established"
    await client.send_input({"type": "websocket.receive", "text": '{"type": "ping"}'})
    assert json.loads((await client.receive_output(10))["text"])["type"] == "pong"
    (socket,) = Socket.live
    answering.set("somebody-elses")
    socket.heard({"type": "ride.moved", "ride_id": "hinted", "booking_id": 1, "seq": 1})
    error = json.loads((await client.receive_output(10))["text"])
    assert error["code"] == "unavailable"
    assert "command_id" not in error
    await client.send_input({"type": "websocket.disconnect", "code": 1000})
    await client.wait(10)


async def _unavailable(*_):
    raise Refusal("unavailable")
