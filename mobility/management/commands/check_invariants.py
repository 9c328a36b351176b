"""manage.py check_invariants"""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from mobility.invariants.queries import broken_invariants, names


class Command(BaseCommand):
    """Reports rows that break what must always hold."""

    help = (
        "Read everything in one snapshot and report the rows that break an invariant: double bookings, gaps in a "
        "ride's log, drivers busy without a ride, positions off the Earth. Exit code 0: all hold, 1: some don't. "
        "Example: manage.py check_invariants --json"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
        parser.add_argument("--limit", type=int, default=100, help="rows to show for each invariant (default 100)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check and report."""
        broken = broken_invariants(options["limit"])
        if options["json"]:
            report = {"checked": names(), "broken": [b._asdict() for b in broken]}
            self.stdout.write(json.dumps(report, default=str))
        else:
            for b in broken:
                self.stdout.write(f"BROKEN {b.name}: {b.says}")
                for row in b.rows:
                    self.stdout.write("    " + ", ".join(f"{k}={v}" for k, v in row.items()))
            self.stdout.write(f"{len(names())} invariants checked, {len(broken)} broken")
        if broken:
            raise SystemExit(1)
