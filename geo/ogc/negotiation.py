"""In which of its two forms a page is wanted: as JSON for programs or as HTML for people."""

from collections.abc import Iterator, Mapping
from typing import Literal

from geo.params import ParameterError

Form = Literal["json", "html"]
FORMS: tuple[Form, ...] = ("json", "html")
_RANGES: dict[Form, frozenset[str]] = {
    "html": frozenset({"text/html", "application/xhtml+xml"}),
    "json": frozenset(
        {"application/json", "application/geo+json", "application/vnd.oai.openapi+json", "application/*"}
    ),
}


def form_of(query: Mapping[str, str], accept: str) -> Form:
    """`?f=json` or `html`; without it what the `Accept` header likes best. JSON where both are liked as much, and for
    those who like neither: an answer in another form than was asked for is allowed (RFC 9110, 12.5.1)."""
    if "f" not in query:
        return _accepted(accept)
    for form in FORMS:
        if query["f"] == form:
            return form
    raise ParameterError("f", f"must be one of {', '.join(FORMS)}")


def _accepted(accept: str) -> Form:
    liked = dict.fromkeys(FORMS, 0.0)
    for media_type, quality in _weighed(accept):
        for form, ranges in _RANGES.items():
            if media_type in ranges:
                liked[form] = max(liked[form], quality)
    return "html" if liked["html"] > liked["json"] else "json"


def _weighed(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept.split(","):
        media_type, *options = (piece.strip().lower() for piece in part.split(";"))
        yield media_type, next((_quality(o[2:]) for o in options if o.startswith("q=")), 1.0)


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0
