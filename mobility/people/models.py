"""Who a person is: the user, what they may be, and the short-lived ticket that opens a socket."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now

E164 = r"^\+[1-9][0-9]{6,14}$"
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
