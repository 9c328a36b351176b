"""Links between the pages of OGC API, and the types of what they lead to."""

from typing import TypedDict
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from geo.ogc.negotiation import FORMS, Form

JSON = "application/json"
GEO_JSON = "application/geo+json"
HTML = "text/html"
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"


class Link(TypedDict):
    """A link of RFC 8288 in JSON."""

    href: str
    rel: str
    type: str
    title: str


def link(href: str, rel: str, media_type: str, title: str) -> Link:
    """A link."""
    return {"href": href, "rel": rel, "type": media_type, "title": title}


def in_form(url: str, form: Form) -> str:
    """The same address with `f`, so that it leads to this form whatever its reader accepts."""
    parts = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "f"]
    return urlunsplit(parts._replace(query=urlencode([*query, ("f", form)])))


def in_both_forms(url: str, rel: str, media_type: str, title: str) -> list[Link]:
    """Links to a page in JSON, which has this type, and in HTML."""
    types = {"json": media_type, "html": HTML}
    return [link(in_form(url, form), rel, types[form], f"{title} ({form.upper()})") for form in FORMS]


def own_links(url: str, form: Form, media_type: str) -> list[Link]:
    """`self`, in the form that is answered, and `alternate`, the other one."""
    types = {"json": media_type, "html": HTML}
    titles = {"json": "This page as JSON", "html": "This page as HTML"}
    return [
        link(in_form(url, other), "self" if other == form else "alternate", types[other], titles[other])
        for other in (form, *(o for o in FORMS if o != form))
    ]
