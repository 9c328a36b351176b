"""The few pages for people: where to find what, and what the problem codes mean."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from mobility.conf import knobs
from mobility.errors import ANSWERS


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """What this is, and where its documentation, administration and sockets are."""
    scheme = "wss" if request.is_secure() else "ws"
    return render(
        request, "mobility/landing.html", {"socket": f"{scheme}://{request.get_host()}", "guests": knobs().guest_rides}
    )


@require_safe
def problems(request: HttpRequest) -> HttpResponse:
    """Every problem code with its meaning: the `type` of a problem points here."""
    return render(request, "mobility/problems.html", {"answers": sorted(ANSWERS.items())})
