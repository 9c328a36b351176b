"""What a driver is told: their own state, their inbox, the ride they drive. Reads only."""

from typing import Any

from mobility.transactions import rows


def own_driver(user_id: int | None, named: str) -> Any | None:
    """The driver of this user when the path names them, by number or by phone with or without `+`; else None."""
    found = rows("drivers/sql/own_driver", {"user_id": user_id, "named": named.removeprefix("+")})
    return found[0] if found else None


def told_more(heard: dict[int, int]) -> list[Any]:
    """Of drivers and the inbox number their socket heard last, those whose inbox is longer: driver_id, inbox_seq."""
    return rows("drivers/sql/told_more", {"driver_ids": list(heard), "seqs": list(heard.values())})
