"""All settings, driven by the environment. docs/configuration.md explains each variable.

Two environments: `production` (the default) and `demo` (CARECONNECT_ENV=demo), which `make run` uses for its private
database. What only the demo may do is decided here, once.
"""

import json
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from config.database import Connection
from config.logs import logging_config
from mobility.conf import ConfigurationMistake, read_knobs

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
# ENV_FILE names another file than .env, or none when empty.
if ENV_FILE := env.str("ENV_FILE", str(BASE_DIR / ".env")):
    environ.Env.read_env(ENV_FILE)

ENVIRONMENT = env.str("CARECONNECT_ENV", "production")
if ENVIRONMENT not in {"production", "demo"}:
    raise ImproperlyConfigured(f"CARECONNECT_ENV={ENVIRONMENT!r}: it is either production or demo")
DEMO = ENVIRONMENT == "demo"
DEBUG = False

# --- secrets -----------------------------------------------------------------------------------------------------
SECRET_KEY = env.str("DJANGO_SECRET_KEY", "")
if len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 5 or SECRET_KEY.startswith(("django-insecure", "change-me")):
    raise ImproperlyConfigured(
        "DJANGO_SECRET_KEY is missing, too short or a default. Set at least 50 random characters, for example from: "
        'python3 -c "import secrets; print(secrets.token_urlsafe(50))". For a demonstration, `make run` makes one.'
    )

# --- product knobs -----------------------------------------------------------------------------------------------
try:
    MOBILITY = read_knobs(os.environ, demo=DEMO)
except ConfigurationMistake as mistake:
    raise ImproperlyConfigured(str(mistake)) from None


