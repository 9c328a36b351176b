"""Keys for machines that tell positions, a fleet's gateway or one phone of one driver. They open nothing else."""

import secrets
import time
from typing import Any

from django.db.models.functions import Now
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from mobility.drivers.models import Driver
from mobility.locations.models import LocationKey
from mobility.people.keys import MAX_KEY_LENGTH, digest_of, key_sent

# A device tells every few seconds: so long its key is not looked up again, and so long a revoked one may still write.
REMEMBERED_S, REMEMBERED_AT_MOST = 10.0, 10_000


def issue_key(name: str, driver: Driver | None = None) -> tuple[LocationKey, str]:
    """A new key, and its text, which is told this once: a device's for one driver, without one a fleet's."""
    text = secrets.token_urlsafe(24)
    return LocationKey.objects.create(name=name, driver=driver, digest=digest_of(text)), text


def revoke_key(key_id: int) -> bool:
    """End a key; whether there was one in force."""
    return bool(LocationKey.objects.filter(pk=key_id, revoked_at__isnull=True).update(revoked_at=Now()))


def driver_of_device(text: str) -> int | None:
    """The driver whom a device's key tracks; None for any other text."""
    now, digest = time.monotonic(), digest_of(text[:MAX_KEY_LENGTH])
    known = _remembered.get(digest)
    if known is None or known[1] < now:
        if len(_remembered) >= REMEMBERED_AT_MOST:
            _remembered.clear()
        in_force = LocationKey.objects.filter(digest=digest, revoked_at__isnull=True)
        known = in_force.values_list("driver_id", flat=True).first(), now + REMEMBERED_S
        _remembered[digest] = known
    return known[0]


_remembered: dict[str, tuple[int | None, float]] = {}


class FleetKeyAuthentication(authentication.BaseAuthentication):
    """`Authorization: Key <key>` with a fleet's key."""

    def authenticate(self, request: Request) -> tuple[None, LocationKey] | None:
        """No user, and the key; None when there is no such header."""
        text = key_sent(request)
        if text is None:
            return None
        key = LocationKey.objects.filter(digest=digest_of(text), revoked_at__isnull=True, driver__isnull=True).first()
        if key is None:
            raise AuthenticationFailed("The key is unknown or revoked, or not a fleet's.")
        return None, key

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        """Makes a missing key 401 and not 403."""
        return "Key"


class HasFleetKey(BasePermission):
    """Whoever has a fleet's key."""

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002
        """Whether this request may go on."""
        return isinstance(request.auth, LocationKey)


class FleetKeyScheme(OpenApiAuthenticationExtension):
    """How the schema describes the key."""

    target_class = "mobility.locations.keys.FleetKeyAuthentication"
    name = "fleet_key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:  # noqa: ARG002
        """An OpenAPI security scheme."""
        return {
            "type": "apiKey", "in": "header", "name": "Authorization",
            "description": "`Key <key>` with a key that `manage.py location_key --fleet` made.",
        }  # fmt: skip
