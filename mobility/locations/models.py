"""Where drivers are now, one narrow row a driver that every position rewrites; and where they were."""

from typing import Any

from django.contrib.gis.db import models
from django.contrib.postgres.indexes import GistIndex
from django.db.models import F, Func, Q
from django.db.models.functions import Now

from mobility.drivers.models import Driver, DriverStatus, VehicleType

# How far the indexed place may be from the position, metres on the sphere; the SQL in sql/ says it too.
INDEX_SLACK_M = 75.0
# The same on the ellipsoid, where the sphere errs by up to 6 in 1,000.
REACH_SLACK_M = 76.0


class DriverLocation(models.Model):
    """The newest position of a driver.

    `dispatchable`, `status`, `verified`, `vehicle_type` and `stationary` repeat the driver's row, kept by a trigger
    there, so that matching and tiles read this table alone, and the index of matching holds only drivers who could be
    sent. `recorded_at` is the device's clock and orders
    positions, `received_at` the server's; freshness goes by the older of the two, and `stale` is set by the sweep over
    those who are not fresh any more. `indexed_position` is where the spatial indexes have the driver: at most
    `INDEX_SLACK_M` from the position, so that most new positions touch no index (docs/decisions/0016).
    """

    driver = models.OneToOneField(Driver, on_delete=models.CASCADE, primary_key=True, related_name="location")
    position = models.PointField(srid=4326, spatial_index=False)
    indexed_position = models.PointField(srid=4326, spatial_index=False, editable=False)
    heading = models.FloatField(null=True, blank=True, help_text="Degrees clockwise from true north.")
    speed = models.FloatField(null=True, blank=True, help_text="Metres per second.")
    recorded_at = models.DateTimeField()
    received_at = models.DateTimeField(db_default=Now())
    stationary = models.BooleanField(default=False, editable=False)
    stale = models.BooleanField(db_default=False, editable=False)
    dispatchable = models.BooleanField(default=False, editable=False)
    status = models.CharField(
        max_length=16, choices=DriverStatus.choices, editable=False, db_default=DriverStatus.OFFLINE
    )
    verified = models.BooleanField(db_default=False, editable=False)
    vehicle_type = models.CharField(max_length=32, choices=VehicleType.choices, editable=False, default="sedan")

    class Meta:
        db_table = "mobility_driver_location"
        indexes = [
            # For maps, which ask for all drivers in a box.
            GistIndex(fields=["indexed_position"], name="driver_location_map"),
            # Matching walks this one, nearest first: geography for true metres anywhere on Earth, and partial so that
            # busy, silent and offline drivers next door cost nothing (docs/decisions/0003).
            GistIndex(
                Func(F("indexed_position"), template="(%(expressions)s::geography)"),
                condition=Q(dispatchable=True),
                name="driver_location_dispatchable",
            ),
            # All others, for the question whether a busy driver is in reach and for the explanation of a search.
            GistIndex(
                Func(F("indexed_position"), template="(%(expressions)s::geography)"),
                condition=Q(dispatchable=False),
                name="driver_location_others",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(heading__isnull=True) | Q(heading__gte=0, heading__lt=360),
                name="location_heading_in_circle",
            ),
            models.CheckConstraint(
                condition=Q(speed__isnull=True) | Q(speed__gte=0, speed__lt=1000), name="location_speed_is_sane"
            ),
        ]

    def __str__(self) -> str:
        return f"driver {self.driver_id} at {self.position.y:.5f}, {self.position.x:.5f}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store it; a position put here by hand is also where the indexes have the driver."""
        self.indexed_position = self.position
        fields = kwargs.get("update_fields")
        if fields is not None and "position" in fields:
            kwargs["update_fields"] = {*fields, "indexed_position"}
        super().save(*args, **kwargs)


class Position(models.Model):
    """One position of the past. The table is partitioned by day and belongs to sql/history_v1.sql."""

    pk = models.CompositePrimaryKey("driver_id", "recorded_at")
    driver_id = models.BigIntegerField()
    recorded_at = models.DateTimeField(help_text="By the driver's device.")
    received_at = models.DateTimeField(help_text="By the database's clock.")
    position = models.PointField(srid=4326, spatial_index=False)
    heading = models.FloatField(null=True, help_text="Degrees clockwise from true north.")
    speed = models.FloatField(null=True, help_text="Metres per second.")
    accuracy_m = models.FloatField(null=True, help_text="Metres, as the device says.")
    door = models.CharField(max_length=16, help_text="How it came in: socket, driver, fleet or tracker.")

    class Meta:
        managed = False
        db_table = "mobility_position"

    def __str__(self) -> str:
        return f"driver {self.driver_id} at {self.recorded_at}"


class LocationKey(models.Model):
    """A key that only tells positions: a device's those of its driver, a fleet's those of every driver.

    Only its digest is stored.
    """

    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True)
    driver = models.ForeignKey(Driver, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "mobility_location_key"

    def __str__(self) -> str:
        return self.name
