"""A passenger's ride and the log of everything that happened to it."""

from datetime import timedelta

from django.conf import settings
from django.contrib.gis.db import models
from django.contrib.postgres.indexes import GistIndex
from django.db.models import F, Func, Q
from django.db.models.functions import Coalesce, Now

from geo.params import MAX_RADIUS_M
from mobility.bookings.states import BOUND, LIVE, TERMINAL, WITHOUT_DRIVER, ActorRole, EventName, Status
from mobility.drivers.models import Driver, VehicleType

RIDE_ID = r"^[A-Za-z0-9_-]{1,64}$"


class FareOrigin(models.TextChoices):
    """Where the fare on a booking comes from."""

    NONE = "none"
    CLIENT = "client"


class DistanceOrigin(models.TextChoices):
    """Where the trip distance comes from: the client's own figure, or the geodesic between the two points."""

    CLIENT = "client"
    GEODESIC = "geodesic"


class Booking(models.Model):
    """One ride, from the request to its end. `seq` is the number of its newest log row.

    Every move goes through a service that writes the row and its log entry in one transaction; constraints and
    triggers refuse the rest (mobility/bookings/sql). Distances are metres, durations seconds, money minor units.
    """

    ride_id = models.CharField(max_length=64)
    # None: a guest of the demonstration.
    # No index of its own: the unique pair with ride_id starts with it.
    passenger = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="bookings", db_index=False
    )
    passenger_phone = models.CharField(max_length=32, blank=True)
    # No index of its own: booking_of_driver starts with it.
    driver = models.ForeignKey(Driver, null=True, on_delete=models.PROTECT, related_name="bookings", db_index=False)
    # The accepted offer by which the driver is bound; the pair of both is held together by a foreign key in SQL.
    offer_id = models.BigIntegerField(null=True, editable=False)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    seq = models.PositiveIntegerField(default=1)

    pickup = models.PointField(srid=4326, spatial_index=False)
    pickup_address = models.CharField(max_length=300, blank=True)
    dropoff = models.PointField(srid=4326, spatial_index=False)
    dropoff_address = models.CharField(max_length=300, blank=True)
    # How often a geocoder was asked for an address that the request left out: bookings/addresses.py.
    address_tries = models.SmallIntegerField(default=0, db_default=0, editable=False)
    # What the service area said when the ride was asked for: the number is kept as it was, the area may be gone since.
    service_area_id = models.BigIntegerField(null=True, editable=False)
    # How far from the pickup drivers are asked, metres; None: the knob search_radius_m.
    search_radius_m = models.FloatField(null=True, editable=False)
    vehicle_type = models.CharField(max_length=32, choices=VehicleType.choices, null=True)
    notes = models.CharField(max_length=500, blank=True)

    distance_m = models.FloatField()
    distance_origin = models.CharField(max_length=16, choices=DistanceOrigin.choices)
    duration_s = models.FloatField(null=True)
    fare_minor = models.BigIntegerField(null=True)
    fare_currency = models.CharField(max_length=3)
    fare_origin = models.CharField(max_length=16, choices=FareOrigin.choices)
    # Fingerprint of the request's content: tells a repeated request from another one under the same ride_id.
    request_digest = models.CharField(max_length=64)

    requested_at = models.DateTimeField(db_default=Now())
    search_started_at = models.DateTimeField(db_default=Now())
    # When the search ends unless somebody accepts.
    search_until = models.DateTimeField(null=True, db_default=Now() + timedelta(seconds=90))
    # When the dispatcher must look at this ride next: never later than its nearest deadline, perhaps earlier.
    due_at = models.DateTimeField(null=True, db_default=Now())
    # Search rounds so far, each with its explanation.
    rounds = models.PositiveIntegerField(default=0, db_default=0)
    # How often a driver gave the ride back or was lost.
    releases = models.PositiveSmallIntegerField(default=0, db_default=0)
    confirmed_at = models.DateTimeField(null=True)
    arrived_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    unfulfilled_at = models.DateTimeField(null=True)
    no_show_at = models.DateTimeField(null=True)
    # From when the driver may report that nobody came; fixed at the arrival.
    no_show_from = models.DateTimeField(null=True)
    # Since when the ride needs an operator's eye, because its driver went silent on the way.
    attention_since = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    cancelled_by = models.CharField(max_length=16, choices=ActorRole.choices, null=True)
    cancellation_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [
            models.Index(F("requested_at").desc(), F("id").desc(), name="booking_newest_first"),
            models.Index("driver", "confirmed_at", condition=Q(status__in=sorted(BOUND)), name="booking_bound"),
            # Which ride a driver had at a certain time: the last one confirmed before it, if it still went on.
            models.Index(fields=["driver", "confirmed_at"], name="booking_of_driver"),
            models.Index("due_at", condition=Q(due_at__isnull=False), name="booking_due"),
            # Rides that were driven, by time: which of them lack their trip?
            models.Index(
                "started_at",
                condition=Q(started_at__isnull=False, status__in=[Status.CANCELLED, Status.COMPLETED]),
                name="booking_driven",
            ),
            # Rides that lack an address, by age: the young ones are looked up.
            models.Index(
                "requested_at",
                condition=(Q(pickup_address="") | Q(dropoff_address="")) & ~Q(status__in=sorted(TERMINAL)),
                name="booking_lacks_address",
            ),
            # Rides that had a driver, by their end: who was driving at a certain time?
            models.Index(
                Coalesce("completed_at", "cancelled_at", "no_show_at"),
                condition=Q(driver__isnull=False, status__in=sorted(TERMINAL)),
                name="booking_ended",
            ),
            # Waiting rides, nearest first, for a driver who becomes free.
            GistIndex(
                Func(F("pickup"), template="(%(expressions)s::geography)"),
                condition=Q(status=Status.PENDING),
                name="booking_waiting",
            ),
            # The largest radius of a waiting ride: how far such a driver must look.
            models.Index(
                "search_radius_m",
                condition=Q(status=Status.PENDING, search_radius_m__isnull=False),
                name="booking_waiting_radius",
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=Status.values), name="booking_status_is_known"),
            models.CheckConstraint(condition=Q(ride_id__regex=RIDE_ID), name="booking_ride_id_is_plain"),
            models.UniqueConstraint("passenger", "ride_id", name="booking_one_per_passenger_and_ride_id"),
            models.UniqueConstraint(
                "ride_id",
                condition=Q(passenger__isnull=True) & ~Q(status__in=sorted(TERMINAL)),
                name="booking_one_open_per_guest_ride_id",
            ),
            models.UniqueConstraint(
                "passenger", condition=Q(status__in=sorted(LIVE)), name="booking_one_live_per_passenger"
            ),
            models.UniqueConstraint(
                "driver", condition=Q(status__in=sorted(BOUND)), name="booking_one_live_per_driver"
            ),
            models.CheckConstraint(
                condition=Q(driver__isnull=False) | ~Q(status__in=[*sorted(BOUND), Status.COMPLETED, Status.NO_SHOW]),
                name="booking_bound_has_driver",
            ),
            models.CheckConstraint(
                condition=Q(driver__isnull=True) | ~Q(status__in=sorted(WITHOUT_DRIVER)),
                name="booking_waiting_has_no_driver",
            ),
            models.CheckConstraint(
                condition=Q(fare_minor__isnull=True) | Q(fare_minor__gte=0), name="booking_fare_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(fare_minor__isnull=True, fare_origin=FareOrigin.NONE)
                | (Q(fare_minor__isnull=False) & ~Q(fare_origin=FareOrigin.NONE)),
                name="booking_fare_has_origin",
            ),
            # NaN is greater than every number in PostgreSQL, so an upper bound refuses it too.
            models.CheckConstraint(
                condition=Q(search_radius_m__isnull=True)
                | Q(search_radius_m__gte=1, search_radius_m__lte=MAX_RADIUS_M),
                name="booking_radius_is_sane",
            ),
            models.CheckConstraint(
                condition=Q(distance_m__gte=0, distance_m__lte=20_100_000), name="booking_distance_is_sane"
            ),
            models.CheckConstraint(
                condition=Q(duration_s__isnull=True) | Q(duration_s__gte=0, duration_s__lte=31_536_000),
                name="booking_duration_is_sane",
            ),
            models.CheckConstraint(
                condition=Q(cancelled_at__isnull=False, cancelled_by__isnull=False, status=Status.CANCELLED)
                | (Q(cancelled_at__isnull=True, cancelled_by__isnull=True) & ~Q(status=Status.CANCELLED)),
                name="booking_cancellation_is_told",
            ),
            models.CheckConstraint(
                condition=Q(driver__isnull=True, offer_id__isnull=True)
                | Q(driver__isnull=False, offer_id__isnull=False),
                name="booking_driver_has_offer",
            ),
            # No ride waits for ever: while it lives somebody has to look at it at a certain time.
            models.CheckConstraint(
                condition=Q(status__in=sorted(LIVE), due_at__isnull=False)
                | (Q(due_at__isnull=True) & ~Q(status__in=sorted(LIVE))),
                name="booking_live_has_deadline",
            ),
            models.CheckConstraint(
                condition=~Q(status=Status.PENDING) | Q(search_until__isnull=False), name="booking_search_has_limit"
            ),
            models.CheckConstraint(
                condition=(
                    Q(confirmed_at__isnull=False) | ~Q(status__in=[*sorted(BOUND), Status.COMPLETED, Status.NO_SHOW])
                )
                & (Q(started_at__isnull=False) | ~Q(status__in=[Status.IN_PROGRESS, Status.COMPLETED]))
                & (Q(completed_at__isnull=False) | ~Q(status=Status.COMPLETED))
                & (Q(no_show_at__isnull=False) | ~Q(status=Status.NO_SHOW))
                & (Q(unfulfilled_at__isnull=False) | ~Q(status=Status.UNFULFILLED)),
                name="booking_status_has_its_time",
            ),
        ]

    def __str__(self) -> str:
        return f"booking {self.pk}, ride {self.ride_id}, {self.status}"


class RideEvent(models.Model):
    """One move of one ride: append-only history, audit, and what a reconnecting client replays.

    `payload` holds what the passenger may see, with ids in place of names, phones and addresses, so that erasing a
    person never has to touch the log.
    """

    pk = models.CompositePrimaryKey("booking_id", "seq")
    booking = models.ForeignKey(Booking, on_delete=models.PROTECT, related_name="events", db_index=False)
    seq = models.PositiveIntegerField()
    event = models.CharField(max_length=32, choices=EventName.choices)
    from_status = models.CharField(max_length=16, blank=True)
    to_status = models.CharField(max_length=16, choices=Status.choices)
    actor_id = models.BigIntegerField(null=True)
    actor_role = models.CharField(max_length=16, choices=ActorRole.choices)
    occurred_at = models.DateTimeField(db_default=Now())
    payload = models.JSONField(default=dict)

    class Meta:
        db_table = "mobility_ride_event"
        constraints = [models.CheckConstraint(condition=Q(seq__gte=1), name="ride_event_seq_from_1")]

    def __str__(self) -> str:
        return f"{self.booking_id}/{self.seq} {self.event}"
