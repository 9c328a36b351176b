"""Refusals and faults as REST answers: RFC 9457 `application/problem+json`, with the codes of mobility/errors.py."""

import math
import traceback
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from geo.params import ParameterError
from mobility.errors import ANSWERS, Refusal, refusal_for

log = structlog.get_logger(__name__)
PROBLEM_JSON = "application/problem+json"
API, TILES, OGC = "/api/", "/tiles/", "/ogc/"
# Where a problem's `type` is explained.
PROBLEM_TYPES = "/api/v1/problems/"

# What Django REST framework raises -> our code. The HTTP status stays the framework's.
_CODES: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.ParseError, "invalid_json"),
    (exceptions.NotAuthenticated, "unauthenticated"),
    (exceptions.AuthenticationFailed, "unauthenticated"),
    (exceptions.PermissionDenied, "forbidden"),
    (exceptions.NotFound, "not_found"),
    (exceptions.MethodNotAllowed, "method_not_allowed"),
    (exceptions.Throttled, "too_many_tries"),
    (exceptions.APIException, "invalid_request"),
)
# A code of a field's error in the framework -> ours; all others are `invalid_field`.
_FIELD_CODES = {"required": "missing_field", "forbidden_field": "forbidden_field"}
_RETRY_AFTER_S = {"try_again": 1, "unavailable": 2, "geocoder_unavailable": 5}


def for_machines(path: str) -> bool:
    """Whether programs ask there, who want problems in JSON, and no page: the API, what is below the page of layers,
    and OGC API, whose pages people read as well."""
    return path.startswith((API, OGC)) or (path.startswith(TILES) and path != TILES)


def problem(code: str, detail: str = "", *, status: int | None = None, **members: Any) -> dict[str, Any]:
    """The body of a problem: `type`, `title`, `status`, `detail`, `code` and further members."""
    answer = ANSWERS[code]
    return {
        "type": f"{PROBLEM_TYPES}#{code}",
        "title": answer.sentence,
        "status": status or answer.http_status,
        "detail": detail or answer.sentence,
        "code": code,
        **members,
    }


def problem_response(error: Exception, _context: dict[str, Any]) -> Response:
    """The exception handler of the REST framework (setting EXCEPTION_HANDLER). Answers every exception."""
    set_rollback()
    body = _body(error)
    return Response(body, status=body["status"], headers=_headers(error, body), content_type=PROBLEM_JSON)


def _body(error: Exception) -> dict[str, Any]:
    if isinstance(error, DatabaseError | InterfaceError):
        error = refusal_for(error) or error
    for kind, answer in _ANSWERS:
        if isinstance(error, kind):
            return answer(error)
    return _fault(error)


def _refusal(refused: Refusal) -> dict[str, Any]:
    members = refused.details | ({"field": refused.field} if refused.field else {})
    if "status" in members:  # in a problem that is HTTP's own
        members["ride_status"] = members.pop("status")
    return problem(refused.code, refused.message, **members)


def _framework(error: exceptions.APIException) -> dict[str, Any]:
    code = next(code for kind, code in _CODES if isinstance(error, kind))
    return problem(code, str(error.detail), status=error.status_code)


def _validation(error: exceptions.ValidationError) -> dict[str, Any]:
    """One wrong field is named by `field`; all of them stand in `errors`."""
    found = list(_field_errors(error.get_full_details()))
    if not found:
        return problem("invalid_request")
    first = found[0]
    named = {"field": first["field"]} if first["field"] else {}
    return problem(first["code"], first["detail"], **named, errors=found)


def _field_errors(details: Any, path: str = "") -> Any:
    """Every `{field, code, detail}` in the framework's nested report; fields inside fields are joined by dots."""
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        code = _FIELD_CODES.get(details["code"], "invalid_field" if path else "invalid_request")
        yield {"field": path, "code": code, "detail": str(details["message"])}
        return
    inner = details.items() if isinstance(details, dict) else (("", item) for item in details)
    for name, item in inner:
        here = "" if name == "non_field_errors" else str(name)
        yield from _field_errors(item, ".".join(part for part in (path, here) if part))


def _fault(error: Exception) -> dict[str, Any]:
    """A defect of ours: logged by where it happened, not by its message, which may quote a person's data."""
    cause = error.__cause__
    log.error(
        "request_failed",
        error=type(error).__name__,
        sqlstate=getattr(cause, "sqlstate", None),
        constraint=getattr(getattr(cause, "diag", None), "constraint_name", None),
        where=[f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)[-8:]],
    )
    return problem("internal_error")


_ANSWERS: tuple[tuple[type[Exception], Callable[[Any], dict[str, Any]]], ...] = (
    (Refusal, _refusal),
    (ParameterError, lambda error: problem("invalid_parameter", str(error), field=error.parameter)),
    (exceptions.ValidationError, _validation),
    (Http404, lambda _: problem("not_found")),
    (PermissionDenied, lambda _: problem("forbidden")),
    (exceptions.APIException, _framework),
)


def _headers(error: Exception, body: dict[str, Any]) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = error.auth_header  # type: ignore[attr-defined]
    wait_s = body.get("retry_after_s") or getattr(error, "wait", None) or _RETRY_AFTER_S.get(body["code"])
    if wait_s:
        headers["Retry-After"] = str(math.ceil(wait_s))
    return headers


def _plain_problem(code: str, status: HTTPStatus) -> HttpResponse:
    return JsonResponse(
        problem(code, status=status), status=status, content_type=PROBLEM_JSON, headers={"Cache-Control": "no-store"}
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler400."""
    if for_machines(request.path):
        return _plain_problem("invalid_request", HTTPStatus.BAD_REQUEST)
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler403."""
    if for_machines(request.path):
        return _plain_problem("forbidden", HTTPStatus.FORBIDDEN)
    return defaults.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler404."""
    if for_machines(request.path):
        return _plain_problem("unknown_path", HTTPStatus.NOT_FOUND)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500."""
    if for_machines(request.path):
        return _plain_problem("internal_error", HTTPStatus.INTERNAL_SERVER_ERROR)
    return defaults.server_error(request)
