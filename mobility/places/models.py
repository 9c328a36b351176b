"""Places we know ourselves, what geocoders answered, and whose turn it is to ask one."""

from django.contrib.gis.db import models
from django.contrib.postgres.indexes import GinIndex, GistIndex
from django.db.models import F, Func, Q
from django.db.models.functions import Now


class Place(models.Model):
    """A place of the gazetteer, as a file told it (`manage.py import_places`)."""

    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=50, blank=True)
    label = models.CharField(max_length=300, help_text="As people read it: name, suburb, town.")
    # Name and label as they are compared with what somebody looks for: mobility/places/folding.py.
    folded = models.CharField(max_length=600, editable=False)
    position = models.PointField(srid=4326, spatial_index=False)
    importance = models.FloatField(default=0, db_default=0, help_text="From 0 to 1.")
    source = models.CharField(max_length=50)
    source_id = models.CharField(max_length=200)

    class Meta:
        db_table = "mobility_place"
        indexes = [
            # Looking for a text that may be misspelt, or only begun.
            GinIndex(fields=["folded"], opclasses=["gin_trgm_ops"], name="place_folded"),
            # What is nearest to a position.
            GistIndex(Func(F("position"), template="(%(expressions)s::geography)"), name="place_by_nearness"),
        ]
        constraints = [
            models.UniqueConstraint("source", "source_id", name="place_once_per_source"),
            # NaN is greater than every number in PostgreSQL, so an upper bound refuses it too.
            models.CheckConstraint(
                condition=Q(importance__gte=0, importance__lte=1), name="place_importance_is_a_share"
            ),
            models.CheckConstraint(condition=~Q(name="") & ~Q(label="") & ~Q(folded=""), name="place_has_a_name"),
        ]

    def __str__(self) -> str:
        return self.label


class GeocodeAnswer(models.Model):
    """What a geocoder answered. The key is a digest of who was asked what: no text somebody looked for is kept."""

    key = models.CharField(max_length=64, primary_key=True)
    answer = models.JSONField(help_text="A list of places; an empty one says that there are none.")
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "mobility_geocode_answer"
        indexes = [models.Index("made_at", name="geocode_answer_by_age")]

    def __str__(self) -> str:
        return f"answer of {self.made_at}"


class GeocoderTurn(models.Model):
    """When a geocoder may be asked next, by whatever process on whatever host."""

    geocoder = models.CharField(max_length=50, primary_key=True)
    next_at = models.DateTimeField()

    class Meta:
        db_table = "mobility_geocoder_turn"

    def __str__(self) -> str:
        return f"{self.geocoder} from {self.next_at}"
