"""manage.py seed_people"""

import secrets
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from mobility.locations.seeds import DEMO_PASSWORD
from mobility.people.seeds import PEOPLE, seed_person

SAID = {
    "created": "created",
    "restored": "was there; has its password back",
    "unchanged": "was there",
}


class Command(BaseCommand):
    """Creates the accounts of the demonstration that are not drivers."""

    help = (
        "Create the demo accounts operator (may do everything at /admin/) and passenger1. Safe to run again. Outside "
        "CARECONNECT_ENV=demo it needs --force, and the password is then random and printed. "
        "Example: manage.py seed_people"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare --force."""
        parser.add_argument("--force", action="store_true", help="also outside the demo")

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed and say what was done."""
        if not settings.DEMO and not options["force"]:
            raise CommandError(
                "These are demonstration accounts; this is not a demo (CARECONNECT_ENV). --force does it all the same."
            )
        password = DEMO_PASSWORD if settings.DEMO else secrets.token_urlsafe(12)
        for person in PEOPLE:
            self.stdout.write(f"{person.username} ({person.role}): {SAID[seed_person(person, password)]}")
        if not settings.DEMO:
            self.stdout.write(f"Password of both: {password}")
