"""manage.py import_areas"""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mobility.areas.geojson import BadShape
from mobility.areas.importing import How, Imported, Note, import_areas

WRONG_USE = 2


class Command(BaseCommand):
    """Keeps service areas."""

    help = (
        "Read service areas from FILE, a GeoJSON FeatureCollection or Feature of Polygons and MultiPolygons. An area "
        "is known by its name: one that is there already gets the file's shape, and keeps whether it is active and its "
        "radius where the file does not say. Shapes that cross themselves are repaired when that changes at most 1 %% "
        "of their surface. All of the file is kept, or nothing. Safe to run again. Exit codes: 0 done, 1 the file was "
        "refused, 2 the command cannot be understood. "
        "Example: manage.py import_areas suburbs.geojson --name-field NAME"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what may be asked."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--name-field", default="name", help="the property with the name; default name")
        parser.add_argument(
            "--radius-field", default="matching_radius_m",
            help="the property with the metres within which drivers are asked; default matching_radius_m",
        )  # fmt: skip
        parser.add_argument("--inactive", action="store_true", help="make these areas inactive")
        parser.add_argument("--replace", action="store_true", help="remove the areas that FILE does not have")
        parser.add_argument("--no-repair", action="store_true", help="refuse shapes that cross themselves")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, write, and say how many."""
        how = How(
            options["name_field"], options["radius_field"], inactive=options["inactive"], replace=options["replace"],
            repair=not options["no_repair"], dry_run=options["dry_run"],
        )  # fmt: skip
        try:
            done = import_areas(options["file"], how, self._show)
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}", returncode=WRONG_USE) from None
        except BadShape as wrong:
            raise CommandError(f"Nothing was kept: {wrong}") from None
        except KeyboardInterrupt:
            raise CommandError("Interrupted: nothing was kept. The same command begins anew.") from None
        self._tell(done)
        if done.bad:
            raise CommandError(f"Nothing was kept: {done.bad} of {done.read} features are bad.")
        if options["dry_run"]:
            self.stdout.write("Nothing was kept: this was a dry run.")

    def _show(self, done: Imported) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"\r{done.read:,} of {done.total:,} areas", ending="")

    def _tell(self, done: Imported) -> None:
        if self.stderr.isatty():
            self.stderr.write("\r", ending="")
        for note in done.repaired:
            self.stderr.write(f"{_which(note)}: repaired, {note.text}")
        for note in done.first_bad:
            self.stderr.write(f"{_which(note)}: {note.text}")
        if done.bad > len(done.first_bad):
            self.stderr.write(f"and {done.bad - len(done.first_bad)} more bad features")
        removed = f", {done.removed} removed" if done.removed else ""
        self.stdout.write(
            f"{done.read} areas read, {done.new} new, {done.changed} changed, {done.unchanged} as they were,"
            f" {len(done.repaired)} repaired, {done.bad} bad{removed}"
        )


def _which(note: Note) -> str:
    return f"feature {note.number} ({note.name})" if note.name else f"feature {note.number}"
