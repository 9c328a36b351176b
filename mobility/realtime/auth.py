"""Who opens a socket: the handshake, read once before anything else happens.

Order: session cookie (pages; only with an allowed Origin), Authorization header (apps), subprotocol `bearer.<token>`,
single-use `?ticket=`. A credential that does not hold is a refusal, never a guest.
"""

from http.cookies import CookieError, SimpleCookie
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.http.request import validate_host

from mobility.conf import knobs
from mobility.errors import Refusal
from mobility.people.credentials import (
    GUEST,
    Principal,
    principal_for_session,
    principal_for_token,
    redeem_ticket,
)

PROTOCOL = "careconnect.v1"
_BEARER = "bearer."
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Offered(NamedTuple):
    """The credentials of one handshake, in the order in which they are tried."""

    session_key: str = ""
    token: str = ""
    ticket: str = ""
    unusable: bool = False  # something was sent that can only be a mistake, such as a token in the query


def origin_is_allowed(scope: dict[str, Any]) -> bool:
    """Whether the handshake's Origin may open sockets here: none at all, our own, or a listed one."""
    origins = _headers(scope, b"origin")
    if not origins:
        return True
    origin = _normal_origin(origins[0])
    if len(origins) > 1 or origin is None:
        return False
    return origin == _own_origin(scope) or origin in {_normal_origin(o) for o in settings.WEBSOCKET_ORIGINS}


def _own_origin(scope: dict[str, Any]) -> str | None:
    hosts = _headers(scope, b"host")
    if len(hosts) != 1:
        return None
    name = urlsplit(f"//{hosts[0]}").hostname or ""
    if not validate_host(f"[{name}]" if ":" in name else name, settings.ALLOWED_HOSTS):
        return None
    scheme = "https" if scope.get("scheme") in {"wss", "https"} else "http"
    return _normal_origin(f"{scheme}://{hosts[0]}")


def _normal_origin(text: str) -> str | None:
    """`scheme://host:port` in lower case with the port written out; None for anything that is not just that."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    plain = parts.scheme in _DEFAULT_PORTS and parts.hostname and "@" not in parts.netloc
    if not plain or parts.path or parts.query or parts.fragment:
        return None
    return f"{parts.scheme}://{parts.hostname}:{port}"


def offered_credentials(scope: dict[str, Any]) -> Offered:
    """What the handshake brings. A cookie counts only beside an Origin: without one it is no page that speaks."""
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    header = _headers(scope, b"authorization")
    kind, _, header_token = header[0].partition(" ") if header else ("", "", "")
    by_protocol = [p.removeprefix(_BEARER) for p in scope.get("subprotocols", ()) if p.startswith(_BEARER)]
    tokens = ([header_token.strip()] if header else []) + by_protocol
    tickets = query.get("ticket", [])
    return Offered(
        session_key=_session_cookie(scope) if _headers(scope, b"origin") else "",
        token=next(iter(tokens), ""),
        ticket=next(iter(tickets), ""),
        unusable=bool(
            "token" in query
            or len(header) > 1
            or (header and kind.lower() not in {"token", "bearer"})
            or "" in (*tokens, *tickets)  # sent and empty is a mistake, not a guest
        ),
    )


def _session_cookie(scope: dict[str, Any]) -> str:
    jar: SimpleCookie = SimpleCookie()
    for cookies in _headers(scope, b"cookie"):
        try:
            jar.load(cookies)
        except CookieError:
            return ""
    morsel = jar.get(settings.SESSION_COOKIE_NAME)
    return morsel.value if morsel else ""


def identify(offered: Offered, ride_id: str | None) -> Principal:
    """The principal of the handshake, or the refusal `unauthenticated` or `forbidden`. Reads the database."""
    if not offered.unusable:
        principal = _principal(offered)
        if principal is not None:
            if principal.ride_id not in {None, ride_id}:
                raise Refusal("forbidden", "This ticket is for another ride.")
            return principal
    raise Refusal("unauthenticated")


def _principal(offered: Offered) -> Principal | None:
    tries = (
        (offered.session_key, principal_for_session),
        (offered.token, principal_for_token),
        (offered.ticket, redeem_ticket),
    )
    sent = [(credential, check) for credential, check in tries if credential]
    if not sent:
        return GUEST if knobs().guest_rides else None
    return next((found for credential, check in sent if (found := check(credential)) is not None), None)


def needs_database(offered: Offered) -> bool:
    """Whether `identify` has anything to look up."""
    return bool(offered.session_key or offered.token or offered.ticket)


def subprotocol(scope: dict[str, Any]) -> str | None:
    """The subprotocol to accept with: ours where offered; a bearer token is never echoed."""
    return PROTOCOL if PROTOCOL in scope.get("subprotocols", ()) else None


def _headers(scope: dict[str, Any], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]
