"""Shots that end their socket, leave it hanging, or never become one. Each with the codes the contract allows."""

import json
import random
import struct

from tests.fuzz import grammar, messages
from tests.fuzz.grammar import BINARY, CLOSE, CONTINUATION, PING, PONG, RESET, TEXT, Shot, frame
from tests.fuzz.messages import MAX_BYTES, Answer

RARE_SHARE = 0.02
BROKEN, NOT_UTF8, TOO_LARGE = frozenset({1002}), frozenset({1007}), frozenset({1009, RESET})
INVALID_UTF8 = (
    b"\xff", b"\xc3(", b"\xe2\x82", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\x80", b"\xf4\x90\x80\x80",
)  # fmt: skip
PING_TEXT = b'{"type": "ping"}'


def _closing(kind: str, wire: bytes, codes: frozenset[int]) -> Shot:
    return Shot(kind, wire, Answer.CLOSE, codes)


def _valid(rng: random.Random, role: str) -> bytes:
    """A message that is understood, but for a field of the service's own where it would begin a ride."""
    message = messages.valid_message(rng, role)
    return json.dumps(message | ({"driver_id": 1} if message["type"] == "find_driver" else {})).encode()


# --- what no WebSocket client may send ---------------------------------------------------------------------------


def _bad_opcode(rng: random.Random, role: str) -> Shot:
    opcode = rng.choice((3, 4, 5, 6, 7, 11, 12, 13, 14, 15))
    return _closing("reserved opcode", frame(_valid(rng, role)[:100], opcode), BROKEN)


def _bad_bits(rng: random.Random, role: str) -> Shot:
    return _closing("reserved bits", frame(_valid(rng, role), rsv=rng.choice((0x10, 0x20, 0x40, 0x70))), BROKEN)


def _no_mask(rng: random.Random, role: str) -> Shot:
    return _closing("unmasked", frame(_valid(rng, role), rng.choice((TEXT, BINARY, PING)), mask=None), BROKEN)


def _bad_control(rng: random.Random, _: str) -> Shot:
    opcode = rng.choice((PING, PONG, CLOSE))
    if rng.random() < 0.5:
        return _closing("oversize control", frame(b"\x03\xe8" + b"x" * rng.choice((124, 200, 5_000)), opcode), BROKEN)
    return _closing("fragmented control", frame(b"", opcode, fin=False), BROKEN)


def _bad_sequence(rng: random.Random, role: str) -> Shot:
    text = _valid(rng, role)
    if rng.random() < 0.5:
        return _closing("stray continuation", frame(text, CONTINUATION, fin=rng.random() < 0.5), BROKEN)
    return _closing("text inside text", frame(text, fin=False) + frame(text), BROKEN)


def _bad_close(rng: random.Random, _: str) -> Shot:
    lot = rng.random()
    if lot < 0.2:
        return _closing("bad close", frame(b"\x03", CLOSE), BROKEN)
    if lot < 0.4:
        return _closing("bad close", frame(b"\x03\xe8" + rng.choice(INVALID_UTF8), CLOSE), NOT_UTF8)
    if lot < 0.8:
        code = rng.choice((0, 1, 999, 1004, 1005, 1006, 1015, 2_999, 5_000, 65_535))
        return _closing("bad close", frame(struct.pack("!H", code), CLOSE), BROKEN)
    code = rng.choice((1000, 1001, 1011, 3_000, 4_400, 4_999))
    late = frame(PING_TEXT) * rng.randrange(3)
    sent = frame(struct.pack("!H", code) + b"bye" * rng.randrange(41), CLOSE) + late
    return _closing("close", sent, frozenset({code}))


def _bad_utf8(rng: random.Random, _: str) -> Shot:
    payload = b'{"type": "ping", "x": "' + rng.choice(INVALID_UTF8) + b'"}'
    if rng.random() < 0.5:
        return _closing("invalid UTF-8", frame(payload), NOT_UTF8)
    at = rng.randrange(len(payload))
    return _closing("invalid UTF-8", frame(payload[:at], fin=False) + frame(payload[at:], CONTINUATION), NOT_UTF8)


