"""How GeoJSON answers are put together and described, on top of djangorestframework-gis."""

from typing import Any

from django.contrib.gis.geos import Point
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.utils import OpenApiParameter, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework_gis.fields import GeometryField
from rest_framework_gis.serializers import GeoFeatureModelSerializer

from geo.coordinates import from_point
from geo.geojson import point_geometry
from mobility.paging import Page, next_url

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


def feature_collection(
    request: Request, query: dict[str, str], page: Page[Any], kind: type[serializers.BaseSerializer[Any]]
) -> dict[str, Any]:
    """A page as a FeatureCollection; `next` is the address of the page after it, `numberReturned` counts this one."""
    collection = kind(page.rows, many=True, context={"request": request}).data
    return dict(collection) | {"numberReturned": len(page.rows), "next": next_url(request, query, page)}


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


PAGE_PARAMETERS = [
    OpenApiParameter("cursor", str, description="Where the page begins: from `next` of the page before."),
]