def _engine_url(variable: str, text: str) -> str:
    """The address of a routing engine, empty for none."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if text and (not usable or parts.query or parts.fragment):
        raise ImproperlyConfigured(f"{variable} must be like http://localhost:5000, with http or https and no query")
    return text


# --- routing -----------------------------------------------------------------------------------------------------
OSRM_URL = _engine_url("OSRM_URL", env.str("OSRM_URL", ""))
VALHALLA_URL = _engine_url("VALHALLA_URL", env.str("VALHALLA_URL", ""))
if OSRM_URL and VALHALLA_URL:
    raise ImproperlyConfigured("OSRM_URL and VALHALLA_URL are both set: one engine says how long drives take")


# --- geocoding ---------------------------------------------------------------------------------------------------
def _geocoder_options(text: str) -> dict[str, Any]:
    try:
        options = json.loads(text or "{}")
    except ValueError:
        options = None
    if not isinstance(options, dict):
        raise ImproperlyConfigured('GEOCODER_OPTIONS must be a JSON object, for example {"api_key": "..."}')
    return options


def _positive(variable: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ImproperlyConfigured(f"{variable} must be a finite number above 0")
    return value


def _box(variable: str, text: str) -> str:
    from geo.coordinates import bounds  # needs GEOS, which asks whether there are settings: not before there is a need

    try:
        if text:
            bounds(text)
    except ValueError as wrong:
        raise ImproperlyConfigured(f"{variable}: {wrong}") from None
    return text


GEOCODER = env.str("GEOCODER", "").strip().lower()
GEOCODER_OPTIONS = _geocoder_options(env.str("GEOCODER_OPTIONS", ""))
GEOCODER_USER_AGENT = env.str("GEOCODER_USER_AGENT", "").strip()
GEOCODER_TIMEOUT_S = _positive("GEOCODER_TIMEOUT_S", env.str("GEOCODER_TIMEOUT_S", "5"))
GEOCODER_RATE_PER_S = _positive("GEOCODER_RATE_PER_S", env.str("GEOCODER_RATE_PER_S", "1"))
GEOCODER_WAIT_S = _positive("GEOCODER_WAIT_S", env.str("GEOCODER_WAIT_S", "3"))
GEOCODER_ATTRIBUTION = env.str("GEOCODER_ATTRIBUTION", "")
GEOCODER_BOUNDS = _box("GEOCODER_BOUNDS", env.str("GEOCODER_BOUNDS", "").strip())
if GEOCODER == "nominatim" and not GEOCODER_USER_AGENT:
    raise ImproperlyConfigured(
        "GEOCODER=nominatim needs GEOCODER_USER_AGENT: Nominatim wants to know who asks, for example "
        '"rides.example.org (ops@example.org)"'
    )

# --- hosts, proxy ------------------------------------------------------------------------------------------------
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEMO else [])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# Pages of these origins may open sockets, beside pages of our own host.
WEBSOCKET_ORIGINS = env.list("WEBSOCKET_ORIGINS", default=CSRF_TRUSTED_ORIGINS)


def _origin(text: str) -> str:
    """An origin just as browsers write it: they compare letter by letter, and a typo would only show there."""
    default_port = re.search(r"^http:.*:80$|^https:.*:443$", text)
    if default_port or not re.fullmatch(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9][a-z0-9.-]*)(:[1-9][0-9]{0,4})?", text):
        raise ImproperlyConfigured(
            f"CORS_ALLOWED_ORIGINS: {text!r} is no origin. Write it as browsers do, like https://maps.example.org or "
            "http://localhost:3000: scheme and host in lower case, the port unless it is the usual one, no slash at "
            "the end, no path, no *; several with commas between."
        )
    return text


# Pages of these origins may read the API and the tiles, with a token or a key in a header, never with our cookies.
CORS_ALLOWED_ORIGINS = [_origin(text.strip()) for text in env.list("CORS_ALLOWED_ORIGINS", default=[])]
# What machines ask for: the API, the tiles but not the page about them, and OGC API.
CORS_URLS_REGEX = r"^/(?:api/|tiles/.|ogc/)"
CORS_ALLOW_CREDENTIALS = False
CORS_ALLOW_METHODS = ["GET", "POST"]
CORS_ALLOW_HEADERS = ["accept", "authorization", "content-type", "if-none-match"]
CORS_EXPOSE_HEADERS = ["Content-Crs", "ETag", "Link", "Location", "Retry-After", "X-Truncated-At"]
CORS_PREFLIGHT_MAX_AGE = 600
BEHIND_TLS_PROXY = env.bool("BEHIND_TLS_PROXY", default=False)
if BEHIND_TLS_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.gis",
    "django.contrib.postgres",
    "channels",
    "rest_framework",
    "rest_framework_gis",
    "django_filters",
    "corsheaders",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "leaflet",
    "mobility",
]
MIDDLEWARE = [
    "config.transport.Cors",
    "config.transport.RefusePlainHttpForApi",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.transport.RefuseNul",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- database ----------------------------------------------------------------------------------------------------
if not env.str("DATABASE_URL", ""):
    raise ImproperlyConfigured(
        "DATABASE_URL is not set. `make run` starts a demonstration with a private database; `make manage CMD=...` "
        "runs a command there. For your own: DATABASE_URL=postgis://USER:PASSWORD@HOST:5432/NAME in the environment "
        "or .env."
    )
DB_STATEMENT_TIMEOUT_MS = env.int("DB_STATEMENT_TIMEOUT_MS", 3000)
DB_LOCK_TIMEOUT_MS = env.int("DB_LOCK_TIMEOUT_MS", 2000)
WEB_CONCURRENCY = env.int("WEB_CONCURRENCY", 1)


def _database(variable: str, **options: Any) -> dict[str, Any]:
    database: dict[str, Any] = dict(env.db_url(variable))
    database["ENGINE"] = "django.contrib.gis.db.backends.postgis"
    # With a pool CONN_MAX_AGE must be 0: Django refuses both, and persistent connections leak under ASGI.
    database |= {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True}
    database["OPTIONS"] = database.get("OPTIONS", {}) | options
    return database


DATABASES: dict[str, dict[str, Any]] = {
    "default": _database(
        "DATABASE_URL",
        options=(
            f"-c statement_timeout={DB_STATEMENT_TIMEOUT_MS} -c lock_timeout={DB_LOCK_TIMEOUT_MS}"
            " -c idle_in_transaction_session_timeout=10000 -c timezone=UTC"
            # Only our own few statements are prepared, and their plan never depends on the values: planning a spatial
            # query anew costs more than running it.
            " -c plan_cache_mode=force_generic_plan"
            # Short questions, many at a time: to start a second process or a compiler for one costs more than it gains.
            " -c max_parallel_workers_per_gather=0 -c jit=off"
        ),
        application_name="careconnect",
        # Not None, Django's default: with that psycopg prepares nothing, not even what asks for it. The ORM binds on
        # the client's side and is not prepared whatever stands here.
        prepare_threshold=1_000_000,
    )
}
DB_POOL_MAX = env.int("DB_POOL_MAX", 16)
# config/asgi.py asks for the pool. A management command is one connection and needs none.
if env.bool("DB_POOL", default=False):
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "connection_class": Connection,
        "min_size": env.int("DB_POOL_MIN", 4),
        "max_size": DB_POOL_MAX,
        "timeout": env.float("DB_POOL_TIMEOUT_S", 5.0),
        "max_lifetime": env.float("DB_POOL_MAX_LIFETIME_S", 3600.0),
    }
if env.str("DATABASE_OWNER_URL", ""):
    # The role that owns the tables: `manage.py migrate --database owner`. The server never needs it.
    DATABASES["owner"] = _database("DATABASE_OWNER_URL", application_name="careconnect-owner")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- channel layer, cache ----------------------------------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", "")
if REDIS_URL:
    # Pub/Sub, never channels_redis.core: that one drops idle sockets with redis-py 8 (docs/decisions/0004).
    CHANNEL_LAYERS: dict[str, Any] = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": 5.0, "socket_connect_timeout": 2.0}]},
        }
    }
    CACHES: dict[str, Any] = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            # The cache holds the counters of limits: a Redis that hangs must not hold up rides.
            "OPTIONS": {"socket_timeout": 0.3, "socket_connect_timeout": 0.3},
        }
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    # Room for the counters of limits: the default of 300 entries would forget them, and so forgive.
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "OPTIONS": {"MAX_ENTRIES": 100_000},
        }
    }

# --- people ------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "mobility.User"
AUTHENTICATION_BACKENDS = ["mobility.people.backends.UsernameOrPhoneBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
REST_KNOX = {
    "TOKEN_TTL": timedelta(hours=MOBILITY.token_ttl_hours),
    "AUTH_HEADER_PREFIX": "Token",
}

# --- REST --------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "mobility.people.authentication.TokenAuthentication",
        "mobility.people.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    # None: our views get the strict parser from mobility/rest.py, and a view that forgot takes no body at all.
    "DEFAULT_PARSER_CLASSES": [],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "mobility.errors_rest.problem_response",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "CareConnect Mobility",
    "DESCRIPTION": "Rides for people who need to get somewhere: accounts, drivers and rides. Rides themselves are "
    "asked for over the WebSocket at /ws/ride/<ride_id>/.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    # Swagger UI and Redoc from the sidecar package's static files: no CDN.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# --- pages -------------------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "var" / "static"
# The map library as npm installed it, under its own names: its modules import one another by them.
STATICFILES_DIRS = [("vendor/maplibre", BASE_DIR / "node_modules" / "maplibre-gl" / "dist")]
# Static files straight from the installed packages, so that no collectstatic run stands before the first start.
WHITENOISE_USE_FINDERS = True
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
WHITENOISE_AUTOREFRESH = False
MAP_TILES_URL = env.str("MAP_TILES_URL", "")
LEAFLET_CONFIG = {
    # No tiles unless the operator names a server: the map works offline, with a graticule of its own.
    "TILES": [("Map", MAP_TILES_URL, {"maxZoom": 19})] if MAP_TILES_URL else [],
    "DEFAULT_CENTER": (-26.2041, 28.0473),
    "DEFAULT_ZOOM": 11,
    "MIN_ZOOM": 2,
    "MAX_ZOOM": 19,
    "SCALE": "metric",
    "ATTRIBUTION_PREFIX": "",
    "RESET_VIEW": False,
}

# --- transport security ------------------------------------------------------------------------------------------
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
if not DEMO:
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
    SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", 31_536_000)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

# --- logs --------------------------------------------------------------------------------------------------------
LOGGING = logging_config(
    level=env.str("LOG_LEVEL", "INFO").upper(), json_lines=env.str("LOG_FORMAT", "text" if DEMO else "json") == "json"
)

# GDAL 3.6 is what Debian 12 has. The warning is about hostile WKT and PROJ strings: from users we take only numbers.
SILENCED_SYSTEM_CHECKS = ["gis.W001"]
