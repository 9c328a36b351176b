"""Whether the process lives, and whether it can do its work."""

import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """200 while the process answers at all; asks nobody else."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    """200 when rides can be served, else 503; `checks` says for each part `ok` or what is wrong."""
    checks = {"database": _database()}
    checks["migrations"] = _migrations() if checks["database"] == "ok" else "unknown: the database does not answer"
    if settings.REDIS_URL:
        checks["redis"] = _redis()
    ready = all(result == "ok" for result in checks.values())
    body = {"status": "ready" if ready else "not ready", "checks": checks}
    return JsonResponse(body, status=200 if ready else 503)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError) as error:
        # The message may hold the address and the user: to the log only its kind.
        log.warning("not_ready", part="database", error=type(error).__name__)
        return "does not answer"
    return "ok"


def _migrations() -> str:
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except (DatabaseError, InterfaceError) as error:
        log.warning("not_ready", part="migrations", error=type(error).__name__)
        return "cannot be read"
    if missing:
        return f"{len(missing)} not applied: run `manage.py migrate --database owner`"
    return "ok"


def _redis() -> str:
    try:
        cache.get("readyz")
    except (RedisError, OSError) as error:
        log.warning("not_ready", part="redis", error=type(error).__name__)
        return "does not answer"
    return "ok"
