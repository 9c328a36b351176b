"""The page of map layers: what each layer holds, and a map of the chosen one, for operators."""

from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from mobility.people.models import User
from mobility.people.permissions import is_operator
from mobility.tiles.catalog import CATALOG

# Nothing but our own files: scripts and the map's worker, styles, tiles. The style sheet's own pictures are data.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "worker-src 'self'", "style-src 'self'", "connect-src 'self'",
        "img-src 'self' data: blob:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
    )
)  # fmt: skip


@require_safe
def layers_page(request: HttpRequest) -> HttpResponse:
    """The layers; whoever is no operator is asked to log in as one."""
    if not (isinstance(request.user, User) and is_operator(request.user)):
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))
    centre: Any = settings.LEAFLET_CONFIG["DEFAULT_CENTER"]
    shown = {"layers": CATALOG.values(), "latitude": centre[0], "longitude": centre[1]}
    answer = render(request, "mobility/layers.html", shown)
    answer["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    answer["Cache-Control"] = "no-store"
    return answer
