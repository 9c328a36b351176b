"""How many rides were asked for, and how many drivers were idle, by hexagon and hour."""

from django.db import models
from django.db.models import F, Q

# Edges of the hexagons, metres. Of each size counts are kept: hexagons of different sizes do not fit into each other.
SIZES_M = (250, 500, 1_000, 2_000, 5_000)
CELLS = 2**33


class DemandHour(models.Model):
    """The counts of one hexagon in one hour (UTC), as sql/count_hour.sql defines them; none where all are zero."""

    pk = models.CompositePrimaryKey("size_m", "hour", "cell")
    size_m = models.IntegerField()
    hour = models.DateTimeField()
    cell = models.BigIntegerField()
    requests = models.IntegerField()
    unfulfilled = models.IntegerField()
    idle_drivers = models.IntegerField(null=True)

    class Meta:
        db_table = "mobility_demand_hour"
        constraints = [
            models.CheckConstraint(condition=Q(size_m__in=SIZES_M), name="demand_size_is_offered"),
            models.CheckConstraint(condition=Q(cell__gte=0, cell__lt=CELLS), name="demand_cell_has_number"),
            models.CheckConstraint(
                condition=Q(unfulfilled__gte=0, requests__gte=F("unfulfilled"))
                & (Q(idle_drivers__isnull=True) | Q(idle_drivers__gte=0))
                & (Q(requests__gt=0) | Q(idle_drivers__gt=0)),
                name="demand_counts_are_sane",
            ),
        ]

    def __str__(self) -> str:
        return f"cell {self.cell} of {self.size_m} m, {self.hour}"


class DemandMade(models.Model):
    """An hour that was counted, and when its counts last changed. `due_at` is when it is counted again; null: never."""

    hour = models.DateTimeField(primary_key=True)
    made_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "mobility_demand_made"
        indexes = [models.Index("due_at", condition=Q(due_at__isnull=False), name="demand_due")]

    def __str__(self) -> str:
        return f"{self.hour}, counted {self.made_at}"
