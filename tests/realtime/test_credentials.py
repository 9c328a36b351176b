"""Who may open a socket, by which credential, from which page, and for how long."""

import http.cookies
import json

import pytest
import websockets
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from knox.models import AuthToken

from mobility.bookings.models import Booking
from mobility.models import User
from mobility.people.credentials import Principal, issue_ticket
from tests.realtime.sync import in_thread
from tests.server import EXAMPLE, serving

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A demo server without guests, so that who has no credential is refused."""
    changes = {
        "CARECONNECT_GUEST_RIDES": "no",
        "CARECONNECT_CREDENTIAL_RECHECK_S": "0.5",
        "WEBSOCKET_ORIGINS": "https://app.example.org",
    }
    with serving(tmp_path_factory.mktemp("strict"), **changes) as running:
        yield running


async def outcome(server, ride_id="r1", query="", **options):
    """The first frame's type or code, and the close code where it was closed."""
    try:
        async with websockets.connect(f"{server.ws}/ws/ride/{ride_id}/{query}", **options) as connection:
            first = json.loads(await connection.recv())
            if first["type"] != "error":
                return first["type"], None, connection.subprotocol
            with pytest.raises(websockets.ConnectionClosed):
                await connection.recv()
            return first["code"], connection.close_code, connection.subprotocol
    except websockets.InvalidStatus as refused:
        return "refused", refused.response.status_code, None


async def token_of(user) -> str:
    return (await in_thread(AuthToken.objects.create, user))[1]


async def session_of(user) -> str:
    def log_in():
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "mobility.people.backends.UsernameOrPhoneBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
        return session.session_key

    return await in_thread(log_in)


OPEN = ("connection_established", None, None)
REFUSED = ("unauthenticated", 4401, None)


async def test_no_credential_is_refused_where_guests_are_not_allowed(strict):
    assert await outcome(strict) == REFUSED


@pytest.mark.parametrize("kind", ["Token", "Bearer", "token"])
async def test_an_authorization_header_opens(strict, make_user, kind):
    token = await token_of(await in_thread(make_user))
    assert await outcome(strict, additional_headers={"Authorization": f"{kind} {token}"}) == OPEN


async def test_a_bearer_subprotocol_opens_and_only_ours_is_echoed(strict, make_user):
    token = await token_of(await in_thread(make_user))
    offered = [f"bearer.{token}", "careconnect.v1"]
    assert await outcome(strict, subprotocols=offered) == ("connection_established", None, "careconnect.v1")


async def test_a_session_opens_only_beside_an_allowed_origin(strict, make_user):
    key = await session_of(await in_thread(make_user))
    cookie = {"Cookie": f"sessionid={key}"}
    assert await outcome(strict, additional_headers=cookie, origin=strict.http) == OPEN
    assert await outcome(strict, additional_headers=cookie, origin="https://app.example.org") == OPEN
    assert await outcome(strict, additional_headers=cookie) == REFUSED
    assert await outcome(strict, additional_headers=cookie, origin="https://evil.example.org") == ("refused", 403, None)


async def test_a_ticket_opens_once(strict, make_user):
    user = await in_thread(make_user)
    ticket, _ = await in_thread(issue_ticket, Principal(user.pk))
    assert await outcome(strict, query=f"?ticket={ticket}") == OPEN
    assert await outcome(strict, query=f"?ticket={ticket}") == REFUSED


async def test_a_ticket_for_another_ride_is_forbidden(strict, make_user):
    user = await in_thread(make_user)
    ticket, _ = await in_thread(issue_ticket, Principal(user.pk), ride_id="mine")
    assert await outcome(strict, ride_id="other", query=f"?ticket={ticket}") == ("forbidden", 4403, None)


