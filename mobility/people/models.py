"""Who a person is: the user, what they may be, the short-lived ticket that opens a socket; and keys of dashboards."""

from datetime import timedelta
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now

E164 = r"^\+[1-9][0-9]{6,14}$"
# So long a key of a dashboard lives, if nothing else is said, and at most.
API_KEY_DAYS, API_KEY_MOST_DAYS = 365, 5 * 365
validate_e164 = RegexValidator(E164, "A phone number in international form, like +27123456789.")


class Role(models.TextChoices):
    """What a user may be; one person can be several."""

    PASSENGER = "passenger"
    DRIVER = "driver"
    OPERATOR = "operator"


def _passenger() -> list[str]:
    return [Role.PASSENGER.value]


class People(UserManager["User"]):
    """Creates users."""

    def create_superuser(self, username: str, email: Any = None, password: Any = None, **fields: Any) -> "User":
        """An operator with every permission; asks for the phone like for anyone."""
        fields.setdefault("roles", [Role.OPERATOR.value])
        return super().create_superuser(username, email, password, **fields)


class User(AbstractUser):
    """A person with an account. `phone` is unique and in E.164; a phone inside a ride is only contact text."""

    phone = models.CharField(max_length=16, unique=True, validators=[validate_e164])
    roles = ArrayField(models.CharField(max_length=16, choices=Role.choices), default=_passenger)

    objects: ClassVar[People] = People()
    REQUIRED_FIELDS = ["phone"]

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(phone__regex=E164), name="user_phone_is_e164"),
            models.CheckConstraint(
                condition=models.Q(roles__contained_by=list(Role.values)), name="user_roles_are_known"
            ),
            # One may log in with either; nobody's username may pass for somebody else's phone.
            models.CheckConstraint(
                condition=~models.Q(username__regex=r"^\+?[0-9]+$") | models.Q(username=models.F("phone")),
                name="user_username_is_no_other_phone",
                violation_error_message="A username of digits must be the account's own phone number.",
            ),
        ]

    @property
    def display_name(self) -> str:
        """The name others see: the full name, else the username, but never the phone somebody registered with."""
        return self.get_full_name() or (f"user {self.pk}" if self.username == self.phone else self.username)


class SocketTicket(models.Model):
    """A single-use key to open one socket, for clients that can't send headers. Only its digest is stored."""

    digest = models.CharField(max_length=64, primary_key=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    # The login token it was asked with: when that is revoked, the sockets opened by the ticket close as well.
    token_digest = models.CharField(max_length=128, blank=True)
    # None: any ride. Else the only ride_id the ticket opens.
    ride_id = models.CharField(max_length=64, null=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "mobility_socket_ticket"


class Scope(models.TextChoices):
    """What a key of a dashboard may read, and a sentence for whoever gives it."""

    DRIVERS = "drivers:read", "drivers and where they are, without names, phones and registration numbers"
    BOOKINGS = "bookings:read", "rides, without the people"
    HISTORY = "history:read", "where drivers were"
    AREAS = "areas:read", "service areas"
    DEMAND = "demand:read", "demand by hexagon and hour"
    GEOCODE = "geocode", "addresses of places and places of addresses"


class ApiKey(models.Model):
    """A key that only reads, for a dashboard or a script: for so long, and no more than its scopes.

    Only the digest of its text is stored, and of the text itself the beginning, by which people know it again. A key
    is made and revoked; nothing else about it ever changes (sql/api_keys_v1.sql).
    """

    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(max_length=8)
    scopes = ArrayField(models.CharField(max_length=32, choices=Scope.choices))
    # None: made by `manage.py api_key`.
    created_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="To the minute.")

    class Meta:
        db_table = "mobility_api_key"
        verbose_name = "API key"
        constraints = [
            # So that the text of a key never ends up in its row, whoever writes it.
            models.CheckConstraint(condition=models.Q(digest__regex="^[0-9a-f]{64}$"), name="api_key_digest_is_one"),
            models.CheckConstraint(
                condition=models.Q(scopes__contained_by=list(Scope.values), scopes__len__gte=1),
                name="api_key_scopes_are_known",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    expires_at__gt=models.F("created_at"),
                    expires_at__lte=models.F("created_at") + timedelta(days=API_KEY_MOST_DAYS),
                ),
                name="api_key_expires_in_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
