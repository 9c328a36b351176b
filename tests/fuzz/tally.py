"""What the hostile clients sent and heard, and what must not have been."""

from collections import Counter
from typing import Any

from tests.fuzz.grammar import Shot


class Tally:
    """Counts by kind; every violation with the number that repeats it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.sent: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.closes: Counter[str] = Counter()
        self.violations: list[dict[str, Any]] = []
        self.rides: set[str] = set()  # ride ids for which a find_driver was sent that could begin one
        self.command_ids: set[str] = set()
        self.opened = 0

    def violation(self, what: str, number: int | None = None, shot: Shot | None = None, told: bytes = b"") -> None:
        """Something that must not be."""
        self.violations.append(
            {
                "what": what, "replay": None if number is None else f"{self.seed}:{number}",
                "kind": shot and shot.kind, "told": told[:300].decode(errors="replace"),
                "frame": shot and shot.wire[:2_000].hex(),
            }
        )  # fmt: skip
