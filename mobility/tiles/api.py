"""Vector tiles and their TileJSON."""

from typing import Any

from django.conf import settings
from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.cache import get_conditional_response, patch_vary_headers
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import renderers, serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from geo.tiles import HIGHEST_LATITUDE, Tile, bounds_of, vector_layer
from mobility.conf import knobs
from mobility.errors import Refusal
from mobility.geojson_api import NOT_MODIFIED
from mobility.layers.answers import accepts_gzip, coded
from mobility.layers.tile import rendered_tile
from mobility.layers.versions import etag
from mobility.people.keys import WITH_KEYS
from mobility.people.permissions import IsOperator, IsOperatorOrScope, is_key
from mobility.rest import PersonalView, documented, query_of
from mobility.tiles.catalog import CATALOG, MapLayer

MVT = "application/vnd.mapbox-vector-tile"
WHICH = OpenApiParameter("layer", str, OpenApiParameter.PATH, enum=sorted(CATALOG), description="The layer.")


class TileRenderer(renderers.JSONRenderer):
    """The name of vector tiles, which views answer as bytes; refusals are JSON here too."""

    media_type = MVT
    format = "mvt"


class VectorLayerBody(serializers.Serializer[Any]):
    """What is in a tile."""

    id = serializers.CharField()
    description = serializers.CharField()
    fields = serializers.DictField(child=serializers.CharField())  # type: ignore[assignment]
    times = serializers.ListField(child=serializers.CharField(), help_text="The fields in seconds since 1970, UTC.")


class TileJSONBody(serializers.Serializer[Any]):
    """TileJSON 3.0."""

    tilejson = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    scheme = serializers.CharField()
    tiles = serializers.ListField(child=serializers.CharField())
    minzoom = serializers.IntegerField()
    maxzoom = serializers.IntegerField()
    bounds = serializers.ListField(child=serializers.FloatField(), min_length=4, max_length=4)
    center = serializers.ListField(child=serializers.FloatField(), min_length=3, max_length=3)
    vector_layers = serializers.ListField(child=VectorLayerBody())


def _known(name: str) -> MapLayer:
    found = CATALOG.get(name)
    if found is None:
        raise Refusal("not_found", f"There is no layer {name[:50]}; there are {', '.join(sorted(CATALOG))}.")
    return found


class MayReadLayer(BasePermission):
    """Operators, or a key with the scope of the layer."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether this request may go on; to a key an unknown layer is one that it may not read."""
        found = CATALOG.get(view.kwargs["layer"])
        allowed = IsOperatorOrScope(found.scope) if found else IsOperator
        return allowed().has_permission(request, view)


class TileJSONView(PersonalView):
    """What tiles of a layer there are."""

    authentication_classes = WITH_KEYS
    permission_classes = (MayReadLayer,)

    @documented(
        "unauthenticated", "forbidden", "not_found", "invalid_parameter", "too_many_requests",
        operation_id="tilejson", tags=["tiles"], parameters=[WHICH],
        summary="TileJSON of a layer (operators, or a key with the layer's scope)",
        responses={200: TileJSONBody},
        examples=[
            OpenApiExample(
                "Drivers",
                {
                    "tilejson": "3.0.0", "name": "Drivers", "description": "Every driver and the newest position.",
                    "scheme": "xyz", "tiles": ["https://rides.example.org/tiles/drivers/{z}/{x}/{y}.mvt"], "minzoom": 0,
                    "maxzoom": 16, "bounds": [-180, -85.0511287798066, 180, 85.0511287798066],
                    "center": [28.0473, -26.2041, 11],
                    "vector_layers": [
                        {
                            "id": "drivers", "description": "Every driver.", "times": ["recorded_at"],
                            "fields": {
                                "status": "String. On duty?",
                                "recorded_at": "Number. When the position was taken. In seconds since 1970, UTC.",
                            },
                        }
                    ],
                },
            )
        ],
    )  # fmt: skip
    def get(self, request: Request, layer: str) -> Response:
        """Where its tiles are, between which zooms, and what they tell. There are tiles of the whole world; `center`
        is the home region."""
        query_of(request)
        found = _known(layer)
        pattern = reverse("tile", args=[layer, 0, 0, 0]).replace("0/0/0", "{z}/{x}/{y}")
        home: dict[str, Any] = settings.LEAFLET_CONFIG
        latitude, longitude = home["DEFAULT_CENTER"]
        return Response(
            {
                "tilejson": "3.0.0",
                "name": found.layer.title,
                "description": found.layer.about,
                "scheme": "xyz",
                "tiles": [request.build_absolute_uri("/")[:-1] + pattern],
                "minzoom": found.min_zoom,
                "maxzoom": found.max_zoom,
                "bounds": [-180.0, -HIGHEST_LATITUDE, 180.0, HIGHEST_LATITUDE],
                "center": [longitude, latitude, home["DEFAULT_ZOOM"]],
                "vector_layers": [
                    vector_layer(found.layer.name, found.layer.about, found.layer.chosen(found.fields))
                    | {"minzoom": found.min_zoom, "maxzoom": found.max_zoom}
                ],
            }
        )


