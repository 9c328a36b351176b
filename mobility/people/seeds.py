"""The operator and the passenger of the demonstration."""

from typing import NamedTuple

from django.db import transaction

from mobility.people.models import Role, User


class Person(NamedTuple):
    """One demo account."""

    username: str
    first_name: str
    last_name: str
    phone: str
    role: str
    is_superuser: bool


PEOPLE = (
    Person("operator", "Olivia", "Operator", "+27123456700", Role.OPERATOR.value, is_superuser=True),
    Person("passenger1", "Sarah", "Johnson", "+27123456701", Role.PASSENGER.value, is_superuser=False),
)


@transaction.atomic
def seed_person(person: Person, password: str) -> str:
    """Create one demo account, or give it its password back; what was done: `created`, `restored` or `unchanged`."""
    user, created = User.objects.get_or_create(
        username=person.username,
        defaults={
            "phone": person.phone,
            "first_name": person.first_name,
            "last_name": person.last_name,
            "roles": [person.role],
            "is_staff": person.is_superuser,
            "is_superuser": person.is_superuser,
        },
    )
    if not created and user.check_password(password):
        return "unchanged"
    user.set_password(password)
    user.save(update_fields=["password"])
    return "created" if created else "restored"
