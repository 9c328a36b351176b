"""manage.py import_places"""

import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mobility.places.files import UnreadableFile, rows_of
from mobility.places.importing import Imported, import_places

WRONG_USE = 2
LARGEST_BATCH = 20_000


class Command(BaseCommand):
    """Fills the gazetteer."""

    help = (
        "Read places into the gazetteer (GEOCODER=gazetteer) from FILE: .csv with the columns name, lat, lon and, "
        "where there are, label, kind, importance (0 to 1) and id; .geojsonl, .ndjson or .geojsonseq with a GeoJSON "
        "Feature on each line; or .geojson with a FeatureCollection, which is read as a whole. All of the file is "
        "kept, or nothing: a bad row spoils it, unless --skip-bad. Safe to run again. Exit codes: 0 done, 1 the file "
        "was refused, 2 the command cannot be understood. "
        "Example: manage.py import_places western-cape.csv --source western-cape --replace"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what may be asked."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--source", help="what these places are called together; the file's name without ending")
        parser.add_argument("--replace", action="store_true", help="remove the source's places that FILE does not have")
        parser.add_argument("--skip-bad", action="store_true", help="keep the others when some rows are bad")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        parser.add_argument("--batch-size", type=int, default=2_000, help="rows a statement; default 2000")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, write, and say how many."""
        source = options["source"] or options["file"].stem
        if not 1 <= options["batch_size"] <= LARGEST_BATCH:
            raise CommandError(f"--batch-size must be from 1 to {LARGEST_BATCH}", returncode=WRONG_USE)
        if not 1 <= len(source) <= 50 or "\x00" in source:
            raise CommandError("--source must have 1 to 50 characters", returncode=WRONG_USE)
        began = time.monotonic()
        try:
            done = import_places(
                rows_of(options["file"]), source, batch_size=options["batch_size"], replace=options["replace"],
                skip_bad=options["skip_bad"], dry_run=options["dry_run"], progress=self._show,
            )  # fmt: skip
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}", returncode=WRONG_USE) from None
        except UnreadableFile as error:
            raise CommandError(f"Nothing was kept: {error}") from None
        except KeyboardInterrupt:
            raise CommandError("Interrupted: nothing was kept. The same command begins anew.") from None
        self._tell(done, time.monotonic() - began)
        if done.bad and not options["skip_bad"]:
            raise CommandError(f"Nothing was kept: {done.bad} bad rows. --skip-bad keeps the others.")
        if options["dry_run"]:
            self.stdout.write("Nothing was kept: this was a dry run.")

    def _show(self, done: Imported) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"\r{done.read:,} rows", ending="")

    def _tell(self, done: Imported, took_s: float) -> None:
        if self.stderr.isatty():
            self.stderr.write("\r", ending="")
        for bad in done.first_bad:
            self.stderr.write(f"line {bad.line}: {bad.reason}")
        if done.bad > len(done.first_bad):
            self.stderr.write(f"and {done.bad - len(done.first_bad)} more bad rows")
        removed = f", {done.removed} removed before" if done.removed else ""
        rate = done.read / max(took_s, 0.001)
        self.stdout.write(
            f"{done.read} rows read, {done.new} new, {done.changed} changed, {done.unchanged} as they were,"
            f" {done.bad} bad{removed}; {rate:.0f} rows a second"
        )
