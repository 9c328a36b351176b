"""manage.py location_key"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mobility.drivers.models import Driver
from mobility.locations.keys import issue_key, revoke_key
from mobility.locations.models import LocationKey


class Command(BaseCommand):
    """Makes, lists and ends keys for machines that tell positions."""

    help = (
        "A key that only tells positions. --fleet: a gateway's, for every driver, at POST /api/v1/locations/. "
        "--driver: one phone's, for its driver, at /api/v1/track/. The key is printed once and not stored. "
        "Example: manage.py location_key --driver 12 --name 'spare phone'"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--fleet", action="store_true", help="make a key for a gateway")
        what.add_argument("--driver", type=int, metavar="ID", help="make a key for a phone of this driver")
        what.add_argument("--list", action="store_true", help="show all keys")
        what.add_argument("--revoke", type=int, metavar="KEY", help="end the key with this number")
        parser.add_argument("--name", default="", help="what the key is for; needed to make one")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do one of them."""
        if options["list"]:
            self._list()
        elif options["revoke"] is not None:
            if not revoke_key(options["revoke"]):
                raise CommandError(f"There is no key {options['revoke']} in force.")
            self.stdout.write("revoked; a phone's key that was used a moment ago works for 10 s more")
        else:
            self._make(options)

    def _list(self) -> None:
        for key in LocationKey.objects.order_by("pk"):
            whose = "fleet" if key.driver_id is None else f"driver {key.driver_id}"
            state = "in force" if key.revoked_at is None else f"revoked {key.revoked_at:%Y-%m-%d %H:%M}"
            self.stdout.write(f"{key.pk:>5}  {whose:<14} {state:<26} {key.name}")

    def _make(self, options: dict[str, Any]) -> None:
        if not options["name"].strip():
            raise CommandError("--name says what the key is for.")
        driver = None
        if options["driver"] is not None:
            driver = Driver.objects.filter(pk=options["driver"]).first()
            if driver is None:
                raise CommandError(f"There is no driver {options['driver']}.")
        key, text = issue_key(options["name"].strip()[:80], driver)
        self.stdout.write(f"key {key.pk}, told this once: {text}")
        if driver is None:
            self.stdout.write("POST /api/v1/locations/ with the header  Authorization: Key <key>")
        else:
            self.stdout.write("tracker app: address <server>/api/v1/track/, device identifier <key>")
