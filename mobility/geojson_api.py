"""How GeoJSON answers are put together and described, on top of djangorestframework-gis."""

from collections.abc import Iterable
from typing import Any

from django.contrib.gis.geos import Point
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema_field
from rest_framework import serializers
from rest_framework_gis.fields import GeometryField
from rest_framework_gis.serializers import GeoFeatureModelSerializer

from geo.coordinates import from_point
from geo.geojson import point_geometry
from geo.params import MAX_RADIUS_M

GEO_JSON = "application/geo+json"


@extend_schema_field(
    {
        "type": "object",
        "nullable": True,
        "required": ["type", "coordinates"],
        "properties": {
            "type": {"type": "string", "enum": ["Point"]},
            "coordinates": {
                "type": "array",
                "minItems": 2,
                "maxItems": 2,
                "items": {"type": "number"},
                "description": "Longitude, latitude.",
            },
        },
    }
)
class PositionField(GeometryField):
    """A point. Written by hand: GDAL, which the base class goes through, takes ten times as long."""

    def to_representation(self, value: Point | None) -> Any:
        """A GeoJSON Point, or None."""
        return None if value is None else point_geometry(from_point(value))


class FeatureSerializer(GeoFeatureModelSerializer):
    """A row as a GeoJSON Feature whose geometry need not be a column of its own table.

    `Meta.optional_fields` are members that not every reader gets; the schema does not require them.
    """


class FeatureSchema(OpenApiSerializerExtension):
    """How the schema describes such a Feature; drf-spectacular's own knows geometry columns only."""

    target_class = "mobility.geojson_api.FeatureSerializer"
    match_subclasses = True
    priority = 1

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """`id`, `type` and `geometry` on top, everything else inside `properties`."""
        properties = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)["properties"]
        optional = set(getattr(self.target.Meta, "optional_fields", ()))
        return {
            "type": "object",
            "required": ["id", "type", "geometry", "properties"],
            "properties": {
                "type": {"type": "string", "pattern": "^Feature$"},
                "id": properties.pop(self.target.Meta.id_field),
                "geometry": properties.pop(self.target.Meta.geo_field),
                "properties": {
                    "type": "object",
                    "properties": properties,
                    "required": sorted(set(properties) - optional),
                },
            },
        }


def collection_body(feature: type[serializers.BaseSerializer[Any]], name: str) -> type[serializers.Serializer[Any]]:
    """The schema of such a FeatureCollection."""
    return type(
        name,
        (serializers.Serializer,),
        {
            "__doc__": "GeoJSON (RFC 7946) with the address of the next page.",
            "type": serializers.RegexField("^FeatureCollection$"),
            "features": serializers.ListField(child=feature()),
            "numberReturned": serializers.IntegerField(),
            "next": serializers.URLField(allow_null=True),
        },
    )


NOT_MODIFIED = OpenApiResponse(description="What `If-None-Match` names is still the newest.")
BOX_PARAMETERS = [
    OpenApiParameter(
        "bbox", str, description="west,south,east,north in degrees; west > east crosses the antimeridian."
    ),
]
CIRCLE_PARAMETERS = [
    OpenApiParameter("near", str, description="latitude,longitude in degrees; together with radius_m."),
    OpenApiParameter("radius_m", float, description=f"Metres, at most {MAX_RADIUS_M:.0f}."),
]
PAGE_PARAMETERS = [
    OpenApiParameter("cursor", str, description="Where the page begins: from `next` of the page before."),
]
EXPORT_PARAMETER = OpenApiParameter(
    "export", str, enum=["1"],
    description="All features at once, streamed, instead of pages; `limit` and `cursor` do not go with it. For"
    " operators and keys.",
)  # fmt: skip


def fields_parameter(names: Iterable[str]) -> OpenApiParameter:
    """`fields`: the properties that are wanted."""
    return OpenApiParameter("fields", str, description=f"Properties to show, with commas: {', '.join(names)}.")


def datetime_parameter(about: str) -> OpenApiParameter:
    """`datetime`: an instant or an interval."""
    return OpenApiParameter(
        "datetime", str,
        description=f"{about}: an instant like 2026-01-31T08:00:00Z, or two with a slash between, both included; `..`"
        " for an open end.",
    )  # fmt: skip
