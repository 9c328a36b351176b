"""A layer's collection as the answer to an HTTP request: entity tag, coding, one page or all of it."""

import gzip
import json
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import get_conditional_response, patch_vary_headers
from rest_framework.request import Request

from geo import params
from mobility.connections import give_back
from mobility.geojson_api import GEO_JSON
from mobility.layers.export import Export
from mobility.layers.layer import Layer
from mobility.layers.render import rendered_page
from mobility.layers.versions import body_tag, etag
from mobility.paging import next_url

# Fast: of the gain at the default level nine tenths for a third of the time.
GZIP_LEVEL = 1
GZIP_FROM_BYTES = 1400  # less than a packet


class Wanted(NamedTuple):
    """What of a layer's rows somebody wants: these fields, in pages of so many or all at once."""

    query: dict[str, str]
    fields: list[str]
    limit: int
    export: bool


def wanted_page(
    query: dict[str, str], layer: Layer, *, default: int, highest: int, shown: Collection[str] | None = None
) -> Wanted:
    """`fields`, `limit` and `export` of a query; `shown` are the fields this reader may see, by default all of them."""
    allowed = layer.shown(personal=True) if shown is None else shown
    fields = params.fields(query, allowed)
    export = params.one(query, "export")
    for name in ("limit", "cursor"):
        if export and name in query:
            raise params.ParameterError(name, "does not go with export: an export is everything")
    limit = params.limit(query, default=default, highest=highest)
    return Wanted(query, list(allowed) if fields is None else fields, limit, export)


def collection_answer(
    request: Request, layer: Layer, found: dict[str, Any], wanted: Wanted, *, reader: Any = "", own: bool = False
) -> HttpResponseBase:
    """The collection of a layer by the parameters `found` of its source.

    304 where the asker has the newest; all of it, streamed; or one page, with `numberReturned` and `next`. `reader`
    says for whom it was read, where that decides what is in it. What is somebody's `own` is tagged by itself: the
    version of a table would tell them whenever anybody's row is written, a driver's who is asked for their ride too.
    """
    gzipped = accepts_gzip(request)
    if own:
        return _own_page(request, layer, found, wanted, reader, gzipped=gzipped)
    tag = etag(layer, request.build_absolute_uri(), reader, ",".join(wanted.fields), gzipped)
    send = _export if wanted.export else _page
    return unless_known(request, tag, lambda: send(request, layer, found, wanted, gzipped=gzipped))


def unless_known(request: Request, tag: str, make: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """The answer that `make` makes, under an entity tag that was read before; 304 where the asker has it."""
    answer: HttpResponseBase | None = get_conditional_response(request._request, etag=tag)
    if answer is None:
        answer = make()
    return _tagged(answer, tag)


def _own_page(
    request: Request, layer: Layer, found: dict[str, Any], wanted: Wanted, reader: Any, *, gzipped: bool
) -> HttpResponseBase:
    page = _page(request, layer, found, wanted, gzipped=gzipped)
    tag = body_tag(page.content, request.build_absolute_uri(), reader)
    return _tagged(get_conditional_response(request._request, etag=tag, response=page) or page, tag)


def _tagged(answer: HttpResponseBase, tag: str) -> HttpResponseBase:
    answer["ETag"] = tag
    patch_vary_headers(answer, ["Accept-Encoding", "Authorization", "Cookie"])
    return answer


def _export(
    _request: Request, layer: Layer, found: dict[str, Any], wanted: Wanted, *, gzipped: bool
) -> StreamingHttpResponse:
    give_back()  # the export takes one of its own
    answer = StreamingHttpResponse(Export(layer, found, wanted.fields, gzip=gzipped), content_type=GEO_JSON)
    answer["Content-Disposition"] = f'attachment; filename="{layer.name}.geojson"'
    if gzipped:
        answer["Content-Encoding"] = "gzip"
    return answer


def _page(request: Request, layer: Layer, found: dict[str, Any], wanted: Wanted, *, gzipped: bool) -> HttpResponse:
    page = rendered_page(layer, found, wanted.fields, wanted.limit)
    following = json.dumps(next_url(request, wanted.query, page.last_key))
    body = (
        f'{{"type":"FeatureCollection","features":[{page.features}],"numberReturned":{page.number},"next":{following}}}'
    )
    return coded(body.encode(), GEO_JSON, gzipped=gzipped)


def accepts_gzip(request: Any) -> bool:
    """Whether the answer may be gzipped: named, and not with a weight of 0."""
    for part in request.headers.get("Accept-Encoding", "").split(","):
        coding, _, weight = part.partition(";")
        if coding.strip().lower() in {"gzip", "*"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def coded(body: bytes, content_type: str, *, gzipped: bool) -> HttpResponse:
    """The body as a response, gzipped where that is allowed and worth it."""
    if not gzipped or len(body) < GZIP_FROM_BYTES:
        return HttpResponse(body, content_type=content_type)
    answer = HttpResponse(gzip.compress(body, GZIP_LEVEL, mtime=0), content_type=content_type)
    answer["Content-Encoding"] = "gzip"
    return answer
