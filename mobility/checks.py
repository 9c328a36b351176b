"""System checks: configurations that would run and be wrong."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections

from geo.coordinates import bounds
from geo.geocoding.geocoder import Misconfigured
from mobility.locations.ingest import WRITERS
from mobility.places.backend import geocoder

REQUESTS = 2


@register()
def one_process_without_redis(**_: Any) -> list[CheckMessage]:
    """The in-memory channel layer reaches its own process only."""
    if settings.WEB_CONCURRENCY > 1 and not settings.REDIS_URL:
        return [
            Error(
                f"WEB_CONCURRENCY={settings.WEB_CONCURRENCY} without REDIS_URL: sockets in different processes would "
                "not hear of each other.",
                hint="Set REDIS_URL, or WEB_CONCURRENCY=1.",
                id="mobility.E001",
            )
        ]
    return []


@register()
def somebody_dispatches(**_: Any) -> list[CheckMessage]:
    """Without Redis a dispatcher elsewhere could not reach this server's sockets, so the server must be its own."""
    if not settings.MOBILITY.dispatcher and not settings.REDIS_URL:
        return [
            Error(
                "CARECONNECT_DISPATCHER=no without REDIS_URL: no other process could tell this server's sockets what "
                "became of their rides.",
                hint="Set REDIS_URL and run `manage.py dispatcher`, or leave CARECONNECT_DISPATCHER on.",
                id="mobility.E002",
            )
        ]
    return []


@register()
def ranking_has_an_engine(**_: Any) -> list[CheckMessage]:
    """Without a routing engine there are no travel times to go by."""
    if settings.MOBILITY.ranking == "eta" and not (settings.OSRM_URL or settings.VALHALLA_URL):
        return [
            Warning(
                "CARECONNECT_RANKING=eta without OSRM_URL or VALHALLA_URL: drivers are asked by distance.",
                hint="Set one of them: see docs/routing.md.",
                id="mobility.W002",
            )
        ]
    return []


@register()
def geocoder_can_be(**_: Any) -> list[CheckMessage]:
    """A geocoder that geopy does not have, or with options it does not take, would answer nobody."""
    if not settings.GEOCODER:
        return []
    try:
        geocoder()
        if settings.GEOCODER_BOUNDS:
            bounds(settings.GEOCODER_BOUNDS)
    except (Misconfigured, ValueError) as wrong:
        return [
            Error(
                f"GEOCODER={settings.GEOCODER} cannot be used: {wrong}", hint="See docs/geocoding.md.",
                id="mobility.E003",
            )
        ]  # fmt: skip
    return []


@register()
def pool_has_connections_for_all(**_: Any) -> list[CheckMessage]:
    """With fewer than its threads use at the same time, one waits for another."""
    workers, exports = settings.MOBILITY.socket_db_workers, settings.MOBILITY.exports_at_once
    wanted = workers + WRITERS + exports + REQUESTS
    if wanted <= settings.DB_POOL_MAX:
        return []
    return [
        Warning(
            f"DB_POOL_MAX={settings.DB_POOL_MAX} is less than the {wanted} connections that a server may use at the"
            f" same time: {workers} for sockets, {WRITERS} for positions, {exports} for exports and {REQUESTS} for"
            " other requests.",
            hint="Set DB_POOL_MAX higher, or CARECONNECT_SOCKET_DB_WORKERS or CARECONNECT_EXPORTS_AT_ONCE lower.",
            id="mobility.W003",
        )
    ]


@register(Tags.database)
def application_role_owns_nothing(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """The role the service connects as must not be able to change or empty its tables."""
    if "default" not in (databases or ()):
        return []
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT current_user FROM pg_class WHERE relname = 'mobility_booking'"
            " AND pg_has_role(current_user, relowner, 'USAGE')"
        )
        owner = cursor.fetchone()
    if owner is None:
        return []
    return [
        Warning(
            f"The service connects as {owner[0]}, which owns its tables and could change or delete anything.",
            hint="Connect as careconnect_app and migrate with DATABASE_OWNER_URL: see docs/configuration.md.",
            id="mobility.W001",
        )
    ]
