"""manage.py api_key"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mobility.people.keys import issue_api_key, revoke_api_key
from mobility.people.models import API_KEY_DAYS, API_KEY_MOST_DAYS, ApiKey, Scope


class Command(BaseCommand):
    """Makes, lists and revokes keys of dashboards."""

    help = (
        "A key that only reads, for a dashboard or a script: Authorization: Key <key>. It is printed once and not "
        "stored. Example: manage.py api_key 'city dashboard' --scope drivers:read --scope demand:read --days 90"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("name", nargs="?", help="what the new key is for")
        what.add_argument("--list", action="store_true", help="show all keys")
        what.add_argument("--revoke", type=int, metavar="ID", help="end the key with this number")
        scopes = ", ".join(Scope.values)
        parser.add_argument("--scope", action="append", choices=Scope.values, metavar="SCOPE", help=f"{scopes}")
        parser.add_argument(
            "--days", type=int, default=API_KEY_DAYS, help=f"until it ends; {API_KEY_DAYS}, at most {API_KEY_MOST_DAYS}"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do one of them."""
        if options["list"]:
            self._list()
        elif options["revoke"] is not None:
            if not revoke_api_key(options["revoke"]):
                raise CommandError(f"There is no key {options['revoke']} that could be revoked.")
            self.stdout.write("revoked")
        else:
            self._make(options["name"].strip()[:80], options["scope"] or [], options["days"])

    def _list(self) -> None:
        for key in ApiKey.objects.order_by("pk"):
            state = f"until {key.expires_at:%Y-%m-%d}"
            if key.revoked_at is not None:
                state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}"
            used = "never used" if key.last_used_at is None else f"used {key.last_used_at:%Y-%m-%d %H:%M}"
            self.stdout.write(f"{key.pk:>5}  {key.prefix}  {state:<24} {used:<21} {','.join(key.scopes)}  {key.name}")

    def _make(self, name: str, scopes: list[str], days: int) -> None:
        if not name:
            raise CommandError("The name says what the key is for.")
        if not scopes:
            raise CommandError(f"--scope says what it may read: {', '.join(Scope.values)}")
        if not 1 <= days <= API_KEY_MOST_DAYS:
            raise CommandError(f"--days is 1 to {API_KEY_MOST_DAYS}.")
        key, text = issue_api_key(name, set(scopes), days=days)
        self.stdout.write(f"key {key.pk} until {key.expires_at:%Y-%m-%d}, told this once: {text}")
        self.stdout.write("Send it with the header  Authorization: Key <key>")
