"""What a run says of itself: tables for the terminal, and result.json."""

import json
import math
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from tests.bench.report import console, machine, middle
from tests.chaos.drama import Outcome
from tests.chaos.faults import WORDS

# Seconds until somebody gets a booking again; missing one is no violation.
AIMS_S = {"server": 5.0, "redis": 2.0, "postgresql": 10.0}

# What clients may be refused, because others were faster or the ride has moved on.
EXPECTED = frozenset(
    {
        "ride_taken", "offer_expired", "offer_declined", "offer_withdrawn", "ride_cancelled", "no_offer", "ride_over",
        "driver_has_ride", "driver_not_available", "not_allowed", "no_ride", "live_ride_exists", "ride_in_progress",
        "too_far_from_pickup",
    }
)  # fmt: skip
SHOWN = 400  # characters of a violation on the terminal; result.json has all of it


def recovery(outcome: Outcome) -> list[dict[str, Any]]:
    """A row for each kind of fault: how often, the time to the next booking, that of the slower probe, and its aim."""
    kinds: defaultdict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for struck, next_s, probe_s in zip(outcome.history.struck, outcome.next_s, outcome.probes_s, strict=True):
        kinds[struck.target, struck.action].append((next_s, probe_s))
    rows = []
    for (target, action), times in sorted(kinds.items()):
        nexts, probes = zip(*times, strict=True)
        aim = AIMS_S.get(target)
        rows.append(
            {
                "fault": f"{WORDS[action]} {target}", "times": len(times), "median_s": _rounded(middle(nexts)),
                "max_s": _rounded(max(nexts)), "probe_median_s": _rounded(middle(probes)),
                "probe_max_s": _rounded(max(probes)), "aim_s": aim, "met": None if aim is None else max(probes) <= aim,
            }
        )  # fmt: skip
    return rows


def _rounded(seconds: float) -> float | None:
    return None if math.isinf(seconds) else round(seconds, 2)


def summary(outcome: Outcome) -> dict[str, Any]:
    """The counts."""
    history, truth = outcome.history, outcome.truth
    said = Counter(op.outcome for op in history.ops)
    codes = Counter(op.code for op in history.ops if op.outcome == "fail")
    return {
        "faults": dict(Counter(WORDS[s.action] for s in history.struck)),
        "commands": {"invoked": len(history.ops), **{name: said[name] for name in ("ok", "fail", "unknown")}},
        "sent again": sum(max(0, op.tries - 1) for op in history.ops),
        "refused": dict(codes.most_common()),
        "errors told": outcome.errors,
        "errors that answer no command": outcome.strays,
        "sockets": len(history.lives),
        "closed with": {str(code): n for code, n in Counter(life.code for life in history.lives).most_common()},
        "rides": len(truth.bookings),
        "rides ended": dict(Counter(booking.status for booking in truth.bookings.values())),
        "log rows": sum(map(len, truth.log.values())),
        "still connected in the end": len(history.views),
    }


def worthless(outcome: Outcome) -> str:
    """Why a run without a violation proves nothing; "" when it does."""
    said = Counter(op.outcome for op in outcome.history.ops)
    ended = Counter(booking.status for booking in outcome.truth.bookings.values())
    if not ended["completed"] or not ended["cancelled"]:
        return f"no ride was completed, or none cancelled: {dict(ended)}"
    if said["unknown"] * 4 > len(outcome.history.ops):
        return f"too many commands were never answered: {dict(said)}"
    if odd := {op.code for op in outcome.history.ops if op.outcome == "fail"} - EXPECTED:
        return f"clients were refused what they should not be: {odd}"
    if not outcome.history.views:
        return "nobody was still connected in the end"
    return ""


def keep(outcome: Outcome, folder: Path, facts: dict[str, Any]) -> None:
    """Write result.json and, for whoever looks into it, history.jsonl."""
    content = facts | {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(outcome.postgres),
        "summary": summary(outcome), "recovery": recovery(outcome),
        "violations": [violation._asdict() for violation in outcome.found],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(content, indent=1) + "\n")
    outcome.history.keep(folder / "history.jsonl")


def show(outcome: Outcome) -> None:
    """Print counts, recovery times and violations."""
    for name, value in summary(outcome).items():
        shown = ", ".join(f"{k} {v:,}" for k, v in value.items()) or "none" if isinstance(value, dict) else f"{value:,}"
        console.print(f"{name}: {shown}", markup=False)
    table = Table(title="\nseconds until a booking", title_justify="left", title_style="bold")
    for column in ("fault", "times", "anybody: median", "max", "both probes: median", "max", "aim", ""):
        table.add_column(column, justify="left" if column == "fault" else "right")
    for row in recovery(outcome):
        met = {True: "[green]met[/]", False: "[yellow]missed[/]", None: ""}[row["met"]]
        cells = (row[name] for name in ("times", "median_s", "max_s", "probe_median_s", "probe_max_s", "aim_s"))
        table.add_row(row["fault"], *("–" if cell is None else f"{cell:g}" for cell in cells), met)
    console.print(table)
    console.print(
        "  [dim]Counted from the blow; for a stopped PostgreSQL from its going on. One probe sits on each server;"
        " the slower one is held to the aim.[/]"
    )
    console.print(f"violations: {len(outcome.found)}")
    for rule, number in Counter(violation.rule for violation in outcome.found).items():
        console.print(f"  [bold red]{rule}[/]: {number}")
        for violation in [v for v in outcome.found if v.rule == rule][:5]:
            console.print(f"    {violation.says[:SHOWN]}", markup=False)
