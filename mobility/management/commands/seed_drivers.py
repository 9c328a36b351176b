"""manage.py seed_drivers"""

import secrets
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from mobility.locations.seeds import DEMO_PASSWORD, SEEDS, seed_driver

SAID = {
    "created": "created",
    "restored": "was there; put back to available at the starting place",
    "busy": "has a live booking; left untouched",
}


class Command(BaseCommand):
    """Creates the three drivers of the demonstration."""

    help = (
        "Create the demo drivers driver1 (John Doe, sedan), driver2 (Jane Smith, suv) and driver3 (Mike Johnson, "
        "wheelchair_accessible): verified, available, stationary. Safe to run again; a driver with a live booking is "
        "never changed. Outside CARECONNECT_ENV=demo it needs --force, and the password is then random and printed. "
        "Example: manage.py seed_drivers"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare --force."""
        parser.add_argument("--force", action="store_true", help="also outside the demo")

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed and say what was done."""
        if not settings.DEMO and not options["force"]:
            raise CommandError(
                "These are demonstration drivers; this is not a demo (CARECONNECT_ENV). --force does it all the same."
            )
        password = DEMO_PASSWORD if settings.DEMO else secrets.token_urlsafe(12)
        for seed in SEEDS:
            done = seed_driver(seed, password)
            self.stdout.write(f"{seed.username} {seed.first_name} {seed.last_name}: {SAID[done]}")
        if not settings.DEMO:
            self.stdout.write(f"Password of all three: {password}")
