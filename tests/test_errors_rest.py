"""Refusals and faults as problems (RFC 9457)."""

import json

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import Http404
from django.test import Client
from rest_framework import exceptions

from geo.params import ParameterError
from mobility.errors import ANSWERS, CONSTRAINTS, Refusal
from mobility.errors_rest import problem, problem_response
from tests.rest import Api

SECRET = "+27829876543"


def answer(error):
    """Status, body and headers of what the exception handler makes of it."""
    response = problem_response(error, {})
    assert response.content_type == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.status_code == response.data["status"]
    assert SECRET not in json.dumps(response.data)
    return response.status_code, response.data, response.headers


@pytest.mark.parametrize("code", sorted(ANSWERS))
def test_every_code_becomes_a_problem_with_its_sentence_and_status(code):
    status, body, _ = answer(Refusal(code))
    assert status == ANSWERS[code].http_status
    assert body == {
        "type": f"/api/v1/problems/#{code}", "title": ANSWERS[code].sentence, "status": status,
        "detail": ANSWERS[code].sentence, "code": code,
    }  # fmt: skip


def test_a_refusal_keeps_its_message_field_and_details():
    _, body, headers = answer(Refusal("live_ride_exists", "Already: 12345.", field="ride_id", ride_id="12345"))
    assert (body["detail"], body["field"], body["ride_id"]) == ("Already: 12345.", "ride_id", "12345")
    assert "Retry-After" not in headers


def test_a_refusal_for_a_while_says_how_long():
    assert answer(Refusal("too_many_tries", retry_after_s=12.2))[2]["Retry-After"] == "13"
    assert answer(Refusal("try_again"))[2]["Retry-After"] == "1"
    assert answer(exceptions.Throttled(wait=7))[2]["Retry-After"] == "7"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ParameterError("bbox", "is no box"), 400, "invalid_parameter"),
        (exceptions.ParseError("bad"), 400, "invalid_json"),
        (exceptions.NotAuthenticated(), 401, "unauthenticated"),
        (exceptions.AuthenticationFailed(), 401, "unauthenticated"),
        (exceptions.PermissionDenied(), 403, "forbidden"),
        (PermissionDenied(SECRET), 403, "forbidden"),
        (exceptions.NotFound(), 404, "not_found"),
        (Http404(SECRET), 404, "not_found"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (exceptions.NotAcceptable(), 406, "invalid_request"),
        (exceptions.UnsupportedMediaType("text/plain"), 415, "invalid_request"),
        (exceptions.Throttled(), 429, "too_many_tries"),
        (exceptions.ValidationError("odd"), 400, "invalid_request"),
        (exceptions.ValidationError([]), 400, "invalid_request"),
        (OperationalError(SECRET), 503, "unavailable"),
        (InterfaceError(SECRET), 503, "unavailable"),
        (IntegrityError(SECRET), 500, "internal_error"),
        (ValueError(SECRET), 500, "internal_error"),
        (RecursionError(), 500, "internal_error"),
    ],
)
def test_every_kind_of_exception_has_its_code(error, status, code):
    got, body, _ = answer(error)
    assert (got, body["code"]) == (status, code)


@pytest.mark.parametrize("constraint", sorted(CONSTRAINTS))
def test_what_the_database_forbids_is_told_in_business_words(constraint):
    class Forbidden(Exception):
        sqlstate = "23505"

        class diag:  # noqa: N801 (psycopg's name)
            constraint_name = constraint

    error = IntegrityError(SECRET)
    error.__cause__ = Forbidden(SECRET)
    status, body, _ = answer(error)
    assert (status, body["code"]) == (ANSWERS[CONSTRAINTS[constraint]].http_status, CONSTRAINTS[constraint])


def test_several_wrong_fields_are_all_told_and_the_first_is_named():
    error = exceptions.ValidationError(
        {
            "phone": [exceptions.ErrorDetail("missing", "required")],
            "name": {"first": [exceptions.ErrorDetail("odd", "invalid")]},
            "list": [{}, {"x": ["bad"]}],
            "non_field_errors": ["together wrong"],
        }
    )
    _, body, _ = answer(error)
    assert (body["code"], body["field"]) == ("missing_field", "phone")
    assert [(e["field"], e["code"]) for e in body["errors"]] == [
        ("phone", "missing_field"), ("name.first", "invalid_field"), ("list.x", "invalid_field"),
        ("", "invalid_request"),
    ]  # fmt: skip


def test_a_fault_is_logged_by_its_place_and_never_by_its_message(caplog, capsys):
    def broken():
        raise ValueError(SECRET)

    try:
        broken()
    except ValueError as error:
        _, body, _ = answer(error)
    assert body == problem("internal_error")
    logged = caplog.text + capsys.readouterr().out
    assert "request_failed" in logged
    assert "broken" in logged
    assert SECRET not in logged


BAD_JSON = {
    "nothing but a bracket": (b"{", 400, "invalid_json"),
    "not JSON": (b"username=x", 400, "invalid_json"),
    "NaN": (b'{"username": NaN}', 400, "invalid_json"),
    "Infinity": (b'{"username": -Infinity}', 400, "invalid_json"),
    "a number beyond all numbers": (b'{"username": 1e400}', 400, "invalid_json"),
    "a whole number of 100,000 digits": (b'{"username": ' + b"9" * 60_000 + b"}", 400, None),
    "not UTF-8": (b"\xff\xfe\x00", 400, "invalid_json"),
    "brackets in brackets": (b"[" * 50_000, 400, "too_deep"),
    "objects in objects": (b'{"a":' * 12 + b"1" + b"}" * 12, 400, "too_deep"),
    "a field twice": (b'{"username": "a", "username": "b"}', 400, "duplicate_field"),
    "a list": (b"[]", 400, "invalid_request"),
    "null": (b"null", 400, "invalid_request"),
    "NUL in text": (b'{"username": "a\\u0000b", "password": "x"}', 400, "invalid_field"),
    "half a surrogate pair": (b'{"username": "\\ud800", "password": "x"}', 400, "invalid_field"),
    "too much": (b'{"username": "' + b"x" * 70_000 + b'"}', 413, "invalid_request"),
}


@pytest.mark.django_db
@pytest.mark.parametrize("what", BAD_JSON)
def test_a_bad_body_is_the_senders_fault_and_never_ours(what):
    body, status, code = BAD_JSON[what]
    response = Api().post("auth/login/", body)
    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    assert code is None or response.json()["code"] == code


def test_unknown_paths_answer_in_json_under_api_and_as_a_page_elsewhere():
    client = Client()
    response = client.get("/api/v1/nothing/")
    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")
    assert response.json()["code"] == "unknown_path"
    assert client.get("/nothing/")["Content-Type"].startswith("text/html")


def test_a_foreign_host_is_refused_in_json_too():
    response = Client().get("/api/v1/me/", headers={"Host": "evil.example"})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")


def test_a_fault_outside_the_framework_is_json_under_api(monkeypatch):
    def broken(*_args, **_options):
        raise RuntimeError(SECRET)

    monkeypatch.setattr("mobility.pages.render", broken)
    client = Client(raise_request_exception=False)
    response = client.get("/api/v1/problems/")
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert SECRET not in response.content.decode()
    assert client.get("/")["Content-Type"].startswith("text/html")


def test_the_page_of_problems_explains_every_code():
    page = Client().get("/api/v1/problems/").content.decode()
    assert all(f'id="{code}"' in page for code in ANSWERS)
