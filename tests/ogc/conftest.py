"""Fixtures for OGC API: who may look, and a client of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from mobility.people.keys import issue_api_key
from mobility.people.models import Scope
from tests.layers.conftest import ride
from tests.rest import api, empty_cache, quick_hashes, set_knobs, token_of

__all__ = ["api", "empty_cache", "quick_hashes", "ride", "set_knobs"]


@pytest.fixture
def operator(make_user):
    return make_user(roles=["operator"])


@pytest.fixture
def ask(api, operator) -> Callable[..., Any]:
    """ask(path, key=[scope, ...], **headers): the answer of /ogc/ to an operator, or to a new key with these scopes."""
    token = token_of(operator)

    def get(path: str = "", *, key: list[Scope] | None = None, method: str = "GET", **headers: str) -> Any:
        credential = f"Token {token}" if key is None else f"Key {issue_api_key('gis', key)[1]}"
        return api.client.generic(method, f"/ogc/{path}", headers={"Authorization": credential} | headers)

    return get


@pytest.fixture
def read(ask) -> Callable[..., Any]:
    """read(path, ...): the JSON of an answer like `ask`'s, which must be 200."""

    def get(path: str = "", **how: Any) -> Any:
        answer = ask(path, **how)
        assert answer.status_code == 200, answer.content
        return json.loads(answer.content)

    return get


def links(document: dict[str, Any], rel: str) -> list[dict[str, str]]:
    """The links of a page with this relation."""
    return [link for link in document["links"] if link["rel"] == rel]
