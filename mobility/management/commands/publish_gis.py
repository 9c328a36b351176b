"""manage.py publish_gis"""

import time
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mobility.analytics.publish import due_periods, publish_period

WRONG_USE = 2
ALL = 100_000


class Command(BaseCommand):
    """Publishes what is due of schema gis."""

    help = (
        "Publish the days and months that are over and that analysts do not see yet, oldest first. The dispatcher does "
        "it by itself; by hand it is done at once, for example after an upgrade of a service with a past. Each day "
        "appears as a whole; Ctrl-C stops after one, and the same command goes on. Exit codes: 0 done, 1 another "
        "process is publishing, 2 the command cannot be understood. Example: manage.py publish_gis --since 2026-01-01"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what may be asked."""
        parser.add_argument("--since", metavar="DATE", help="nothing older than the month of this day (YYYY-MM-DD)")
        parser.add_argument("--dry-run", action="store_true", help="say what would be published, and publish nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Publish, and say how many days and months."""
        since = _day(options["since"])
        due = due_periods(since=since, at_once=ALL)
        if options["dry_run"]:
            self._tell_due(due)
            return
        began, done = time.monotonic(), 0
        try:
            for period in due:
                if not publish_period(period):
                    raise CommandError(f"Another process is publishing; {done} of {len(due)} were done here.")
                done += 1
                self._show(done, len(due), period)
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted: {done} of {len(due)} published. The same command goes on.") from None
        took_s = time.monotonic() - began
        self._end_progress()
        self.stdout.write(f"{done} published; {done / max(took_s, 0.001):.1f} a second")

    def _tell_due(self, due: list[Any]) -> None:
        for period in due:
            self.stdout.write(f"{period.kind} {period.begins}")
        self.stdout.write(f"{len(due)} would be published")

    def _show(self, done: int, total: int, period: Any) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"\r{done} of {total}: {period.kind} {period.begins}   ", ending="")

    def _end_progress(self) -> None:
        if self.stderr.isatty():
            self.stderr.write("\r", ending="")


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise CommandError("--since must be a day like 2026-01-31", returncode=WRONG_USE) from None
