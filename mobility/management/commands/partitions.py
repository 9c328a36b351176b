"""manage.py partitions"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from mobility.conf import knobs
from mobility.locations.partitions import keep_partitions, partitions


class Command(BaseCommand):
    """Keeps the days of the positions of the past."""

    help = (
        "Make the days (UTC) of the table of past positions ahead and drop those older than "
        "CARECONNECT_POSITION_KEEP_DAYS, with all positions in them. The dispatcher does the same every ten minutes. "
        "Example: manage.py partitions --list"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare --list."""
        parser.add_argument("--list", action="store_true", help="only show the partitions and their sizes")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make and drop, or list."""
        if options["list"]:
            for name, rows, size in partitions():
                self.stdout.write(f"{name:<28} {rows:>12,} rows {size / 2**20:>10,.1f} MiB")
            return
        try:
            done = keep_partitions()
        except OperationalError as error:
            raise CommandError(f"The table of positions is busy, try again: {error}") from error
        self.stdout.write(f"{done.made} days made, {done.dropped} dropped; {knobs().position_keep_days} days are kept")
