"""The features of a collection: a page of them, or one."""

import json
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from django.http import HttpResponseBase
from django.utils import timezone
from rest_framework.request import Request

from geo import params
from geo.ogc.boxes import flat
from geo.ogc.conformance import CRS84
from geo.ogc.links import GEO_JSON, HTML, Link, in_both_forms, in_form, link, own_links
from geo.ogc.negotiation import Form
from mobility.errors import Refusal
from mobility.layers.answers import accepts_gzip, coded, unless_known
from mobility.layers.measures import counted
from mobility.layers.render import RenderedPage, rendered_page
from mobility.layers.versions import etag
from mobility.ogc.collections import Collection
from mobility.ogc.pages import here, html, wanted_form
from mobility.paging import HIGHEST_ID, next_url
from mobility.people.permissions import is_key
from mobility.rest import query_of

DEFAULT_LIMIT, MAX_LIMIT = 100, 10_000
# A table of more rows helps nobody, and costs a browser more than it costs us.
MAX_ROWS = 1000
# Of every collection, beside what it has of its own.
COMMON_NAMES = ("f", "limit", "bbox-crs", "fields")


class Wanted(NamedTuple):
    """What of a collection somebody wants, in which form; `query` holds the parameters that were given."""

    collection: Collection
    key: bool
    query: dict[str, str]
    form: Form
    fields: list[str]

    @property
    def media_type(self) -> str:
        """Of the answer."""
        return HTML if self.form == "html" else GEO_JSON

    def tag(self, request: Request) -> str:
        """An entity tag, to be read before the data."""
        return etag(
            self.collection.layer, request.build_absolute_uri(), self.form, self.key, ",".join(self.fields),
            accepts_gzip(request),
        )  # fmt: skip


def items(request: Request, found: Collection) -> HttpResponseBase:
    """A page of the collection's features; 304 where the asker has the newest."""
    key = is_key(request)
    query = query_of(request, *found.asked(key=key), *COMMON_NAMES)
    wanted = Wanted(found, key, query, wanted_form(request, query), _fields(found, query, key=key))
    highest = MAX_ROWS if wanted.form == "html" else MAX_LIMIT
    limit = params.limit(query, default=DEFAULT_LIMIT, highest=highest)
    source = found.found(flat(query), key)
    return _with_crs(unless_known(request, wanted.tag(request), lambda: _page(request, wanted, source, limit)))


def item(request: Request, found: Collection, feature_id: str) -> HttpResponseBase:
    """One feature, or the refusal where this reader finds none."""
    key = is_key(request)
    query = query_of(request, "f")
    wanted = Wanted(found, key, query, wanted_form(request, query), found.shown(key=key))
    source = found.found({}, key) | {"only": _number(feature_id)}
    return _with_crs(unless_known(request, wanted.tag(request), lambda: _single(request, wanted, source)))


def _with_crs(answer: HttpResponseBase) -> HttpResponseBase:
    answer["Content-Crs"] = f"<{CRS84}>"
    return answer


def _fields(found: Collection, query: dict[str, str], *, key: bool) -> list[str]:
    shown = found.shown(key=key)
    fields = params.fields(query, shown)
    return shown if fields is None else fields


def _number(feature_id: str) -> int:
    if not (feature_id.isascii() and feature_id.isdecimal()) or len(feature_id) > 19 or int(feature_id) > HIGHEST_ID:
        raise Refusal("not_found")
    return int(feature_id)


def _page(request: Request, wanted: Wanted, source: dict[str, Any], limit: int) -> HttpResponseBase:
    rendered = rendered_page(wanted.collection.layer, source, wanted.fields, limit)
    everything = {name: value for name, value in wanted.query.items() if name != "cursor"}
    matched = counted(wanted.collection.layer, wanted.collection.found(flat(everything), wanted.key))
    members: dict[str, Any] = {
        "type": "FeatureCollection", "links": _links(request, wanted, rendered), "timeStamp": _now(),
    }  # fmt: skip
    members |= {} if matched is None else {"numberMatched": matched}
    members |= {"numberReturned": rendered.number}
    if wanted.form == "html":
        return _table(request, wanted, rendered, members, limit)
    # The features are text already: they stand at the end, where the last brace was.
    body = f'{json.dumps(members, separators=(",", ":"))[:-1]},"features":[{rendered.features}]}}'
    return coded(body.encode(), GEO_JSON, gzipped=accepts_gzip(request))


def _links(request: Request, wanted: Wanted, rendered: RenderedPage) -> list[Link]:
    links = own_links(request.build_absolute_uri(), wanted.form, GEO_JSON)
    following = next_url(request, wanted.query, rendered.last_key)
    if following is not None:
        links.append(link(in_form(following, wanted.form), "next", wanted.media_type, "The next page"))
    about = here(request, "ogc-collection", wanted.collection.id)
    return [*links, *in_both_forms(about, "collection", "application/json", wanted.collection.layer.title)]


def _now() -> str:
    return timezone.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _table(
    request: Request, wanted: Wanted, rendered: RenderedPage, members: dict[str, Any], limit: int
) -> HttpResponseBase:
    features = json.loads(f"[{rendered.features}]")
    mapped = wanted.query | {"limit": str(limit), "f": "json"}
    shown = {
        "collection": wanted.collection,
        "fields": wanted.collection.layer.chosen(wanted.fields),
        "rows": [(f["id"], [_told(f["properties"][name]) for name in wanted.fields]) for f in features],
        "matched": members.get("numberMatched"),
        "returned": rendered.number,
        "following": next((_of_this_host(one["href"]) for one in members["links"] if one["rel"] == "next"), None),
        "first": "cursor" not in wanted.query,
        "as_json": in_form(request.get_full_path(), "json"),
        "mapped": f"{request.path}?{urlencode(mapped)}",
    }
    return html(request, "items", shown)


def _of_this_host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def _single(request: Request, wanted: Wanted, source: dict[str, Any]) -> HttpResponseBase:
    rendered = rendered_page(wanted.collection.layer, source, wanted.fields, 1)
    if not rendered.number:
        raise Refusal("not_found")
    links = _links(request, wanted, rendered._replace(last_key=None))
    if wanted.form == "html":
        return _facts(request, wanted, json.loads(rendered.features))
    body = f'{rendered.features[:-1]},"links":{json.dumps(links, separators=(",", ":"))}}}'
    return coded(body.encode(), GEO_JSON, gzipped=accepts_gzip(request))


def _facts(request: Request, wanted: Wanted, feature: dict[str, Any]) -> HttpResponseBase:
    address = in_form(request.get_full_path(), "json")
    told = [
        (field, _told(feature["properties"][field.name])) for field in wanted.collection.layer.chosen(wanted.fields)
    ]
    shown = {"collection": wanted.collection, "feature_id": feature["id"], "told": told}
    return html(request, "item", shown | {"as_json": address, "mapped": address, "placed": feature["geometry"]})


def _told(value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(f"{k}: {_told(v)}" for k, v in value.items()) if isinstance(value, dict) else str(value)