async def test_an_old_ticket_is_refused(strict, make_user, admin_url):
    import psycopg

    user = await in_thread(make_user)
    ticket, _ = await in_thread(issue_ticket, Principal(user.pk))
    with psycopg.connect(admin_url) as admin:
        admin.execute("UPDATE mobility_socket_ticket SET expires_at = now() - interval '1 second'")
    assert await outcome(strict, query=f"?ticket={ticket}") == REFUSED


@pytest.mark.parametrize(
    "options",
    [
        {"additional_headers": {"Authorization": "Token " + "0" * 64}},
        {"additional_headers": {"Authorization": "Bearer x"}},
        {"additional_headers": {"Authorization": "Basic dXNlcjpwYXNz"}},
        {"additional_headers": {"Authorization": "Token " + "x" * 3000}},
        {"additional_headers": [("Authorization", "Token a"), ("Authorization", "Token b")]},
        {"subprotocols": ["bearer.wrong", "careconnect.v1"]},
        {"query": "?ticket=wrong"},
        {"query": "?ticket="},
        {"query": "?token="},
        {"subprotocols": ["bearer.", "careconnect.v1"]},
        {"additional_headers": {"Authorization": "Token "}},
        {"additional_headers": {"Authorization": "Bearer"}},
        {"query": "?token=" + "0" * 64},
    ],
    ids=[
        "unknown",
        "short",
        "basic",
        "long",
        "two",
        "subprotocol",
        "ticket",
        "empty ticket",
        "empty token",
        "empty subprotocol",
        "empty header",
        "kind only",
        "token in the query",
    ],
)
async def test_a_wrong_credential_is_never_a_guest(server, options):
    """On a server that takes guests."""
    code, closed, _ = await outcome(server, **options)
    assert (code, closed) == ("unauthenticated", 4401)


async def test_an_expired_token_and_a_closed_account_are_refused(strict, make_user):
    from datetime import timedelta

    user = await in_thread(make_user)
    _, old = await in_thread(lambda: AuthToken.objects.create(user, expiry=timedelta(seconds=-1)))
    assert await outcome(strict, additional_headers={"Authorization": f"Token {old}"}) == REFUSED
    closed = await in_thread(make_user, is_active=False)
    token = await token_of(closed)
    assert await outcome(strict, additional_headers={"Authorization": f"Token {token}"}) == REFUSED


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://127.0.0.1:{port}", True),
        ("HTTP://127.0.0.1:{port}", True),
        ("https://app.example.org", True),
        ("https://APP.example.org:443", True),
        ("https://127.0.0.1:{port}", False),
        ("http://127.0.0.1:1", False),
        ("http://127.0.0.1", False),
        ("null", False),
        ("https://app.example.org.evil.org", False),
        ("https://evilapp.example.org", False),
        ("https://app.example.org@evil.org", False),
        ("http://app.example.org", False),
        ("https://app.example.org/path", False),
        ("", False),
    ],
)
async def test_origins(strict, make_user, origin, allowed):
    token = await token_of(await in_thread(make_user))
    headers = {"Authorization": f"Token {token}", "Origin": origin.format(port=strict.port)}
    assert await outcome(strict, additional_headers=headers) == (OPEN if allowed else ("refused", 403, None))


async def test_logging_out_closes_the_users_sockets(strict, make_user):
    user = await in_thread(make_user)
    token = await token_of(user)
    headers = {"Authorization": f"Token {token}"}
    async with strict.ride(additional_headers=headers) as client:
        import httpx

        async with httpx.AsyncClient(base_url=strict.http) as http:
            assert (await http.post("/api/v1/auth/logout/", headers=headers)).status_code == 204
        assert await client.close_code(within_s=2) == 4401


async def test_a_credential_that_ended_unheard_is_found_by_the_recheck(strict, make_user):
    user = await in_thread(make_user)
    headers = {"Authorization": f"Token {await token_of(user)}"}
    async with strict.ride(additional_headers=headers) as client:
        await in_thread(User.objects.filter(pk=user.pk).update, is_active=False)
        assert await client.close_code(within_s=5) == 4401