def _too_large(rng: random.Random, role: str) -> Shot:
    lot = rng.random()
    if lot < 0.4:
        return _closing("just above 16 KiB", frame(b"x" * (MAX_BYTES + rng.randrange(1, 4))), TOO_LARGE)
    if lot < 0.6:
        claimed = rng.choice((2**16, 2**31, 2**40, 2**63 - 1, 2**63, 2**64 - 1))
        return _closing("claims to be huge", b"\x81\xff" + claimed.to_bytes(8, "big") + b"\0\0\0\0xx", TOO_LARGE)
    part = frame(b"x" * 6_000, CONTINUATION, fin=False)
    return _closing("fragments above 16 KiB", frame(b"x" * 6_000, fin=False) + part + part, TOO_LARGE)


# --- too much ----------------------------------------------------------------------------------------------------


def _flood(rng: random.Random, role: str) -> Shot:
    """Above the limits, in one go: of messages, of frames that can't be understood, of frames that are no messages."""
    lot = rng.random()
    if lot < 0.4:
        # Commands are read no faster than they are worked off, perhaps slower than is allowed: the pings never are.
        commands = rng.choice((b"", frame(b'{"type": "cancel_ride", "ride_id": "none"}'))) * 200
        flood = _closing("flood of messages", commands + frame(PING_TEXT) * 200, frozenset({4429}))
        return flood._replace(again=True)
    if lot < 0.8:
        return _closing("flood of misunderstood frames", frame(rng.choice((b"{", b"", b"[]"))) * 40, frozenset({4400}))
    if lot < 0.9:
        return _closing("flood of pings", frame(rng.randbytes(rng.choice((0, 125))), rng.choice((PING, PONG))) * 2_000,
                        frozenset({4429, RESET}))  # fmt: skip
    return _closing("flood of fragments", frame(b"", fin=False) + frame(b"", CONTINUATION, fin=False) * 2_000,
                    frozenset({4429, RESET}))  # fmt: skip


def _left(rng: random.Random, role: str) -> Shot:
    """Half a frame, or a whole one, and nobody there any more to hear the answer."""
    payload = _valid(rng, role)
    whole = frame(payload, mask=rng.randbytes(4))
    lot = rng.random()
    if lot < 0.3:
        return Shot("reset", whole, Answer.GONE, command_id=messages.command_id_of(payload))
    if lot < 0.6:
        return Shot("half a frame, reset", whole[: rng.randrange(1, len(whole))], Answer.GONE)
    if lot < 0.8:
        return Shot("half a frame, silence", whole[: rng.randrange(1, len(whole))], Answer.GONE)
    return Shot("half a message, silence", frame(_valid(rng, role), fin=False), Answer.GONE)


# --- handshakes --------------------------------------------------------------------------------------------------

