"""From a seed and a number to what is sent: the same shot for the same pair, on every machine and in any order.

A shot is one frame, or a few hundred that only make sense together, such as a flood. Every eighth is for a driver's
socket. Most leave the socket open; shots.py has those that end it, and handshakes.
"""

import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.fuzz import messages
from tests.fuzz.messages import DRIVER, MAX_BYTES, PASSENGER, Answer

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x2, 0x0, 0x8, 0x9, 0xA
# In place of a code: where more was sent than the server read, the kernel resets the connection and the code may be
# lost.
RESET = 0
# Of the texts that would begin a ride, this share does; the others get a field that only the service sets.
RIDES = 0.05
Maker = Callable[[random.Random, str], "Shot"]


class Shot(NamedTuple):
    """What is sent, and what has to come back.

    `codes` are those that the socket may be closed with; the answer may be remembered under `command_id`. Where `again`
    is set, pings follow until the socket is closed.
    """

    kind: str
    wire: bytes
    answer: Answer
    codes: frozenset[int] = frozenset()
    command_id: str | None = None
    again: bool = False


def role_of(number: int) -> str:
    """Whose socket the shot with this number is for."""
    return DRIVER if number % 8 == 7 else PASSENGER


def shot(seed: int, number: int) -> Shot:
    """The shot with this number."""
    from tests.fuzz.shots import RARE, RARE_SHARE

    rng = random.Random(f"{seed}:{number}")
    if rng.random() < RARE_SHARE:
        makers, weights = zip(*RARE, strict=True)
        made: Shot = rng.choices(makers, weights)[0](rng, role_of(number))
        return made
    return _open_shot(rng, role_of(number))


def frame(
    payload: bytes, opcode: int = TEXT, *, fin: bool = True, rsv: int = 0, mask: bytes | None = b"\0\0\0\0"
) -> bytes:
    """One client frame, right or wrong; `mask` None: unmasked. The default mask is legal and changes nothing."""
    size, first, masked = len(payload), (0x80 if fin else 0) | rsv | opcode, 0 if mask is None else 0x80
    if size < 126:
        head = bytes((first, masked | size))
    elif size < 65_536:
        head = bytes((first, masked | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, masked | 127)) + size.to_bytes(8, "big")
    if mask is None:
        return head + payload
    if mask != b"\0\0\0\0":
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return head + mask + payload


# --- frames that leave the socket open ---------------------------------------------------------------------------


def _open_shot(rng: random.Random, role: str) -> Shot:
    lot = rng.random()
    if lot < 0.03:
        return Shot("empty", frame(b""), Answer.ONE)
    if lot < 0.06:
        return Shot("binary", frame(spoiled_text(rng, role)[1][: MAX_BYTES - 1], BINARY), Answer.ONE)
    if lot < 0.10:
        return _control(rng)
    if lot < 0.14:
        return _fragmented(rng, role)
    if lot < 0.16:
        return _at_the_limit(rng, role)
    return _of_text(*spoiled_text(rng, role), role)


def _of_text(kind: str, payload: bytes, role: str) -> Shot:
    """A text frame, with what it has to be answered with."""
    answer = messages.answer_to(payload, role)
    if answer is Answer.CLOSE:
        return Shot(kind, frame(payload), answer, frozenset({1007} if len(payload) <= MAX_BYTES else {1009, RESET}))
    return Shot(kind, frame(payload), answer, command_id=messages.command_id_of(payload))


def _control(rng: random.Random) -> Shot:
    opcode, size = rng.choice((PING, PONG)), rng.choice((0, 0, 1, 4, 124, 125))
    return Shot("control", frame(rng.randbytes(size), opcode, mask=rng.randbytes(4)), Answer.NOTHING)


def _fragmented(rng: random.Random, role: str) -> Shot:
    """A text in up to ten fragments, some of them empty, now and then with a ping in between."""
    payload = spoiled_text(rng, role)[1][:MAX_BYTES]
    cuts = sorted(rng.randrange(len(payload) + 1) for _ in range(rng.randrange(1, 10)))
    parts = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    sent = []
    for at, part in enumerate(parts):
        sent.append(frame(part, CONTINUATION if at else TEXT, fin=at == len(parts) - 1))
        if rng.random() < 0.1:
            sent.append(frame(b"", PING))
    return _of_text("fragmented", payload, role)._replace(wire=b"".join(sent))


def _at_the_limit(rng: random.Random, role: str) -> Shot:
    """A message padded with a field nobody knows, to at most 16 KiB and at least that less three bytes."""
    message = messages.valid_message(rng, role) | {"padding": ""}
    if role == PASSENGER and rng.random() > RIDES:
        message["driver_id"] = 1
    size = MAX_BYTES - rng.randrange(3)
    message["padding"] = "x" * (size - len(json.dumps(message)))
    return _of_text("just below 16 KiB", json.dumps(message).encode(), role)


# --- texts -------------------------------------------------------------------------------------------------------

