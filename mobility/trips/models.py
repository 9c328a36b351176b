"""What was driven on a ride: its track, made of its driver's positions after its end, and kept with the booking."""

from django.contrib.gis.db import models
from django.contrib.postgres.fields import ArrayField
from django.db.models import F, Func, Q
from django.db.models.functions import Coalesce, Now

from mobility.bookings.models import Booking

LONGEST_M = 1e9  # also what keeps NaN and infinity out: they are above every number


_EACH_HAS_ITS_TIME = Q(times__isnull=True) | Q(
    times__len=Coalesce(Func(F("track"), function="ST_NPoints", output_field=models.IntegerField()), 0)
)


class Trip(models.Model):
    """The way of one ride from its start to its end, and what is known about it.

    `track` is simplified, `times` says when each of its positions was (null in trips from before there were any),
    `length_m` is measured along every position that was not left out; both are null when there were fewer than two.
    `due_at` is when it is made anew, in case late positions have come; null: it is final.
    """

    booking = models.OneToOneField(Booking, on_delete=models.PROTECT, primary_key=True, related_name="trip")
    track = models.LineStringField(srid=4326, spatial_index=False, null=True)
    times = ArrayField(models.DateTimeField(), null=True, help_text="When each position of the track was.")
    length_m = models.FloatField(null=True)
    approach_m = models.FloatField(null=True, help_text="The driver's way to the pickup, in metres.")
    fixes = models.IntegerField(default=0, help_text="Positions of the track.")
    jumps = models.IntegerField(default=0, help_text="Positions left out, because nobody drives that fast.")
    leaps = models.IntegerField(default=0, help_text="How often the track went on elsewhere; that way is not counted.")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    made_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "mobility_trip"
        indexes = [models.Index("due_at", condition=Q(due_at__isnull=False), name="trip_due")]
        constraints = [
            models.CheckConstraint(
                condition=Q(track__isnull=True, length_m__isnull=True, fixes__lt=2)
                | Q(track__isnull=False, length_m__isnull=False, fixes__gte=2),
                name="trip_line_has_fixes",
            ),
            models.CheckConstraint(condition=_EACH_HAS_ITS_TIME, name="trip_positions_have_times"),
            models.CheckConstraint(
                condition=(Q(length_m__isnull=True) | Q(length_m__gte=0, length_m__lt=LONGEST_M))
                & (Q(approach_m__isnull=True) | Q(approach_m__gte=0, approach_m__lt=LONGEST_M)),
                name="trip_lengths_are_sane",
            ),
            models.CheckConstraint(
                condition=Q(fixes__gte=0, jumps__gte=0, leaps__gte=0), name="trip_counts_not_negative"
            ),
            models.CheckConstraint(condition=Q(ended_at__gte=F("started_at")), name="trip_times_in_order"),
        ]

    def __str__(self) -> str:
        return f"trip of booking {self.booking_id}"