class TileView(PersonalView):
    """A tile."""

    authentication_classes = WITH_KEYS
    permission_classes = (MayReadLayer,)
    renderer_classes = (TileRenderer,)

    @documented(
        "unauthenticated", "forbidden", "not_found", "invalid_parameter", "too_many_requests",
        operation_id="tile", tags=["tiles"], parameters=[WHICH],
        summary="A vector tile of a layer (operators, or a key with the layer's scope)",
        responses={
            (200, MVT): OpenApiResponse(OpenApiTypes.BINARY, description="The tile."),
            204: OpenApiResponse(description="Nothing is there."),
            304: NOT_MODIFIED,
        },
    )  # fmt: skip
    def get(self, request: Request, layer: str, z: int, x: int, y: int) -> HttpResponseBase:
        """The features in a square of web mercator, in a layer of the same name: of rides those of the last day, of
        demand the last hour that is over. A tile with more features than the service's limit has the first of them
        and the header `X-Truncated-At`."""
        query_of(request)
        found, tile = _known(layer), Tile(z, x, y)
        if not tile.exists or not found.min_zoom <= z <= found.max_zoom:
            raise Refusal("not_found", f"There are tiles of {layer} for zooms {found.min_zoom} to {found.max_zoom}.")
        gzipped = accepts_gzip(request)
        key = is_key(request)
        wanted = found.in_box(bounds_of(tile), key)
        tag = etag(
            found.layer, tile, ",".join(found.fields), gzipped, key, wanted.get("begin"), wanted.get("end")
        )  # fmt: skip
        answer: HttpResponseBase | None = get_conditional_response(request._request, etag=tag)
        if answer is None:
            answer = _drawn(found, tile, wanted, gzipped=gzipped)
        answer["ETag"] = tag
        answer["Cache-Control"] = f"private, max-age={found.keep_s}"
        patch_vary_headers(answer, ["Accept-Encoding", "Authorization", "Cookie"])
        return answer

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Tiles tell nobody's name, so that a browser may keep them for some seconds; refusals it may not."""
        kept = response.get("Cache-Control") if isinstance(response, HttpResponse) else None
        response = super().finalize_response(request, response, *args, **kwargs)
        if kept and "ETag" in response:
            response["Cache-Control"] = kept
        return response


@extend_schema(exclude=True)
class PbfView(TileView):
    """The same under the other name that tiles go by."""


def _drawn(found: MapLayer, tile: Tile, wanted: dict[str, Any], *, gzipped: bool) -> HttpResponse:
    limit = knobs().tile_features
    drawn = rendered_tile(found.layer, wanted, found.fields, tile, limit)
    if not drawn.data:
        return HttpResponse(status=204)
    answer = coded(drawn.data, MVT, gzipped=gzipped)
    if drawn.truncated:
        answer["X-Truncated-At"] = str(limit)
    return answer
