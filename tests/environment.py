"""Pytest plugin: a private PostgreSQL with PostGIS, and a database of its own for every process of the run.

Loaded before Django (pyproject.toml), because the settings need DATABASE_URL. The migrated database is made once per
state of the migrations and kept as a template; each xdist worker gets a copy of it in well under a second. Tests
connect as careconnect_app, the role of the application, which owns nothing.

With CARETEST_REMOVE_WALL=trigger:booking_guard (a key of tests/walls.py) the copy lacks that wall.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

ROOT = Path(__file__).resolve().parent.parent
CLUSTER = ROOT / "var" / "test-postgres"
_NOT_OURS = {"REDIS_URL", "WEB_CONCURRENCY", "DATABASE_OWNER_URL", "OSRM_URL", "VALHALLA_URL"}
SECRET_KEY = "tests-only-" + "0123456789abcdef" * 4


def on_database(url: str, name: str) -> str:
    """The same server and role, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def libpq(url: str) -> str:
    """A URL as psycopg and psql take it."""
    return url.replace("postgis://", "postgresql://", 1)


def connection_urls(cluster: Path) -> dict[str, str]:
    """What bin/cluster wrote about a running cluster."""
    lines = (cluster / "connection.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def _is_worker() -> bool:
    return "PYTEST_XDIST_WORKER" in os.environ


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Set the environment that config/settings.py reads."""
    _start()
    return (yield)


def _start() -> None:
    for name in list(os.environ):
        if name.startswith(("CARECONNECT_", "GEOCODER")) or name in _NOT_OURS:
            del os.environ[name]
    os.environ |= {
        "ENV_FILE": "",
        "CARECONNECT_ENV": "demo",
        "DJANGO_SECRET_KEY": SECRET_KEY,
        "DB_POOL": "no",
        "LOG_LEVEL": "INFO",
    }
    if not _is_worker():
        start_cluster()
    urls = connection_urls(CLUSTER)
    # Not a session in the database that is about to be copied: that would be refused.
    os.environ["TEST_ADMIN_URL"] = on_database(urls["DATABASE_ADMIN_URL"], "postgres")
    name = f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{_run_id()}"
    os.environ["DATABASE_URL"] = on_database(urls["DATABASE_URL"], name)
    with psycopg.connect(libpq(os.environ["TEST_ADMIN_URL"]), autocommit=True) as admin:
        # One process makes the template, the others wait for it here.
        admin.execute("SELECT pg_advisory_lock(867)")
        template = _template(admin, urls)
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        grant_as_bootstrap_does(admin, name)
    if wall := os.environ.get("CARETEST_REMOVE_WALL"):
        from tests.walls import remove

        remove(wall, libpq(on_database(os.environ["TEST_ADMIN_URL"], name)))


def grant_as_bootstrap_does(admin: "psycopg.Connection", name: str) -> None:
    """A copy of a database has not the rights of the one it is made from."""
    admin.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
    admin.execute(f'GRANT CONNECT ON DATABASE "{name}" TO careconnect_app, careconnect_analyst, careconnect_operations')


def start_cluster() -> None:
    """Start the cluster unless it runs; `stop_cluster` knows then that it is ours to stop."""
    if _cluster("status").returncode != 0:
        if _cluster("start", "--fast").returncode != 0:
            sys.exit("The tests need a PostgreSQL with PostGIS: `make test` sets it up.")
        os.environ["CARETEST_STARTED_CLUSTER"] = "yes"


def stop_cluster(admin: "psycopg.Connection") -> None:
    """Stop the cluster when we started it and nobody else uses it."""
    others = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'test\\_%'").fetchone()
    if others == (0,) and os.environ.pop("CARETEST_STARTED_CLUSTER", ""):
        _cluster("stop")


def drop_databases(admin: "psycopg.Connection", pattern: str) -> None:
    """Drop the databases named like this (in SQL's sense), whoever is connected to them."""
    for (name,) in admin.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [pattern]).fetchall():
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _cluster(verb: str, *options: str) -> "subprocess.CompletedProcess[bytes]":
    quiet = subprocess.DEVNULL if verb == "status" else 2
    return subprocess.run(
        [sys.executable, ROOT / "bin" / "cluster", verb, CLUSTER, *options], check=False, stdout=quiet, stderr=quiet
    )


def _run_id() -> str:
    return os.environ.setdefault("CARETEST_RUN", str(os.getpid()))


def _template(admin: "psycopg.Connection", urls: dict[str, str]) -> str:
    """The name of a migrated, never connected database; made when the migrations changed."""
    digest = hashlib.sha256()
    sources = [*ROOT.glob("mobility/migrations/*.py"), *ROOT.glob("mobility/**/*.sql"), ROOT / "requirements.txt"]
    for source in sorted(sources):
        digest.update(source.read_bytes())
    name = f"template_{digest.hexdigest()[:16]}"
    if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
        return name
    for (old,) in admin.execute("SELECT datname FROM pg_database WHERE datname LIKE 'template\\_%'").fetchall():
        admin.execute(f'DROP DATABASE "{old}"')
    building = f"{name}_building"
    admin.execute(f'CREATE DATABASE "{building}" TEMPLATE careconnect OWNER careconnect_owner')
    owner = on_database(urls["DATABASE_OWNER_URL"], building)
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--database", "owner", "-v", "0"],
        cwd=ROOT, check=True,
        env=os.environ | {"DATABASE_URL": on_database(urls["DATABASE_URL"], building), "DATABASE_OWNER_URL": owner},
    )  # fmt: skip
    admin.execute(f'ALTER DATABASE "{building}" RENAME TO "{name}"')
    return name


def pytest_unconfigure() -> None:
    """Drop the databases of this run; stop the cluster when this run started it and nobody else uses it."""
    if _is_worker() or "TEST_ADMIN_URL" not in os.environ:
        return
    with psycopg.connect(libpq(os.environ["TEST_ADMIN_URL"]), autocommit=True) as admin:
        drop_databases(admin, f"test\\_%\\_{_run_id()}")
        stop_cluster(admin)
