"""Every endpoint is in the table, and every role is answered at each as the table says: one test a cell."""

import json
from typing import Any

import pytest
from django.test import Client

from tests.permissions import urls
from tests.permissions.answers import named, wrong_members
from tests.permissions.table import NAME, REVIEW, ROLES, allowed, answer_of, differences, table, tried

HTTP: dict[str, str] = table()["http"]


def call(stage: Any, name: str, role: str, arguments: dict[str, Any], more: str = "", method: str | None = None) -> Any:
    """A method of an endpoint, the first if none is said, sent as this role."""
    methods, path = urls.split(name)
    method = method or methods[0]
    client = Client(raise_request_exception=False)
    address, headers = urls.path_of(path, arguments), stage.headers(role, HTTP[name])
    if path == "/tiles/" or path.startswith("/admin/"):
        if role in stage.people:  # pages know people by their session
            client.force_login(stage.people[role])
        headers = {}
    query = "&".join(filter(None, (stage.query(role, f"{method} {path}"), more)))
    body = b"" if method == "GET" else json.dumps(stage.body(f"{method} {path}")).encode()
    return client.generic(
        method, f"{address}?{query}" if query else address, body, content_type="application/json", headers=headers
    )


def is_refused(response: Any, role: str) -> bool:
    """Whether somebody was turned away at the door."""
    if response.status_code == 302:
        return "/admin/login/" in response["Location"]
    if response.headers.get("Content-Type", "").startswith("text/html"):
        return response.status_code in {403, 404}
    return response.status_code in ({401} if role == "anonymous" else {401, 403})


CELLS = [pytest.param(name, role, id=f"{name} as {role}") for name, text in HTTP.items() for role in tried(text)]


def test_every_endpoint_is_listed_and_there_is_no_other(on_stage):
    client = Client(raise_request_exception=False)
    found = {}
    for route in urls.routes():
        client.force_login(on_stage.people["superuser"])
        listed = next((name for name in HTTP if urls.split(name)[1] == route.path), None)
        try:
            methods = urls.methods_of(route, client, on_stage.own("superuser", route.path))
        except KeyError as missing:
            pytest.fail(f"{route.path}: say in tests/permissions/stage.py (ARGUMENTS) what goes into {missing}")
        # Several methods may stand in one line, or in a line each.
        for name in [urls.endpoint(methods, route.path)] if listed is None else _lines(methods, route.path):
            found[name] = HTTP.get(name, "own:people operators everybody ... who may?")
    wrong = differences("http", found, HTTP)
    assert not wrong, "\n".join(["", *wrong, "and, where it answers JSON, its fields to [answers]", REVIEW])


def _lines(methods: tuple[str, ...], path: str) -> list[str]:
    """The lines of the table for a path, with what is missing in one more."""
    lines = [name for name in HTTP if urls.split(name)[1] == path and set(urls.split(name)[0]) <= set(methods)]
    left = tuple(m for m in methods if m not in {m for name in lines for m in urls.split(name)[0]})
    return [*lines, urls.endpoint(left, path)] if left else lines


@pytest.mark.parametrize(("name", "role"), CELLS)
def test_each_role_is_answered_as_listed(on_stage, name, role):
    may = allowed(HTTP[name])
    path = urls.split(name)[1]
    response = call(on_stage, name, role, on_stage.own(role, path))
    if role not in may:
        assert is_refused(response, role), (
            f"{name}: {role} is answered {response.status_code}, and {NAME} does not name {role} there"
        )
        return
    assert response.status_code < 400, f"{name}: {role} may, says {NAME}: {response.status_code} {_text(response)}"
    assert not is_refused(response, role), f"{name}: {role} may, says {NAME}, and is sent to the login"
    if response.headers.get("Content-Type", "").split(";")[0] in {"application/json", "application/geo+json"}:
        wrong = wrong_members(answer_of(name), named(json.loads(_text(response))), role)
        assert not wrong, "\n".join(["", f"[answers.'{name}'] as {role}:", *wrong, REVIEW])


FURTHER = [
    pytest.param(name, role, method, id=f"{method} of {name} as {role}")
    for name, text in HTTP.items() for role in tried(text) if role not in allowed(text)
    for method in urls.split(name)[0][1:] if method not in {"HEAD", "OPTIONS"}
]  # fmt: skip


@pytest.mark.parametrize(("name", "role", "method"), FURTHER)
def test_who_is_refused_one_method_is_refused_the_others_of_its_line(on_stage, name, role, method):
    """Whatever they send with it: who may not is turned away before anything is read."""
    response = call(on_stage, name, role, on_stage.own(role, urls.split(name)[1]), method=method)
    assert is_refused(response, role), f"{method} of {name}: {role} is answered {response.status_code}"


def _text(response: Any) -> str:
    return (b"".join(response) if response.streaming else response.content).decode(errors="replace")


OWN = [
    pytest.param(name, role, id=f"{name} as {role}")
    for name, text in HTTP.items() for role, own_only in allowed(text).items() if own_only
    if "<" in name
]  # fmt: skip


@pytest.mark.parametrize(("name", "role"), OWN)
def test_what_is_somebody_elses_answers_like_what_does_not_exist(on_stage, name, role):
    path = urls.split(name)[1]
    theirs = call(on_stage, name, role, on_stage.others(path))
    absent = call(on_stage, name, role, on_stage.others(path) | {"pk": 2**40})
    assert theirs.status_code == absent.status_code == 404
    assert theirs.content == absent.content
    assert dict(theirs.headers) == dict(absent.headers)


@pytest.mark.parametrize("name", [name for name in HTTP if " /admin/" not in name])  # those do not look at the method
def test_no_other_method_is_answered(on_stage, name):
    path = urls.split(name)[1]
    client = Client(raise_request_exception=False)
    client.force_login(on_stage.people["superuser"])
    listed = {method for other in HTTP if urls.split(other)[1] == path for method in urls.split(other)[0]}
    address = urls.path_of(path, on_stage.own("superuser", path))
    answers = {m: client.generic(m, address).status_code for m in (*urls.METHODS, "TRACE") if m not in listed}
    assert {m: status for m, status in answers.items() if status not in {401, 405}} == {}


def test_no_personal_field_is_told_to_a_key_or_to_nobody():
    for name, text in HTTP.items():
        for fields in answer_of(name).values():
            for field in fields:
                told = set(allowed(text)) & (field.roles or set(ROLES))
                without_a_person = {r for r in told if r == "anonymous" or r.startswith("key:")} - {"key:geocode"}
                if field.personal and not name.startswith("POST /api/v1/auth/"):
                    assert not without_a_person, f"{name}: {field.name} is personal"
