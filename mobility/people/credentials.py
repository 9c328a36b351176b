"""Who stands behind a credential: a login token, a session or a socket ticket.

Nothing here raises for what a client sends: a credential that does not hold is None. All functions use the ORM and
are called from worker threads.
"""

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.crypto import constant_time_compare
from knox.crypto import hash_token
from knox.models import get_token_model
from knox.settings import CONSTANTS

from mobility.conf import knobs
from mobility.people.models import User
from mobility.transactions import rows

MAX_CREDENTIAL_LENGTH = 256
# How a ticket remembers that it was asked for with a session; a token's digest is hexadecimal and never begins so.
_SESSION_MARK = "session:"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is speaking, and by which credential; a guest of the demonstration has no user.

    `token_digest` and `session_key` say what must go on existing for the principal to hold. `ride_id` is set when a
    ticket opens one ride only.
    """

    user_id: int | None
    # Not in the repr: what a log line shows of a principal must name nobody and open nothing.
    display: str = field(default="", repr=False)
    token_digest: str = field(default="", repr=False)
    session_key: str = field(default="", repr=False)
    ride_id: str | None = None

    @property
    def is_guest(self) -> bool:
        """Whether nobody is logged in."""
        return self.user_id is None


GUEST = Principal(None)


def valid_token(token: str) -> Any | None:
    """The knox row of a login token with its user loaded: known, not expired, the user active. Else None."""
    if not _is_plain(token):
        return None
    digest = hash_token(token)
    # Every request and every socket begins with it; the ORM takes five times as long.
    for found in rows("people/sql/token_in_force", {"token_key": token[: CONSTANTS.TOKEN_KEY_LENGTH]}):
        if constant_time_compare(found.digest, digest):
            return _with_user(found)
    return None


def _with_user(found: Any) -> Any:
    """A row of token_in_force.sql as the ORM gives them."""
    columns = found._fields.index("id")
    row = get_token_model().from_db(DEFAULT_DB_ALIAS, found._fields[:columns], found[:columns])
    row.user = User.from_db(DEFAULT_DB_ALIAS, found._fields[columns:], found[columns:])
    return row


def principal_for_token(token: str) -> Principal | None:
    """Who a login token belongs to, or None when it is unknown, expired or its user inactive."""
    row = valid_token(token)
    return None if row is None else Principal(row.user_id, row.user.display_name, token_digest=row.digest)


def principal_for_session(session_key: str) -> Principal | None:
    """The active user logged in with this Django session, or None. A password change ends the session.

    Unlike `django.contrib.auth.get_user` it never gives the session a new key: a socket could not tell the browser.
    """
    if not _is_plain(session_key) or not session_key.isalnum():
        return None
    session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = _users([session.get(SESSION_KEY)]).get(str(session.get(SESSION_KEY)))
    if user is None or not _session_is_of(session, user):
        return None
    return Principal(user.pk, user.display_name, session_key=session_key)


def issue_ticket(principal: Principal, ride_id: str | None = None) -> tuple[str, datetime]:
    """A single-use key for one socket of this user and when it expires; only its digest is stored.

    It lives `ticket_ttl_s` by the database's clock. With `ride_id` it opens that ride alone.
    """
    ticket = secrets.token_urlsafe(32)
    credential = f"{_SESSION_MARK}{principal.session_key}" if principal.session_key else principal.token_digest
    made = rows(
        "people/sql/issue_ticket",
        {
            "digest": _digest(ticket),
            "user_id": principal.user_id,
            "token_digest": credential,
            "ride_id": ride_id,
            "ttl_s": knobs().ticket_ttl_s,
        },
    )
    return ticket, made[0].expires_at


def redeem_ticket(ticket: str) -> Principal | None:
    """Who a ticket was issued to, once: of two who redeem it, one is given the principal and the other None.

    None also when it expired, or when the login it was asked with has ended since.
    """
    if not _is_plain(ticket):
        return None
    used = rows("people/sql/redeem_ticket", {"digest": _digest(ticket)})
    if not used:
        return None
    row = used[0]
    user = _users([row.user_id]).get(str(row.user_id))
    if user is None:
        return None
    by_session = row.token_digest.startswith(_SESSION_MARK)
    principal = Principal(
        row.user_id,
        user.display_name,
        token_digest="" if by_session else row.token_digest,
        session_key=row.token_digest.removeprefix(_SESSION_MARK) if by_session else "",
        ride_id=row.ride_id,
    )
    return principal if still_valid([principal]) else None


def holds(principal: Principal) -> bool:
    """Whether this one still holds, in one statement for the usual token: asked before every command of a socket."""
    if principal.token_digest and not principal.session_key:
        asked = {"digest": principal.token_digest, "user_id": principal.user_id}
        return rows("people/sql/token_holds", asked)[0].holds
    return bool(still_valid([principal]))


def still_valid(principals: Iterable[Principal]) -> set[Principal]:
    """Which of them hold now: user active, token or session in force. Guests always do. Three queries at most."""
    asked = set(principals)
    users = _users([p.user_id for p in asked])
    digests = {p.token_digest for p in asked if p.token_digest}
    tokens = set(_tokens_in_force().filter(digest__in=digests).values_list("digest", flat=True)) if digests else set()
    sessions = _sessions({p.session_key for p in asked if p.session_key})
    return {p for p in asked if p.is_guest or _holds(p, users.get(str(p.user_id)), tokens, sessions)}


def _holds(principal: Principal, user: User | None, tokens: set[str], sessions: dict[str, Mapping[str, Any]]) -> bool:
    if user is None or (principal.token_digest and principal.token_digest not in tokens):
        return False
    return not principal.session_key or _session_is_of(sessions.get(principal.session_key, {}), user)


def _tokens_in_force() -> Any:
    return get_token_model().objects.filter(Q(expiry__isnull=True) | Q(expiry__gt=Now()))


def _users(ids: Iterable[Any]) -> dict[str, User]:
    """The active users among the ids, by their id as text (as sessions hold it)."""
    wanted = {int(i) for i in ids if i is not None and str(i).isdecimal()}
    return {str(u.pk): u for u in User.objects.filter(pk__in=wanted, is_active=True)} if wanted else {}


def _sessions(keys: set[str]) -> dict[str, Mapping[str, Any]]:
    """What the sessions in force hold, by their key."""
    rows_in_force = Session.objects.filter(session_key__in=keys, expire_date__gt=Now()) if keys else []
    return {row.session_key: row.get_decoded() for row in rows_in_force}


def _session_is_of(session: Any, user: User) -> bool:
    """Whether the session belongs to the user as they are now; the hash changes with the password."""
    stored = session.get(HASH_SESSION_KEY, "")
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    same_user = str(session.get(SESSION_KEY)) == str(user.pk)
    return same_user and any(constant_time_compare(stored, h) for h in hashes)


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()


def _is_plain(text: str) -> bool:
    """Whether it can be a credential at all: short, printable ASCII; so nothing odd reaches the database."""
    return 0 < len(text) <= MAX_CREDENTIAL_LENGTH and text.isascii() and text.isprintable()
