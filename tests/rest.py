"""Fixtures for tests that speak HTTP to the views, without a server."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from knox.models import AuthToken

from mobility.models import User

PASSWORD = "a long enough pass"


class Api:
    """Sends JSON; `token` or `user` says who asks."""

    def __init__(self) -> None:
        self.client = Client(raise_request_exception=False)

    def __call__(self, method: str, path: str, body: Any = None, *, user: User | None = None, **options: Any) -> Any:
        """The response. `body` is sent as JSON, or as it is when it is text or bytes."""
        headers = options.pop("headers", {})
        if user is not None:
            headers = headers | {"Authorization": f"Token {token_of(user)}"}
        data = body if isinstance(body, str | bytes) else b"" if body is None else json.dumps(body)
        return self.client.generic(
            method, f"/api/v1/{path}", data, content_type="application/json", headers=headers, **options
        )

    def get(self, path: str, **options: Any) -> Any:
        """GET."""
        return self("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        """POST."""
        return self("POST", path, body, **options)


def token_of(user: User) -> str:
    """A fresh login token."""
    return str(AuthToken.objects.create(user=user)[1])


def problem(response: Any) -> tuple[int, str, str | None]:
    """Status, code and field of a refusal, which must be a well-formed problem."""
    body = response.json()
    assert response["Content-Type"] == "application/problem+json", response.content
    assert response["Cache-Control"] == "no-store"
    assert {"type", "title", "status", "detail", "code"} <= set(body)
    assert body["status"] == response.status_code
    return response.status_code, body["code"], body.get("field")


@pytest.fixture
def api() -> Api:
    """A client of the REST API."""
    return Api()


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    """No counts left over from another test."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def quick_hashes(settings: Any) -> None:
    """Passwords hashed in no time: hashing is not what these tests are about."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def set_knobs(settings: Any) -> Callable[..., None]:
    """set_knobs(name=value): other product settings for this test."""
    import dataclasses

    def change(**values: Any) -> None:
        settings.MOBILITY = dataclasses.replace(settings.MOBILITY, **values)

    return change


def as_instants(value: Any) -> Any:
    """The same with times as times: how many digits of a second are written does not matter."""
    if isinstance(value, dict):
        return {k: as_instants(v) for k, v in value.items()}
    if isinstance(value, list):
        return [as_instants(v) for v in value]
    if isinstance(value, str) and value.endswith("Z") and value[:4].isdecimal():
        return datetime.fromisoformat(value)
    return value
