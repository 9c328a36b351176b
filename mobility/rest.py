"""What all our REST views share: strict JSON in, problems and `no-store` out, checked query parameters."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import parsers, renderers, serializers
from rest_framework.exceptions import APIException, ErrorDetail, NotAcceptable, ParseError, ValidationError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from geo.params import ParameterError
from mobility.errors import ANSWERS, Refusal
from mobility.errors_rest import PROBLEM_JSON, problem

MAX_BODY_BYTES = 64 * 1024
MAX_DEPTH = 8


class TooLarge(APIException):
    """A body beyond what its parser reads."""

    status_code = 413
    default_detail = f"A request body may have {MAX_BODY_BYTES // 1024} KiB."


class StrictJSONParser(parsers.BaseParser):
    """JSON as the standard has it: no NaN, no Infinity, no field twice, not too deep, not too long."""

    media_type = "application/json"
    max_bytes = MAX_BODY_BYTES

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:  # noqa: ARG002
        """The value in the body; ParseError (400) or TooLarge (413)."""
        body = stream.read(self.max_bytes + 1)
        if len(body) > self.max_bytes:
            raise TooLarge(f"A request body may have {self.max_bytes // 1024} KiB here.")
        try:
            value = json.loads(
                body.decode(), parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_each_once
            )
        except RecursionError:
            raise Refusal("too_deep") from None
        except ValueError as wrong:
            raise ParseError(f"This is not valid JSON: {wrong}"[:200]) from None
        if _depth(value) > MAX_DEPTH:
            raise Refusal("too_deep")
        return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise Refusal("duplicate_field")
    return members


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses members it does not know, so that a privileged one never looks as if it had taken effect."""

    def to_internal_value(self, data: Any) -> Any:
        """The checked values."""
        if isinstance(data, Mapping):
            unknown = sorted(set(data) - set(self.fields))
            if unknown:
                text = "There is no such field here, or only the service sets it."
                raise ValidationError({name: [ErrorDetail(text, "forbidden_field")] for name in unknown[:20]})
        return super().to_internal_value(data)


class WholeNumberField(serializers.IntegerField):
    """A JSON number without a fraction that fits the database; no text that looks like one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_value": 1, "max_value": 2**63 - 1} | options)

    def to_internal_value(self, data: Any) -> int:
        """The number."""
        if type(data) is not int:
            self.fail("invalid")
        return data


class GeoJSONRenderer(renderers.JSONRenderer):
    """JSON under the name GeoJSON has (RFC 7946)."""

    media_type = "application/geo+json"
    format = "geojson"


def _leave_no_circles(answered: Response) -> None:
    """Take apart what holds itself in memory. Else a request's body and answer stay until the collection of all garbage
    (mobility/server.py), 2 MiB for 5,000 positions. Some 10 KiB of Django's own do so still.
    """
    context: Any = answered.renderer_context  # type: ignore[attr-defined]
    request, view = context["request"], context["view"]
    answered.renderer_context = {}  # type: ignore[attr-defined]
    answered.data = None
    request.parser_context = {}
    view.request = view.response = None


class WhatThereIs(DefaultContentNegotiation):
    """Answers in the one form a view has, also to those who did not name it in `Accept`, as RFC 9110 (12.5.1) allows:
    GDAL asks for `application/json` and reads GeoJSON; a refusal would help nobody."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        """The renderer and its media type."""
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            return renderers[0], renderers[0].media_type


class PersonalView(APIView):
    """A view whose answers are about a person: no cache keeps them."""

    parser_classes = [StrictJSONParser]
    content_negotiation_class = WhatThereIs

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        """Adds `no-store` to answers and refusals alike."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        if isinstance(response, Response):
            response.add_post_render_callback(_leave_no_circles)
        return response


def checked(kind: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The values of the request's body by this serializer, or the refusal."""
    serializer = kind(data=request.data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def query_of(request: Request, *known: str) -> dict[str, str]:
    """The query parameters, each known and given once; `ParameterError` names the first that is not."""
    query: dict[str, str] = {}
    for name, values in request.query_params.lists():
        if name not in known:
            raise ParameterError(name[:50], f"is not known here; known are {', '.join(known)}")
        if len(values) > 1:
            raise ParameterError(name, "is given more than once")
        if "\x00" in values[0]:
            raise ParameterError(name, "contains NUL")
        query[name] = values[0]
    return query


class ProblemBody(serializers.Serializer[Any]):
    """RFC 9457. `code` is stable and for machines, `detail` for people; `field` names what is to blame."""

    type = serializers.CharField(help_text="Where the code is explained.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.ChoiceField(choices=sorted(ANSWERS))
    field = serializers.CharField(required=False)
    ride_status = serializers.CharField(required=False, help_text="Where the ride stands, when that is the reason.")
    allowed = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="What the ride's state allows instead."
    )
    errors = serializers.ListField(  # type: ignore[assignment]
        child=serializers.DictField(), required=False, help_text="All wrong fields."
    )


def documented(*codes: str, **schema: Any) -> Callable[[Any], Any]:
    """`extend_schema` that also describes the refusals `codes` as problems, with an example for each."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(ANSWERS[code].http_status, []).append(code)
    responses = dict(schema.pop("responses"))
    for status, together in sorted(by_status.items()):
        responses[(status, PROBLEM_JSON)] = OpenApiResponse(
            ProblemBody,
            description=" ".join(f"`{code}`: {ANSWERS[code].sentence}" for code in together),
            examples=[OpenApiExample(code, problem(code), media_type=PROBLEM_JSON) for code in together],
        )
    return extend_schema(responses=responses, **schema)
