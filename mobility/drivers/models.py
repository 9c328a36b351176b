"""Who can drive."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from mobility.people.models import E164, validate_e164


class VehicleType(models.TextChoices):
    """What comes to fetch the passenger."""

    SEDAN = "sedan"
    HATCHBACK = "hatchback"
    SUV = "suv"
    MINIBUS = "minibus"
    WHEELCHAIR_ACCESSIBLE = "wheelchair_accessible", "wheelchair accessible"
    AMBULANCE = "ambulance"


class DriverStatus(models.TextChoices):
    """`busy` holds exactly while the driver has a live booking; the database checks it at commit."""

    AVAILABLE = "available"
    BUSY = "busy"
    OFFLINE = "offline"


class Driver(models.Model):
    """A person with a vehicle. Matched while available, verified and at a fresh position."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="driver")
    phone = models.CharField(max_length=16, unique=True, validators=[validate_e164])
    license_number = models.CharField(max_length=32, unique=True)
    vehicle_registration = models.CharField(max_length=32, unique=True)
    vehicle_type = models.CharField(max_length=32, choices=VehicleType.choices)
    status = models.CharField(max_length=16, choices=DriverStatus.choices, default=DriverStatus.OFFLINE)
    rating = models.DecimalField(
        max_digits=2, decimal_places=1, default=5, validators=[MinValueValidator(1), MaxValueValidator(5)]
    )
    total_rides = models.PositiveIntegerField(default=0)
    verified = models.BooleanField(default=False, help_text="Papers and vehicle were checked; only then matched.")
    stationary = models.BooleanField(
        default=False, help_text="A rank or a clinic's own car: the position set here counts as fresh until it moves."
    )
    auto_accept = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Takes every request at once, on the server, with or without a connected app.",
    )
    # How many requests in a row ran out unanswered; at `misses_until_offline` the driver goes offline.
    missed_offers = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    # The number of the newest row in the driver's inbox, counted under this row's lock.
    inbox_seq = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    is_demo = models.BooleanField(default=False, editable=False, help_text="Made by seed_drivers.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(phone__regex=E164), name="driver_phone_is_e164"),
            models.CheckConstraint(condition=Q(status__in=DriverStatus.values), name="driver_status_is_known"),
            models.CheckConstraint(
                condition=Q(vehicle_type__in=VehicleType.values), name="driver_vehicle_type_is_known"
            ),
            models.CheckConstraint(condition=Q(rating__gte=1, rating__lte=5), name="driver_rating_is_1_to_5"),
        ]

    def __str__(self) -> str:
        return f"{self.user.display_name} ({self.vehicle_registration})"


class Presence(models.Model):
    """A driver's open socket, as a lease that runs out: a server process that dies leaves nobody present for long.

    Never cleared on a disconnect: a phone that comes out of a tunnel finds its driver still there. `socket_id` names
    the newest connection; an older one that finds another name here closes.
    """

    driver = models.OneToOneField(Driver, on_delete=models.CASCADE, primary_key=True, related_name="presence")
    socket_id = models.UUIDField()
    connected_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "mobility_driver_presence"

    def __str__(self) -> str:
        return f"driver {self.driver_id} until {self.lease_until}"


class InboxKind(models.TextChoices):
    """What a driver is told that is not a move of a ride of theirs."""

    RIDE_REQUEST = "ride_request"
    RIDE_REQUEST_CLOSED = "ride_request_closed"
    RIDE_ASSIGNED = "ride_assigned"
    RIDE_CANCELLED = "ride_cancelled"
    RIDE_RELEASED = "ride_released"
    RIDE_COMPLETED = "ride_completed"
    WENT_OFFLINE = "went_offline"


class InboxEvent(models.Model):
    """One thing a driver was told, numbered per driver without gaps: append-only, in the transaction that made it true.

    Ids only: what a request says about its passenger is read from the booking when it is told.
    """

    pk = models.CompositePrimaryKey("driver_id", "seq")
    driver = models.ForeignKey(Driver, on_delete=models.PROTECT, related_name="inbox", db_index=False)
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=24, choices=InboxKind.choices)
    booking_id = models.BigIntegerField(null=True)
    offer_id = models.BigIntegerField(null=True)
    reason = models.CharField(max_length=300, blank=True)
    occurred_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "mobility_driver_inbox"
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=InboxKind.values), name="inbox_kind_is_known"),
            models.CheckConstraint(condition=Q(seq__gte=1), name="inbox_seq_from_1"),
        ]

    def __str__(self) -> str:
        return f"{self.driver_id}/{self.seq} {self.kind}"