GOOD = {
    "Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}  # fmt: skip
PATHS = (
    "/", "/ws", "/ws/ride/", "/ws/ride/%00/", "/ws/ride/%F0%9F%9A%95/", "/ws/ride/" + "x" * 65 + "/", "/ws/ride/a/b/",
    "/ws/ride/..%2f..%2fetc/", "/ws/driver/", "/ws/driver/1/", "/ws/driver/-1/", "/ws/driver/99999999999999999999/",
    "/ws/driver/+27123456789/", "/ws/driver/%D9%A1/", "/ws/nowhere/", "//ws/ride/x/", "/ws/ride/x", "/ws/ride/%ff%fe/",
    "/ws/ride/x/?ticket=", "/ws/ride/x/?ticket=a&ticket=b", "/ws/ride/x/?token=abc", "/ws/ride/x/?ticket=%00", "*",
    "http://elsewhere.example/ws/ride/x/", "/ws/ride/x/#part", "/ws/ride/\xff/", "/healthz", "/" + "y" * 9_000,
    "/ws/ride/x/?" + "a=b&" * 1_000, "/ws/ride/%%%/", "/ws/ride/a%0d%0aX:%20y/", "/admin/", "/api/v1/me/",
)  # fmt: skip
HEADERS: dict[str, tuple[str, ...]] = {
    "Origin": ("https://evil.example", "null", "", "http://localhost:1", "http://a@b", "\xff", "x" * 5_000),
    "Authorization": ("Token x", "Bearer", "Basic eDp5", "Token " + "y" * 5_000, "\xe9", "Token \xff", ""),
    "Cookie": ("sessionid=x", "sessionid=" + "z" * 4_000, "=;=;;", 'a="\\', "sessionid=\xff"),
    "Sec-WebSocket-Protocol": ("bearer.", "bearer.x", "careconnect.v1, bearer.y", ",,,", "a b", "\xff"),
    "Sec-WebSocket-Key": ("", "x", "A" * 24, "A" * 5_000, "====", "\xff"),
    "Sec-WebSocket-Version": ("", "8", "13, 8", "x", "13" * 100),
    "Sec-WebSocket-Extensions": ("permessage-deflate", "x; y=" + "z" * 500, ";;;", "\xff"),
    "Upgrade": ("websocket, h2c", "h2c", "WebSocket", "", "websocket\t"),
    "Connection": ("close", "keep-alive, Upgrade", "Upgrade, Upgrade", ""),
    "Host": ("", "evil.example", "localhost:99999", "[::1]", "a b", "localhost, b", "\xff"),
    "Content-Length": ("0", "5", "-1", "9" * 30, "x"),
    "Transfer-Encoding": ("chunked", "identity", "x"),
    "Expect": ("100-continue",),
    "X-Forwarded-For": ("1.2.3.4", "x" * 2_000, "::1, \xff", ""),
    "X-Long": ("y" * 8_000, "y" * 9_000, "y" * 70_000),
    "Bad Name": ("x",),
    "": ("y",),
}


def _many(rng: random.Random) -> list[str]:
    return [f"X-{n}" for n in range(rng.choice((50, 130, 1_000)))]


def _handshake(rng: random.Random, _: str) -> Shot:
    """A request that is nearly a handshake."""
    headers, kind = dict(GOOD), "handshake"
    path = rng.choice(PATHS) if rng.random() < 0.6 else "/ws/ride/shake/"
    for _n in range(rng.randrange(0 if path in PATHS else 1, 3)):
        name = rng.choice((*HEADERS, "many"))
        headers |= {name: rng.choice(HEADERS[name])} if name in HEADERS else dict.fromkeys(_many(rng), "y")
    if rng.random() < 0.1:
        headers.pop(rng.choice(list(headers)))
    method = rng.choice(("GET",) * 9 + ("POST", "get", "OPTIONS", "\x16\x03\x01"))
    version = rng.choice(("HTTP/1.1",) * 9 + ("HTTP/1.0", "HTTP/2.0", "HTTP/9", ""))
    lines = [f"{method} {path} {version}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    wire = rng.choice(("\r\n",) * 9 + ("\n",)).join(lines).encode("latin-1")
    if rng.random() < 0.1:
        return Shot("half a handshake, reset", wire[: rng.randrange(len(wire))], Answer.GONE)
    if rng.random() < 0.1:
        wire += rng.choice((frame(PING_TEXT), b"\0" * 100, frame(b"", CLOSE), wire))
    return Shot(kind, wire, Answer.HANDSHAKE, frozenset({4400, 4401, 4403, 4404, 1002, 1007}))


RARE: tuple[tuple[grammar.Maker, int], ...] = (
    (_bad_opcode, 1), (_bad_bits, 1), (_no_mask, 1), (_bad_control, 1), (_bad_sequence, 1), (_bad_close, 2),
    (_bad_utf8, 1), (_too_large, 2), (_flood, 1), (_left, 3), (_handshake, 6),
)  # fmt: skip