async def test_a_command_acts_only_while_its_credential_holds(server, make_user, make_driver):
    """On a server that checks open sockets seldom: the command itself is checked."""
    await in_thread(make_driver, -26.2041, 28.0473)
    user = await in_thread(make_user)
    headers = {"Authorization": f"Token {await token_of(user)}"}
    async with server.ride(additional_headers=headers) as client:
        await in_thread(AuthToken.objects.all().delete)
        assert (await client.ask(EXAMPLE))["code"] == "unauthenticated"
    assert await in_thread(Booking.objects.count) == 0


async def test_a_passengers_ride_id_is_theirs_alone(server, make_user, make_driver):
    for _ in range(3):
        await in_thread(make_driver, -26.2041, 28.0473)
    tokens = [await token_of(await in_thread(make_user)) for _ in range(2)]
    async with server.ride("12345", additional_headers={"Authorization": f"Token {tokens[0]}"}) as one:
        await one.send(EXAMPLE)
        first = await one.until("driver_assigned")
        async with server.ride("12345", additional_headers={"Authorization": f"Token {tokens[1]}"}) as two:
            await two.quiet()  # no snapshot: to this passenger the ride does not exist
            assert (await two.ask({"type": "cancel_ride"}))["code"] == "no_ride"
            await two.send(EXAMPLE)
            assert (await two.until("driver_assigned"))["booking_id"] != first["booking_id"]
        async with server.ride("12345") as guest:
            await guest.quiet()
        await one.quiet()


async def test_a_second_live_ride_is_refused_and_the_first_named(server, make_user, make_driver):
    await in_thread(make_driver, -26.2041, 28.0473)
    headers = {"Authorization": f"Token {await token_of(await in_thread(make_user))}"}
    async with server.ride("one", additional_headers=headers) as client:
        await client.send(EXAMPLE)
        await client.until("driver_assigned")
    async with server.ride("two", additional_headers=headers) as client:
        told = await client.ask(EXAMPLE)
        assert (told["code"], told["ride_id"]) == ("live_ride_exists", "one")


async def test_a_passengers_ride_stays_over(server, make_user, make_driver):
    await in_thread(make_driver, -26.2041, 28.0473)
    headers = {"Authorization": f"Token {await token_of(await in_thread(make_user))}"}
    async with server.ride("one", additional_headers=headers) as client:
        await client.send(EXAMPLE)
        await client.until("driver_assigned")
        await client.ask({"type": "cancel_ride"})
        assert (await client.ask(EXAMPLE))["code"] == "ride_over"
    async with server.ride("one", additional_headers=headers) as client:
        assert (await client.receive())["status"] == "cancelled"
        await client.quiet()


async def test_searches_are_limited_and_repeats_do_not_count(make_user, make_driver, tmp_path):
    await in_thread(make_driver, -26.2041, 28.0473)
    headers = {"Authorization": f"Token {await token_of(await in_thread(make_user))}"}
    with serving(tmp_path, CARECONNECT_SEARCHES_PER_HOUR="2") as limited:
        for n in range(2):
            async with limited.ride(f"r{n}", additional_headers=headers) as client:
                await client.send(EXAMPLE)
                await client.until("driver_assigned")
                for _ in range(3):
                    assert (await client.ask(EXAMPLE))["type"] == "driver_assigned"
                await client.ask({"type": "cancel_ride"})
        async with limited.ride("r2", additional_headers=headers) as client:
            assert (await client.ask(EXAMPLE))["code"] == "too_many_searches"
    assert await in_thread(Booking.objects.count) == 2


def test_cookies_of_other_kinds_are_no_credential():
    from mobility.realtime.auth import offered_credentials

    jar = http.cookies.SimpleCookie({"csrftoken": "x"})
    scope = {"headers": [(b"cookie", jar.output(header="").strip().encode()), (b"origin", b"http://x")]}
    assert offered_credentials(scope).session_key == ""
