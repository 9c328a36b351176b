"""Keys of dashboards and scripts: `Authorization: Key <key>`. A key reads what its scopes name; it is nobody.

A view takes keys where it says `authentication_classes = WITH_KEYS` and a permission of `mobility.people.permissions`
that names a scope. Everywhere else a key is worth nothing.
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import structlog
from django.contrib.auth.models import AnonymousUser
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from mobility.conf import knobs
from mobility.errors import Refusal
from mobility.people.authentication import SessionAuthentication, TokenAuthentication
from mobility.people.models import API_KEY_DAYS, ApiKey, User
from mobility.people.throttle import Limit, retry_after_s, spend

log = structlog.get_logger(__name__)
MAX_KEY_LENGTH = 64
TEXT_BYTES, PREFIX_LENGTH = 32, 8
MINUTE_S = 60.0
# How exactly `last_used_at` is kept: one write a minute, however often a dashboard asks.
USED_WITHIN = timedelta(minutes=1)


def digest_of(text: str) -> str:
    """What is stored of a key's text. The text has 24 random bytes at least, so a plain hash cannot be searched."""
    return hashlib.sha256(text.encode()).hexdigest()


def key_sent(request: Any) -> str | None:
    """The text in `Authorization: Key <text>`; None without such a header, "" where it cannot be a key."""
    words = request.META.get("HTTP_AUTHORIZATION", "").split()
    if not words or words[0].lower() != "key":
        return None
    return words[1] if len(words) == 2 and len(words[1]) <= MAX_KEY_LENGTH else ""


def key_in_basic(request: Any) -> str | None:
    """The password in `Authorization: Basic`, whatever the user name; None without such a header, "" where it cannot be
    a key."""
    words = request.META.get("HTTP_AUTHORIZATION", "")[: 8 * MAX_KEY_LENGTH].split()
    if not words or words[0].lower() != "basic":
        return None
    try:
        text = base64.b64decode(words[1], validate=True).decode("ascii") if len(words) == 2 else ""
    except (ValueError, binascii.Error):
        return ""
    key = text.partition(":")[2]
    return key if len(key) <= MAX_KEY_LENGTH else ""


def issue_api_key(
    name: str, scopes: Iterable[str], *, days: int = API_KEY_DAYS, created_by: User | None = None
) -> tuple[ApiKey, str]:
    """A new key, and its text, which is told this once. The database refuses unknown scopes and a wrong end."""
    text = secrets.token_urlsafe(TEXT_BYTES)
    key = ApiKey.objects.create(
        name=name,
        digest=digest_of(text),
        prefix=text[:PREFIX_LENGTH],
        scopes=sorted(scopes),
        created_by=created_by,
        expires_at=Now() + timedelta(days=days),
    )
    key.refresh_from_db()
    log.info("api_key_issued", key_id=key.pk, scopes=key.scopes, days=days)
    return key, text


def revoke_api_key(key_id: int) -> bool:
    """End a key; whether there was one that had not been ended. The next request with it is refused."""
    ended = bool(ApiKey.objects.filter(pk=key_id, revoked_at__isnull=True).update(revoked_at=Now()))
    if ended:
        log.info("api_key_revoked", key_id=key_id)
    return ended


def api_key_in_force(text: str) -> ApiKey | None:
    """The key with this text, unless it was revoked or has expired.

    Asked of the database each time, so that revoking holds at once. It is found by its digest: how long the search
    takes tells of the digest, from which nobody comes to the text.
    """
    found = ApiKey.objects.filter(digest=digest_of(text)).annotate(
        in_force=_answer(Q(revoked_at__isnull=True, expires_at__gt=Now())),
        used_lately=_answer(Q(last_used_at__isnull=False, last_used_at__gt=Now() - USED_WITHIN)),
    )
    key = found.first()
    if key is None or not key.in_force:
        log.info("api_key_refused", key_id=None if key is None else key.pk)
        return None
    if not key.used_lately:
        _note_use(key.pk)
    return key


def _answer(condition: Q) -> ExpressionWrapper:
    return ExpressionWrapper(condition, output_field=BooleanField())


def _note_use(key_id: int) -> None:
    """Of several who use a key at the same moment the row lets one write."""
    before = Q(last_used_at__isnull=True) | Q(last_used_at__lte=Now() - USED_WITHIN)
    ApiKey.objects.filter(before, pk=key_id).update(last_used_at=Now())


class ApiKeyAuthentication(authentication.BaseAuthentication):
    """`Authorization: Key <key>` with a key of a dashboard: `request.auth` is the key, and there is no user."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ApiKey] | None:
        """No user, and the key; None when there is no such header. Unknown, expired and revoked are refused alike."""
        text = self.sent(request)
        if text is None:
            return None
        key = api_key_in_force(text)
        if key is None:
            raise AuthenticationFailed("The key is unknown, expired or revoked, or not for this.")
        _count_request(key)
        return AnonymousUser(), key

    def sent(self, request: Request) -> str | None:
        """The text of the key that was sent; None where there is none."""
        return key_sent(request)

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        """Makes a missing key 401 and not 403."""
        return "Key"


def _count_request(key: ApiKey) -> None:
    limit = Limit("api-key", str(key.pk), knobs().key_requests_per_minute, MINUTE_S)
    if spend([limit]) is not None:
        raise Refusal("too_many_requests", retry_after_s=retry_after_s(limit))


class BasicKeyAuthentication(ApiKeyAuthentication):
    """The same key as the password of HTTP Basic, for programs that know no other way: GIS clients. A person's password
    is worth nothing here (docs/decisions/0026-ogc-api.md)."""

    def sent(self, request: Request) -> str | None:
        """The text of the key that was sent; None where there is none."""
        return key_in_basic(request)

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        """The challenge: some programs send no password before they have seen one."""
        return 'Basic realm="CareConnect Mobility", charset="UTF-8"'


# For views that people and keys may read. A header goes before the cookie: a bad key is never made good by a session.
WITH_KEYS = (TokenAuthentication, ApiKeyAuthentication, SessionAuthentication)
# The first one's challenge is told to those who sent nothing.
WITH_BASIC_KEYS = (BasicKeyAuthentication, *WITH_KEYS)


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """How the schema describes the key."""

    target_class = "mobility.people.keys.ApiKeyAuthentication"
    name = "api_key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:  # noqa: ARG002
        """An OpenAPI security scheme."""
        return {
            "type": "apiKey", "in": "header", "name": "Authorization",
            "description": "`Key <key>` with a key that an operator made in the admin or with `manage.py api_key`. "
            "It only reads, and only what its scopes name; a missing one is 403 and says which.",
        }  # fmt: skip
