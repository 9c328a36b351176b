"""A page of OGC API in the form its reader wants: JSON for programs, HTML for people, refusals too."""

import json
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from geo.ogc.links import JSON, in_form, own_links
from geo.ogc.negotiation import Form, form_of
from geo.params import ParameterError
from mobility.layers.answers import accepts_gzip, coded
from mobility.people.keys import WITH_BASIC_KEYS
from mobility.rest import PersonalView, WhatThereIs
from mobility.tiles.page import CONTENT_SECURITY_POLICY


class _JSONForRefusals(WhatThereIs):
    """Which form is wanted, decides `geo.ogc.negotiation`; only refusals go through the framework's renderers."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:  # noqa: ARG002
        """The first."""
        return renderers[0], renderers[0].media_type


class OgcView(PersonalView):
    """A view whose answers are pages in both forms; keys are taken as the password of HTTP Basic as well."""

    authentication_classes = WITH_BASIC_KEYS
    content_negotiation_class = _JSONForRefusals

    def handle_exception(self, exc: Exception) -> Any:
        """The refusal as a problem, for people as a page; whoever looked for a page and sent nothing may log in."""
        answer = super().handle_exception(exc)
        request = self.request
        if _form_of_refusal(request) == "json":
            return answer
        if isinstance(exc, NotAuthenticated) and "Authorization" not in request.headers:
            return redirect_to_login(request.get_full_path(), reverse("admin:login"))
        page = html(request, "refused", {"problem": answer.data}, status=answer.status_code)
        for name, value in answer.headers.items():
            if name != "Content-Type":
                page[name] = value
        return page

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Every answer depends on what was accepted and who asked."""
        response = super().finalize_response(request, response, *args, **kwargs)
        patch_vary_headers(response, ["Accept", "Accept-Encoding", "Authorization", "Cookie"])
        return response


def _form_of_refusal(request: Request) -> Form:
    try:
        return form_of(request.query_params, request.headers.get("Accept", ""))
    except ParameterError:
        return "json"


def wanted_form(request: Request, query: Mapping[str, str]) -> Form:
    """In which form a request wants its answer."""
    return form_of(query, request.headers.get("Accept", ""))


def html(
    request: Request | HttpRequest, template: str, shown: dict[str, Any], *, status: int | None = None
) -> HttpResponse:
    """A page of mobility/templates/mobility/ogc/, which loads nothing but our own files."""
    plain: HttpRequest = request._request if isinstance(request, Request) else request
    answer = render(plain, f"mobility/ogc/{template}.html", shown, status=status)
    answer["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return answer


def page(
    request: Request, form: Form, template: str, document: dict[str, Any], *, media_type: str = JSON, **shown: Any
) -> HttpResponseBase:
    """The document as JSON or as a page that tells the same; its `links`, where it has any, begin with its own."""
    url = request.build_absolute_uri()
    if "links" in document:
        document = document | {"links": [*own_links(url, form, media_type), *document["links"]]}
    if form == "html":
        return html(
            request, template, {"document": document, "as_json": in_form(request.get_full_path(), "json")} | shown
        )
    body = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    return coded(body, media_type, gzipped=accepts_gzip(request))


def here(request: Request, name: str, *args: Any, form: Form | None = None) -> str:
    """The absolute address of a page, as its reader's proxy shows it."""
    url = request.build_absolute_uri(reverse(name, args=args))
    return url if form is None else in_form(url, form)
