"""Areas in which passengers are picked up."""

from django.contrib.gis.db import models
from django.contrib.postgres.indexes import GistIndex
from django.db.models import F, Func, Q
from django.db.models.functions import Now

from geo.params import MAX_RADIUS_M


class ServiceArea(models.Model):
    """Where rides are served. With no active area, everywhere; of several over one place, the smallest counts."""

    name = models.CharField(max_length=100, unique=True)
    active = models.BooleanField(
        default=True,
        db_default=True,
        help_text="Whether passengers are picked up here. With no active area: everywhere.",
    )
    matching_radius_m = models.FloatField(
        "matching radius",
        null=True,
        blank=True,
        help_text="Metres from the pickup within which drivers are asked. Empty: as everywhere (search_radius_m).",
    )
    area = models.MultiPolygonField(srid=4326, spatial_index=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "mobility_service_area"
        indexes = [
            # Which area a pickup lies in; what a map shows.
            GistIndex(fields=["area"], name="service_area_place"),
            # Which ones are within some distance.
            GistIndex(Func(F("area"), template="(%(expressions)s::geography)"), name="service_area_by_distance"),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="service_area_has_a_name"),
            # NaN is greater than every number in PostgreSQL, so an upper bound refuses it too.
            models.CheckConstraint(
                condition=Q(matching_radius_m__isnull=True)
                | Q(matching_radius_m__gte=1, matching_radius_m__lte=MAX_RADIUS_M),
                name="service_area_radius_is_sane",
            ),
        ]

    def __str__(self) -> str:
        return self.name
