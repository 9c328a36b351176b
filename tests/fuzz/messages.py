"""What clients may say, by docs/protocol.md and not by the service's own parser: so that it can be judged by another.

Valid messages to start from, and the question what a text has to be answered with.
"""

import json
import random
import re
from enum import Enum
from typing import Any

PASSENGER, DRIVER = "passenger", "driver"
# Far from each other, so that nobody is asked for these rides, and far from the neighbour's (neighbour.py).
PICKUP, DROPOFF, DRIVING = (-33.92, 18.42), (-33.85, 18.6), (-26.2, 28.05)
MAX_BYTES = 16_384


class Answer(Enum):
    """What a frame has to be answered with."""

    ONE = "exactly one frame"
    SOME = "one frame or more"
    ANY = "any number of frames, also none"
    PONGS = "one frame or more, pongs among them"
    RIDE = "a ride may begin"
    NOTHING = "no frame, and the socket stays open"
    CLOSE = "the socket closes"
    HANDSHAKE = "an answer to a handshake, or the end of the connection"
    GONE = "nothing that we would hear: we have left"


def _near(rng: random.Random, place: tuple[float, float]) -> tuple[float, float]:
    return round(place[0] + rng.uniform(-0.02, 0.02), 5), round(place[1] + rng.uniform(-0.02, 0.02), 5)


def _find_driver(rng: random.Random) -> dict[str, Any]:
    pickup, dropoff = _near(rng, PICKUP), _near(rng, DROPOFF)
    frame: dict[str, Any] = {
        "type": "find_driver", "pickup_latitude": pickup[0], "pickup_longitude": pickup[1],
        "dropoff_latitude": dropoff[0], "dropoff_longitude": dropoff[1],
    }  # fmt: skip
    more = {
        "pickup_address": "1 Long Street", "dropoff_address": "2 Voortrekker Road", "distance_km": 21.5,
        "estimated_duration_minutes": 25, "fare_amount": 150.0, "passenger_phone": "+27 (21) 555-0100",
        "vehicle_type": rng.choice(("sedan", "suv", "wheelchair_accessible")), "notes": "second gate, ring twice",
    }  # fmt: skip
    return frame | {name: value for name, value in more.items() if rng.random() < 0.6}


def _location_update(rng: random.Random) -> dict[str, Any]:
    def position() -> dict[str, Any]:
        latitude, longitude = _near(rng, DRIVING)
        more = {"heading": 271.5, "speed": 8.2, "accuracy_m": 5.0, "recorded_at": "2026-01-01T12:00:00.000Z"}
        return {"latitude": latitude, "longitude": longitude} | {n: v for n, v in more.items() if rng.random() < 0.5}

    frame: dict[str, Any] = {"type": "location_update"}
    if rng.random() < 0.3:
        return frame | {"updates": [position() for _ in range(rng.randrange(1, 5))]}
    return frame | position()


def _about_ride(rng: random.Random, kind: str) -> dict[str, Any]:
    named: dict[str, Any] = {"ride_id": f"ride-{rng.randrange(1000)}"}
    if rng.random() < 0.3:
        named["booking_id"] = rng.randrange(1, 1000)
    if kind in {"decline_ride", "cancel_ride"} and rng.random() < 0.5:
        named["reason"] = "flat tyre"
    return {"type": kind} | named


PASSENGER_TYPES = ("ping", "find_driver", "find_driver", "find_driver", "find_driver", "cancel_ride", "resume")
ABOUT_RIDES = (
    "accept_ride", "decline_ride", "ride_request_received", "driver_arrived", "start_ride", "complete_ride",
    "cancel_ride", "no_show",
)  # fmt: skip
DRIVER_COMMANDS = {*ABOUT_RIDES, "go_online", "go_offline"}
DRIVER_TYPES = (*ABOUT_RIDES, "location_update", "location_update", "ping", "resume", "go_online", "go_offline")


