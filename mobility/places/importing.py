"""Files of places into the gazetteer: all of a file, or nothing of it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from django.db import transaction

from mobility.places.files import BadRow, Row
from mobility.transactions import rows

BAD_SHOWN = 10
FORGOTTEN_AT_ONCE = 5_000


@dataclass(slots=True)
class Imported:
    """How many rows were read and what became of them; the first ten bad ones."""

    read: int = 0
    new: int = 0
    changed: int = 0
    removed: int = 0
    bad: int = 0
    first_bad: list[BadRow] = field(default_factory=list)
    kept: bool = False

    @property
    def unchanged(self) -> int:
        """Rows that said nothing new, those that stand twice in a file among them."""
        return self.read - self.bad - self.new - self.changed


def import_places(
    told: Iterable[Row | BadRow], source: str, *, batch_size: int, replace: bool = False, skip_bad: bool = False,
    dry_run: bool = False, progress: Callable[[Imported], None] = lambda _: None,
) -> Imported:  # fmt: skip
    """Put these rows into the gazetteer as places of this source, in one transaction; what was done.

    With `replace` the source's places that stand in no row are gone afterwards. A bad row spoils all of it, unless
    `skip_bad`. Whatever is raised while reading, nothing is kept. The same again changes nothing.
    """
    done = Imported()
    with transaction.atomic():
        if replace:
            done.removed = _forget(source)
        for batch in _batches(told, batch_size):
            done.read += len(batch)
            _note_bad(done, [row for row in batch if isinstance(row, BadRow)])
            if done.bad and not skip_bad:
                continue  # to the end, for the count; nothing will be kept
            _write(done, source, [row for row in batch if isinstance(row, Row)])
            progress(done)
        done.kept = not dry_run and (skip_bad or not done.bad)
        if not done.kept:
            transaction.set_rollback(True)
    return done


def _forget(source: str) -> int:
    gone = 0
    while some := len(rows("places/sql/forget_source", {"source": source, "at_once": FORGOTTEN_AT_ONCE})):
        gone += some
    return gone


def _batches(told: Iterable[Row | BadRow], size: int) -> Iterator[list[Row | BadRow]]:
    rest = iter(told)
    while batch := list(islice(rest, size)):
        yield batch


def _note_bad(done: Imported, bad: list[BadRow]) -> None:
    done.bad += len(bad)
    done.first_bad += bad[: BAD_SHOWN - len(done.first_bad)]


def _write(done: Imported, source: str, batch: list[Row]) -> None:
    places = list({row.source_id: row for row in batch}.values())  # of two with one id the later
    if not places:
        return
    written = rows(
        "places/sql/upsert",
        {
            "source": source,
            "names": [p.name for p in places], "kinds": [p.kind for p in places],
            "labels": [p.label for p in places], "foldeds": [p.folded for p in places],
            "longitudes": [p.longitude for p in places], "latitudes": [p.latitude for p in places],
            "importances": [p.importance for p in places], "source_ids": [p.source_id for p in places],
        },
    )  # fmt: skip
    done.new += sum(row.is_new for row in written)
    done.changed += sum(not row.is_new for row in written)
