"""What is decided before any view sees it: pages of which origins may read the API; what is refused without TLS; and
queries that no database can take."""

from collections.abc import Callable
from typing import Any

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse

from mobility.errors_rest import for_machines

ADMIN_PREFIX = "/admin/"


def _token_in_the_clear(request: HttpRequest) -> bool:
    plain = settings.SECURE_SSL_REDIRECT and not request.is_secure()
    return plain and for_machines(request.path)


class Cors(CorsMiddleware):
    """Lets pages of the listed origins read what machines ask for (settings CORS_...).

    It stands before all others, so that refusals can be read as well. Only the question before a request, the
    preflight, is not answered over http in production but passed on and refused: so the browser never sends the token.
    """

    def check_preflight(self, request: HttpRequest) -> Any:
        """The answer to a preflight; None for everything else."""
        answer = super().check_preflight(request)
        return None if _token_in_the_clear(request) else answer


class RefusePlainHttpForApi:
    """403 for requests of machines over http in production, instead of the redirect that pages get.

    A client that is sent on quietly has already shown its token to the network and would go on doing so.
    """

    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Refuse, or pass on."""
        if _token_in_the_clear(request):
            body = {
                "type": "about:blank", "title": "Forbidden", "status": 403, "code": "forbidden",
                "detail": "The API is served over https only. Replace a token that was sent over http.",
            }  # fmt: skip
            return JsonResponse(body, status=403, content_type="application/problem+json")
        return self.get_response(request)


class RefuseNul:
    """400 for an admin query with a NUL character, which PostgreSQL cannot compare: Django's filters pass it on."""

    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Refuse, or pass on."""
        if request.path.startswith(ADMIN_PREFIX) and "%00" in request.META.get("QUERY_STRING", ""):
            return HttpResponseBadRequest("The query has a NUL character.", content_type="text/plain")
        return self.get_response(request)
