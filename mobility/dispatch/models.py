"""Whom was asked for a ride and how it ended, and why others were not: offers, search rounds, considered drivers."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from mobility.bookings.models import Booking
from mobility.dispatch.states import CloseReason, OfferOrigin, OfferStatus, Outcome, Verdict
from mobility.drivers.models import Driver


class Offer(models.Model):
    """One ride offered to one driver. While pending it has a deadline; once settled it only may be given back.

    Every change but the acknowledgement is made under the lock of the ride's row. `due_at` is the time the dispatcher
    acts on: until the driver has the request, the limit for that; then `expires_at`.
    """

    # No indexes of their own: those below begin with them.
    booking = models.ForeignKey(Booking, on_delete=models.PROTECT, related_name="offers", db_index=False)
    driver = models.ForeignKey(Driver, on_delete=models.PROTECT, related_name="offers", db_index=False)
    round = models.PositiveIntegerField()
    status = models.CharField(max_length=16, choices=OfferStatus.choices)
    reason = models.CharField(max_length=16, choices=CloseReason.choices, null=True)
    origin = models.CharField(max_length=16, choices=OfferOrigin.choices, default=OfferOrigin.ASKED, db_default="asked")
    pickup_distance_m = models.FloatField(null=True)
    decline_reason = models.CharField(max_length=300, blank=True, db_default="")
    offered_at = models.DateTimeField(db_default=Now())
    delivered_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index("booking", "driver", name="offer_of_ride"),
            models.Index(F("driver"), F("id").desc(), name="offer_of_driver"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=OfferStatus.values), name="offer_status_is_known"),
            models.CheckConstraint(condition=Q(origin__in=OfferOrigin.values), name="offer_origin_is_known"),
            models.CheckConstraint(
                # IS NOT NULL has to be said: a CHECK lets pass what is unknown.
                condition=Q(status=OfferStatus.WITHDRAWN, reason__isnull=False, reason__in=CloseReason.values)
                | (Q(reason__isnull=True) & ~Q(status=OfferStatus.WITHDRAWN)),
                name="offer_withdrawal_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(
                    status=OfferStatus.PENDING, settled_at__isnull=True, due_at__isnull=False, expires_at__isnull=False
                )
                | (Q(settled_at__isnull=False) & ~Q(status=OfferStatus.PENDING)),
                name="offer_pending_has_deadline",
            ),
            models.CheckConstraint(
                condition=Q(pickup_distance_m__isnull=True)
                | Q(pickup_distance_m__gte=0, pickup_distance_m__lte=20_100_000),
                name="offer_distance_is_sane",
            ),
            models.UniqueConstraint(
                "booking", condition=Q(status=OfferStatus.ACCEPTED), name="offer_one_accepted_per_ride"
            ),
            models.UniqueConstraint(
                "driver", condition=Q(status=OfferStatus.PENDING), name="offer_one_live_per_driver"
            ),
            # What the booking's foreign key points at.
            models.UniqueConstraint(fields=["id", "booking", "driver"], name="offer_of_ride_and_driver"),
        ]

    def __str__(self) -> str:
        return f"offer {self.pk} of booking {self.booking_id} to driver {self.driver_id}, {self.status}"


class SearchRound(models.Model):
    """One look for drivers: when, by which strategy, and what came of it."""

    pk = models.CompositePrimaryKey("booking_id", "round")
    booking = models.ForeignKey(Booking, on_delete=models.PROTECT, related_name="search_rounds", db_index=False)
    round = models.PositiveIntegerField()
    made_at = models.DateTimeField(db_default=Now(), db_index=True)
    # Its name, and " by eta" where travel times had a say in the order of asking.
    strategy = models.CharField(max_length=32)
    radius_m = models.FloatField()
    outcome = models.CharField(max_length=16, choices=Outcome.choices)

    class Meta:
        db_table = "mobility_search_round"
        constraints = [models.CheckConstraint(condition=Q(outcome__in=Outcome.values), name="round_outcome_is_known")]

    def __str__(self) -> str:
        return f"round {self.round} of booking {self.booking_id}: {self.outcome}"


class ConsideredDriver(models.Model):
    """A driver near the pickup in one search round, and the first rule that ruled them out; or that they were asked."""

    pk = models.CompositePrimaryKey("booking_id", "round", "driver_id")
    # Written with every search and thrown away when old: no foreign keys to check for each of the rows.
    booking = models.ForeignKey(
        Booking, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    round = models.PositiveIntegerField()
    driver = models.ForeignKey(
        Driver, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    distance_m = models.FloatField()
    verdict = models.CharField(max_length=16, choices=Verdict.choices)

    class Meta:
        db_table = "mobility_search_considered"
        constraints = [
            models.CheckConstraint(condition=Q(verdict__in=Verdict.values), name="considered_verdict_is_known")
        ]

    def __str__(self) -> str:
        return f"{self.booking_id}/{self.round} driver {self.driver_id}: {self.verdict}"
