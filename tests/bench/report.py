"""Figures: how they are summed up, shown and kept."""

import json
import platform
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

console = Console(highlight=False, width=None if Console().is_terminal else 140)
DISTURBED = 0.05  # share of all cores
PACKAGES = ("Django", "channels", "uvicorn", "uvloop", "psycopg", "psycopg-pool", "redis", "hiredis")


def say(text: str) -> None:
    """Tell the person at the terminal what happens now."""
    console.print(f"[dim]{datetime.now(UTC).astimezone():%H:%M:%S}[/] {text}")


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` per cent of the others do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def middle(values: Iterable[float]) -> float:
    """The median: what one disturbed round cannot move far."""
    return statistics.median(values)


def share_of(part: Sequence[float], whole: Sequence[float]) -> float:
    """Median of the rounds' ratios. Both halves of a round ran one after the other, so the machine's drift cancels."""
    return middle(a / b for a, b in zip(part, whole, strict=True))


@dataclass
class Target:
    """One promise and what was measured. Without a measurement it says why there is none."""

    what: str
    measured: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    stretch: float | None = None
    why_not: str = ""

    @property
    def met(self) -> bool | None:
        """Whether it was kept; None when it was not measured."""
        if self.measured is None:
            return None
        if self.at_least is not None:
            return self.measured >= self.at_least
        assert self.at_most is not None
        return self.measured <= self.at_most

    def verdict(self) -> str:
        """In a word."""
        return {True: "[green]met[/]", False: "[bold red]MISSED[/]", None: f"[yellow]not measured: {self.why_not}[/]"}[
            self.met
        ]

    def limit(self) -> str:
        """The limit in words."""
        words = f"at least {_plain(self.at_least)}" if self.at_least is not None else f"at most {_plain(self.at_most)}"
        return words + ("" if self.stretch is None else f" (stretch {_plain(self.stretch)})")


@dataclass
class Result:
    """What one bench found: a table of figures, the targets, and what to know about them."""

    name: str
    about: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rounds: dict[str, Any] = field(default_factory=dict)
    others_cpu_share: float = 0.0

    def disturbed_by(self, share: float) -> None:
        """Note how much of the machine other programs used meanwhile."""
        self.others_cpu_share = round(share, 3)
        doubt = ": do not trust the figures" if share > DISTURBED else ""
        self.notes.append(f"Other programs used {share:.0%} of the machine's CPU meanwhile{doubt}.")

    def show(self) -> None:
        """Print the tables."""
        table = Table(title=f"\n{self.name}: {self.about}", title_justify="left", title_style="bold")
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        for column in columns:
            table.add_column(column, justify="left" if column == columns[0] else "right")
        for row in self.rows:
            table.add_row(*(shown(row.get(column)) for column in columns))
        console.print(table)
        for note in self.notes:
            console.print(f"  [dim]{note}[/]")

    def keep(self, folder: Path, facts: dict[str, Any]) -> None:
        """Write `NAME.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        content = facts | asdict(self)
        content["targets"] = [asdict(t) | {"met": t.met} for t in self.targets]
        (folder / f"{self.name}.json").write_text(json.dumps(content, indent=1) + "\n")


def show_targets(results: Iterable[Result]) -> None:
    """The last table: every promise with its verdict."""
    table = Table(title="\ntargets", title_justify="left", title_style="bold")
    for column, side in (("bench", "left"), ("target", "left"), ("measured", "right"), ("limit", "right")):
        table.add_column(column, justify=side)  # type: ignore[arg-type]
    table.add_column("verdict")
    for result in results:
        for target in result.targets:
            table.add_row(result.name, target.what, shown(target.measured), target.limit(), target.verdict())
    console.print(table)


def shown(value: Any) -> str:
    """A figure with as many digits as it deserves."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _plain(limit: float | None) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"


def machine(database_version: str) -> dict[str, Any]:
    """What the figures depend on beside the code."""
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:"))
    processor = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cores": len(processor) or None,
        "processor": processor[0].partition(":")[2].strip() if processor else platform.machine(),
        "memory_gib": round(int(memory.split()[1]) / 2**20, 1),
        "kernel": platform.release(),
        "versions": {
            "python": platform.python_version(),
            "postgresql": database_version,
            "redis-server": _redis_version(),
        } | {name: _package(name) for name in PACKAGES},
    }  # fmt: skip


def _package(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _redis_version() -> str | None:
    try:
        done = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return next((w.removeprefix("v=") for w in done.stdout.split() if w.startswith("v=")), None)
