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