HUGE = "9" * 5_000
NUMBERS = (
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "-0", "-0.0", "9" * 400, HUGE, "0x10", "01", "1.",
    ".5", "1e", "+1", "1_000", "0.1e1", "90.0000000001", "-180.0000000001", "2147483648", "9223372036854775808",
    "1e308", "5e-324", "true", "false", "null", '""', "[]", "{}", '"1"', "[1]",
)  # fmt: skip
TEXTS = (
    "\0", "a\0b", "\ud800", "\udfff\ud800", "\U0001f695" * 100, "\u202e\u2066", "e\u0301" * 200, "x" * 301,
    "x" * 8_000, "\uffff", "'; DROP TABLE mobility_booking; --", "%s%n%x", "{0.__class__}", "../../etc/passwd",
    "<script>", "\r\n\r\nHTTP/1.1 200", "\x1b[2J", "𝟙𝟚𝟛", "İ", "ß" * 300, "\u2028", " ", "ping\0", "١٢٣",
)  # fmt: skip
NAMES = (
    "status", "driver_id", "seq", "booking_id", "id", "role", "roles", "user_id", "passenger", "fare_minor",
    "cancelled_by", "verified", "requirements", "quote_id", "__proto__", "constructor", "type ", "Type", "", "self",
    "model_config", "\ud800", "a" * 500, "updates", "command_id", "last_seq", "last_inbox_seq", "pickup_latitude",
    "ride_id",
)  # fmt: skip
TYPES = (
    "drive", "PING", "ping ", "", "find_driver\0", "connection_established", "pong", "error", "driver_assigned",
    "signed.out", "websocket.close", "ride.moved", "driver.replaced", "\U0001f695", "x" * 2_000, "__class__",
)  # fmt: skip


def spoiled_text(rng: random.Random, role: str) -> tuple[str, bytes]:
    """A text no honest app sends, most of the time, and how it was made."""
    message = messages.valid_message(rng, role)
    kind, make = rng.choice(MUTATIONS) if rng.random() > 0.06 else ("valid", _plain)
    payload = make(rng, message)
    if rng.random() < 0.1:  # and once more, from the outside
        payload = _flip(rng, payload)
    if rng.random() > RIDES and messages.answer_to(payload, role) is Answer.RIDE:
        payload = payload.replace(b"{", b'{"status": "confirmed", ', 1)
    return kind, payload


def _plain(_: random.Random, message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()


def _mark(rng: random.Random, message: dict[str, Any], value: str) -> bytes:
    """The message with a literal that Python would not write, in place of a field's value or in a new field."""
    name = rng.choice([*message, rng.choice(NAMES)])
    return json.dumps(message | {name: "@@"}).replace('"@@"', value).encode("utf-8", "surrogatepass")


def _encoded(rng: random.Random, message: Any) -> bytes:
    """JSON with or without escapes; half a surrogate pair can only be sent escaped, for raw it is not UTF-8."""
    text = json.dumps(message, ensure_ascii=rng.random() < 0.5)
    return text.encode("utf-8", "surrogatepass" if rng.random() < 0.05 else "replace")


def _flip(rng: random.Random, payload: bytes) -> bytes:
    flipped = bytearray(payload)
    for _ in range(rng.choice((1, 1, 1, 2, 5, 40)) if flipped else 0):
        at = rng.randrange(len(flipped))
        # Mostly within ASCII: what is not UTF-8 costs the socket, and finds nothing new each time.
        flipped[at] = flipped[at] ^ 1 << rng.randrange(7) if rng.random() < 0.99 else rng.randrange(256)
    return bytes(flipped)


def _duplicated(rng: random.Random, message: dict[str, Any]) -> bytes:
    pairs = [(name, json.dumps(value)) for name, value in message.items()]
    pairs.append((rng.choice(list(message)), rng.choice((*NUMBERS, '"ping"', '"find_driver"'))))
    rng.shuffle(pairs)
    return ("{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in pairs) + "}").encode()


def _reordered(rng: random.Random, message: dict[str, Any]) -> bytes:
    names = rng.sample(list(message), len(message))
    space = rng.choice((" ", "\n", "\t\r\n", "  " * 200))
    text = json.dumps({name: message[name] for name in names}, separators=(f"{space},{space}", f":{space}"))
    return (space + text + space).encode()


def _without(rng: random.Random, message: dict[str, Any]) -> bytes:
    gone = set(rng.sample(list(message), rng.randrange(1, len(message) + 1)))
    return json.dumps({name: value for name, value in message.items() if name not in gone}).encode()


def _nested(rng: random.Random, message: dict[str, Any]) -> bytes:
    depth = rng.choice((2, 7, 8, 9, 50, 900, 2_400))
    left, right = rng.choice((("[", "]"), ('{"a":', "}")))
    whole = left * depth + "1" + right * (depth if rng.random() < 0.9 else depth - 1)
    return whole.encode() if rng.random() < 0.2 else _mark(rng, message, whole)


def _glued(rng: random.Random, message: dict[str, Any]) -> bytes:
    text = json.dumps(message)
    return rng.choice(
        (
            text + text, text + ",", text + "\0", "\ufeff" + text, f"[{text}]", json.dumps(text),
            text.replace('"', "'"), f"/**/{text}", text[:-1] + ",}", "null", "[]", '""', "0", "{", "}", "\0",
            f"{text}\n{text}", text.upper(),
        )
    ).encode()  # fmt: skip


MUTATIONS: tuple[tuple[str, Callable[[random.Random, dict[str, Any]], bytes]], ...] = (
    ("number", lambda rng, m: _mark(rng, m, rng.choice(NUMBERS))),
    ("text", lambda rng, m: _encoded(rng, m | {rng.choice([*m, "note"]): rng.choice(TEXTS)})),
    ("field", lambda rng, m: _encoded(rng, m | {rng.choice(NAMES): rng.choice((0, 1, "x", None, [], {}, True))})),
    ("type", lambda rng, m: _encoded(rng, m | {"type": rng.choice((*TYPES, 1, None, [], {}, True, 1.5))})),
    ("flipped", lambda rng, m: _flip(rng, json.dumps(m).encode())),
    ("truncated", lambda rng, m: json.dumps(m).encode()[: rng.randrange(len(json.dumps(m)))]),
    ("duplicated", _duplicated),
    ("reordered", _reordered),
    ("without", _without),
    ("nested", _nested),
    ("glued", _glued),
    ("noise", lambda rng, m: bytes(rng.randrange(128) for _ in range(rng.randrange(200)))),
)