def _plain(rng: random.Random, kind: str) -> dict[str, Any]:
    more: dict[str, Any] = {
        "ping": {"seq": rng.randrange(10)},
        "resume": {"last_seq": rng.randrange(3), "last_inbox_seq": rng.randrange(3)},
        "go_online": {"auto_accept": rng.random() < 0.5},
        "cancel_ride": {"reason": "changed my mind"},
    }.get(kind, {})
    return {"type": kind} | (more if kind == "resume" or rng.random() < 0.5 else {})


def valid_message(rng: random.Random, role: str) -> dict[str, Any]:
    """A message as an honest app of this role sends it."""
    kind = rng.choice(PASSENGER_TYPES if role == PASSENGER else DRIVER_TYPES)
    if kind == "find_driver":
        message = _find_driver(rng)
    elif kind == "location_update":
        message = _location_update(rng)
    else:
        message = _about_ride(rng, kind) if role == DRIVER and kind in ABOUT_RIDES else _plain(rng, kind)
    if kind not in {"ping", "resume"} and rng.random() < 0.3:
        # Out of few, so that one that was used comes again, with the same content or another.
        message["command_id"] = f"command-{rng.randrange(200)}"
    return message


# --- what has to come back ---------------------------------------------------------------------------------------


def answer_to(payload: bytes, role: str) -> Answer:
    """What a text frame with this payload has to be answered with."""
    if len(payload) > MAX_BYTES:
        return Answer.CLOSE
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return Answer.CLOSE
    message = _message_of(text)
    kind = message.get("type")
    if not isinstance(kind, str):
        return Answer.ONE
    if role == DRIVER:
        return _answer_to_driver(kind, message)
    return Answer.RIDE if kind == "find_driver" and may_be_valid(text, message) else Answer.ONE


def _answer_to_driver(kind: str, message: dict[str, Any]) -> Answer:
    if kind == "ping" and "seq" in message:
        return Answer.PONGS  # and whatever this number says is missing
    if kind in {"location_update", "resume"}:
        return Answer.ANY  # a position that is taken is not answered, and there may be nothing to tell again
    return Answer.SOME if kind in DRIVER_COMMANDS else Answer.ONE


def command_id_of(payload: bytes) -> str | None:
    """The id under which an answer to this may be remembered."""
    if b"command_id" not in payload:
        return None
    named = _message_of(payload.decode(errors="replace")).get("command_id")
    return named if isinstance(named, str) and re.fullmatch("[A-Za-z0-9_-]{1,64}", named) else None


def _message_of(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


_NUMBERS = {
    "pickup_latitude": (-90, 90), "pickup_longitude": (-180, 180), "dropoff_latitude": (-90, 90),
    "dropoff_longitude": (-180, 180), "distance_km": (0, 1000), "estimated_duration_minutes": (0, 525_600),
    "fare_amount": (0, 1_000_000),
}  # fmt: skip
_TEXTS = {
    "pickup_address": 300,
    "dropoff_address": 300,
    "passenger_phone": 32,
    "notes": 500,
    "vehicle_type": 32,
    "command_id": 64,
}
_NEVER = {"status", "driver_id", "seq", "booking_id", "requirements", "quote_id"}


def may_be_valid(text: str, message: dict[str, Any]) -> bool:
    """Whether a find_driver could be one that the contract takes: where this says no, nothing may begin.

    Where it says yes the service may still refuse.
    """
    if _NEVER & set(message) or not all(name in message for name in list(_NUMBERS)[:4]) or _has_constant(text):
        return False
    for name, (low, high) in _NUMBERS.items():
        value = message.get(name)
        if value is None and name in list(_NUMBERS)[4:]:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            return False
    return all(
        message.get(name) is None or (isinstance(message[name], str) and len(message[name]) <= longest)
        for name, longest in _TEXTS.items()
    )


def _has_constant(text: str) -> bool:
    """Whether it says NaN or Infinity, which JSON does not know and Python's reader takes."""
    found: list[str] = []
    json.loads(text, parse_constant=found.append)
    return bool(found)
