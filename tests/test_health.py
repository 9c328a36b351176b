"""Health, the schema, and the pages around the API."""

import re

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import OperationalError
from django.test import Client
from redis.exceptions import ConnectionError as RedisDown


def test_the_process_lives_and_asks_nobody(django_assert_num_queries, db):
    with django_assert_num_queries(0):
        response = Client().get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert "no-store" in response["Cache-Control"]


def test_ready_means_database_and_migrations(db):
    response = Client().get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"status": "ready", "checks": {"database": "ok", "migrations": "ok"}}
    assert "no-store" in response["Cache-Control"]


def test_without_its_database_it_is_not_ready_and_tells_no_secret(monkeypatch):
    def down(*_args, **_options):
        raise OperationalError("connection to postgis://user:secret@10.0.0.1 failed")

    monkeypatch.setattr("mobility.health.connection.cursor", down)
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["database"] == "does not answer"
    assert b"secret" not in response.content
    assert b"10.0.0.1" not in response.content


def test_with_a_migration_missing_it_is_not_ready(db, monkeypatch):
    monkeypatch.setattr("mobility.health.MigrationExecutor.migration_plan", lambda *_: [("x", False)])
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["migrations"].startswith("1 not applied")


def test_without_its_redis_it_is_not_ready(db, settings, monkeypatch):
    settings.REDIS_URL = "redis://:secret@10.0.0.1"

    def down(*_args, **_options):
        raise RedisDown("10.0.0.1")

    monkeypatch.setattr("mobility.health.cache.get", down)
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["redis"] == "does not answer"
    assert b"10.0.0.1" not in response.content


def test_health_is_only_read():
    assert Client().post("/healthz").status_code == 405


def test_the_schema_is_valid_and_without_a_warning(tmp_path):
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "schema.yaml"))


def test_the_schema_describes_each_path_with_its_refusals(tmp_path):
    import yaml

    call_command("spectacular", file=str(tmp_path / "schema.yaml"))
    schema = yaml.safe_load((tmp_path / "schema.yaml").read_text())
    assert set(schema["paths"]) == {
        "/api/v1/auth/login/", "/api/v1/auth/logout/", "/api/v1/auth/register/", "/api/v1/auth/ws-ticket/",
        "/api/v1/bookings/", "/api/v1/bookings/{id}/", "/api/v1/bookings/{id}/assign/",
        "/api/v1/bookings/{id}/cancel/", "/api/v1/bookings/{id}/complete/", "/api/v1/bookings/{id}/explain/",
        "/api/v1/bookings/{id}/track/",
        "/api/v1/drivers/", "/api/v1/drivers/{id}/", "/api/v1/drivers/{id}/history/",
        "/api/v1/drivers/me/locations/", "/api/v1/locations/", "/api/v1/me/", "/api/v1/track/",
        "/tiles/{layer}.json", "/tiles/{layer}/{z}/{x}/{y}.mvt",
        "/api/v1/demand/", "/api/v1/geocode/", "/api/v1/geocode/reverse/", "/api/v1/service-areas/",
    }  # fmt: skip
    for path in schema["paths"].values():
        for operation in path.values():
            refusals = [r for status, r in operation["responses"].items() if status >= "400"]
            assert refusals
            assert all("application/problem+json" in r["content"] for r in refusals)
    drivers = schema["paths"]["/api/v1/drivers/"]["get"]
    assert "application/geo+json" in drivers["responses"]["200"]["content"]
    assert {p["name"] for p in drivers["parameters"]} == {
        "bbox", "near", "radius_m", "status", "datetime", "fields", "limit", "cursor", "export",
    }  # fmt: skip


def test_the_schema_says_who_may_ask_and_shows_an_example_of_everything(tmp_path):
    import yaml

    call_command("spectacular", file=str(tmp_path / "schema.yaml"))
    for path, operations in yaml.safe_load((tmp_path / "schema.yaml").read_text())["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
            assert operation["description"], path
            assert operation.get("security") or path in {
                "/api/v1/auth/login/", "/api/v1/auth/register/", "/api/v1/track/",
            }, path  # fmt: skip
            assert all(p.get("description") for p in operation.get("parameters", []) if p["in"] != "path"), path
            bodies = [operation["requestBody"]] if "requestBody" in operation else []
            for body in (*bodies, *operation["responses"].values()):
                for kind, content in body.get("content", {}).items():
                    assert content.get("examples") or "vector-tile" in kind, (path, kind)


@pytest.mark.parametrize(
    "path",
    ["/", "/api/v1/problems/", "/api/v1/docs/", "/ogc/?f=html", "/ogc/conformance?f=html", "/ogc/api?f=html"],
)
def test_pages_load_nothing_from_elsewhere_and_hold_no_script(path):
    page = Client().get(path).content.decode()
    assert not re.findall(r"<script(?![^>]*\bsrc=)", page)
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page)
    assert not re.findall(r"\son\w+=", page)


def test_the_landing_page_says_how_to_open_a_ride():
    page = Client().get("/").content.decode()
    assert "CareConnect Mobility" in page
    assert "ws://testserver/ws/ride/12345/" in page
    for path in ("/api/v1/docs/", "/admin/", "/ogc/", "/healthz"):
        assert f'href="{path}"' in page
    assert "wss://testserver/ws/ride/12345/" in Client().get("/", secure=True).content.decode()


def test_the_schema_and_docs_are_served():
    assert Client().get("/api/v1/schema/").status_code == 200
    assert Client().get("/api/v1/docs/").status_code == 200
    assert django_settings.SPECTACULAR_SETTINGS["SWAGGER_UI_DIST"] == "SIDECAR"
