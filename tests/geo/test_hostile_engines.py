"""What calls itself a routing engine may do anything: a call ends in time, and with the great circle."""

import gzip
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from structlog.testing import capture_logs

from geo.coordinates import LatLon
from geo.routing import engine as engines
from geo.routing.osrm import Osrm
from geo.routing.router import GreatCircle
from geo.routing.valhalla import Valhalla
from tests.geo.hostile import drips, hostile, is_silent, says, says_raw
from tests.server import free_port

OTHERWISE = GreatCircle(detour=1.3, speed_km_h=30)
ORIGINS = [LatLon(60.171, 24.941), LatLon(60.172, 24.942)]
GOAL = LatLon(60.175, 24.945)
TIMEOUT_S = 0.3
SLACK_S = 0.5  # for a busy machine


def osrm_says(durations, distances=((1_000,), (2_000,)), **fields):
    place = {"distance": 3.0}
    document = {
        "code": "Ok", "durations": durations, "distances": distances, "sources": [place, place],
        "destinations": [place],
    }  # fmt: skip
    return says(json.dumps(document | fields).encode())


def valhalla_says(*cells, **fields):
    return says(json.dumps({"sources_to_targets": [[cell] for cell in cells]} | fields).encode())


@pytest.fixture
def engine():
    """engine(kind, url): one of short patience, closed after the test."""
    made = []

    def make(kind, url, timeout_s=TIMEOUT_S):
        made.append(kind(url, timeout_s=timeout_s, otherwise=OTHERWISE))
        return made[-1]

    yield make
    for one in made:
        one.close()


def falls_back(engine, within_s=TIMEOUT_S) -> str:
    """The reason that is logged; the call was in time and its legs are great circles."""
    began = time.monotonic()
    with capture_logs() as lines:
        legs = engine.legs(ORIGINS, GOAL)
    assert time.monotonic() - began < within_s + SLACK_S
    assert legs == OTHERWISE.legs(ORIGINS, GOAL)
    said = [line for line in lines if line["event"] == "routing_fell_back"]
    assert [(line["engine"], line["to"], line["legs"]) for line in said] == [(engine.name, "great_circle", 2)]
    assert "60.17" not in repr(lines)
    assert "24.94" not in repr(lines)
    return said[0]["reason"]


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
HANGING = {
    "silent": is_silent,
    "drips its head": drips(OK, b"X-A: b\r\n"),
    "drips one header": drips(OK + b"X-A: ", b"a"),
    "drips its body": drips(OK + b"Content-Length: 100000\r\n\r\n", b" "),
    "drips chunks": drips(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "goes on with 100": drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("kind", [Osrm, Valhalla])
@pytest.mark.parametrize("behaviour", HANGING.values(), ids=HANGING)
def test_a_server_that_hangs_or_drips_is_given_up_in_time(engine, kind, behaviour):
    with hostile(behaviour) as server:
        assert falls_back(engine(kind, server.url)) == "timeout"


def test_a_call_can_be_bounded_more_tightly(engine):
    with hostile(is_silent) as server:
        patient = engine(Osrm, server.url, timeout_s=30)
        began = time.monotonic()
        assert patient.legs(ORIGINS, GOAL, within_s=0.1) == OTHERWISE.legs(ORIGINS, GOAL)
        assert time.monotonic() - began < 0.1 + SLACK_S


def test_many_drives_have_one_bound_together(engine):
    pairs = [(LatLon(60.1 + n / 1_000, 24.9), GOAL) for n in range(200)]
    with hostile(is_silent) as server:
        began = time.monotonic()
        found = engine(Valhalla, server.url).drives(pairs)
        took = time.monotonic() - began
    assert took < 10 * TIMEOUT_S  # one bound, not one for each of 200; the great circles take their time too
    assert found == OTHERWISE.drives(pairs)


def test_many_threads_are_bounded_each(engine):
    with hostile(is_silent) as server:
        asked = engine(Osrm, server.url)

        def took(n):
            began = time.monotonic()
            assert asked.legs([LatLon(60.1, 24.9 + n / 100)], GOAL)[0].engine == "great_circle"
            return time.monotonic() - began

        with ThreadPoolExecutor(32) as threads:
            assert max(threads.map(took, range(32))) < TIMEOUT_S + SLACK_S


BROKEN = {
    "garbage": says_raw(b"\x00\xff\x13garbage\r\n\r\n"),
    "nothing": says_raw(b""),
    "half an answer": says_raw(OK + b'Content-Length: 1000\r\n\r\n{"code": "Ok"'),
    "a head without end": says_raw(OK + b"X-A: " + b"a" * 1_000_000),
    "500": says(b"{}", "500 Internal Server Error"),
    "503": says(b"", "503 Service Unavailable"),
    "429": says(b"", "429 Too Many Requests"),
    "404": says(b"<html>", "404 Not Found"),
    "204": says_raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "no JSON": says(b"<html>hello</html>"),
    "no UTF-8": says(b'"\xff\xfe"'),
    "deep JSON": says(b"[" * 200_000),
    "a number": says(b"7"),
    "null": says(b"null"),
    "an empty object": says(b"{}"),
    "a long answer": says(b" " * (engines.ANSWER_BYTES + 1) + b"{}"),
    "compressed": says(gzip.compress(b"{}"), "200 OK", "Content-Encoding: gzip"),
    "endless": drips(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 0x10000 + b"\r\n", 0),
}


@pytest.mark.parametrize("kind", [Osrm, Valhalla])
@pytest.mark.parametrize("behaviour", BROKEN.values(), ids=BROKEN)
def test_an_answer_that_is_none_is_not_used(engine, kind, behaviour):
    with hostile(behaviour) as server:
        assert falls_back(engine(kind, server.url)) not in {"timeout", "no_route"}


NUMBERS = [-1, math.nan, math.inf, -math.inf, "100", True, [1], {}, 10**400, 1e12, None]


@pytest.mark.parametrize("number", NUMBERS, ids=repr)
def test_what_no_drive_can_be_is_not_believed(engine, number):
    cell = {"distance": 1.0, "time": 100}
    for kind, answers in (
        (Osrm, [osrm_says([[number], [5]]), osrm_says([[5], [5]], [[number], [5]])]),
        (Valhalla, [valhalla_says(cell | {"time": number}, cell), valhalla_says(cell | {"distance": number}, cell)]),
    ):
        for answer in answers:
            with hostile(answer) as server:
                assert falls_back(engine(kind, server.url)) == "nonsense"


SHAPES = {
    "too few rows": osrm_says([[5]], [[5]]),
    "too many rows": osrm_says([[5], [5], [5]], [[5], [5], [5]]),
    "too many columns": osrm_says([[5, 5], [5, 5]], [[5, 5], [5, 5]]),
    "no columns": osrm_says([[], []], [[], []]),
    "rows that are none": osrm_says("ab", "ab"),
    "not Ok": osrm_says([[5], [5]], code="NoTable"),
    "no places": osrm_says([[5], [5]], sources=[]),
    "places that are none": osrm_says([[5], [5]], destinations=[{"distance": "far"}]),
}


@pytest.mark.parametrize("answer", SHAPES.values(), ids=SHAPES)
def test_an_answer_of_another_shape_is_not_used(engine, answer):
    with hostile(answer) as server:
        assert falls_back(engine(Osrm, server.url)) == "nonsense"


def test_an_answer_without_fault_would_have_been_used(engine):
    """Else the tests above could pass for another reason."""
    with hostile(osrm_says([[5], [7.5]])) as server:
        assert engine(Osrm, server.url).legs(ORIGINS, GOAL) == [(1_000, 5, "osrm"), (2_000, 7.5, "osrm")]
    cell = {"distance": 1.5, "time": 100}
    with hostile(valhalla_says(cell, cell)) as server:
        assert engine(Valhalla, server.url).legs(ORIGINS, GOAL) == [(1_500, 100, "valhalla")] * 2


def test_no_redirect_is_followed(engine):
    with (
        hostile(osrm_says([[5], [7.5]])) as elsewhere,
        hostile(says(b"", "302 Found", f"Location: {elsewhere.url}/table")) as server,
    ):
        assert falls_back(engine(Osrm, server.url)) == "status_302"
        assert elsewhere.heard == []


def test_no_proxy_of_the_environment_is_asked(engine, monkeypatch):
    with hostile(osrm_says([[5], [7.5]])) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert falls_back(engine(Osrm, f"http://127.0.0.1:{free_port()}")) == "connect"
        assert proxy.heard == []


def test_who_has_failed_three_times_is_left_alone_for_a_while(engine, monkeypatch):
    monkeypatch.setattr(engines, "REST_S", 0.4)
    with hostile(says(b"", "500 Internal Server Error")) as server:
        asked = engine(Osrm, server.url)
        for _ in range(10):
            assert asked.legs(ORIGINS, GOAL)[0].engine == "great_circle"
        assert len(server.heard) == 3
        time.sleep(0.5)
        for _ in range(10):
            asked.legs(ORIGINS, GOAL)
        assert len(server.heard) == 4  # one trial


def test_a_dead_engine_costs_the_timeout_three_times_only(engine):
    with hostile(is_silent) as server:
        asked = engine(Osrm, server.url, timeout_s=0.1)
        for _ in range(3):
            asked.legs(ORIGINS, GOAL)
        began = time.monotonic()
        for _ in range(100):
            asked.legs(ORIGINS, GOAL)
        assert time.monotonic() - began < 0.1
        assert len(server.heard) == 3


def test_a_refusal_speaks_for_the_question_and_not_against_the_engine(engine):
    with hostile(says(b"{}", "400 Bad Request")) as server:
        asked = engine(Osrm, server.url)
        for _ in range(5):
            asked.legs(ORIGINS, GOAL)
        assert len(server.heard) == 5


def test_the_log_is_told_once_in_a_while_and_of_all(engine, monkeypatch):
    monkeypatch.setattr(engines, "LOG_EVERY_S", 0.3)
    asked = engine(Osrm, f"http://127.0.0.1:{free_port()}")
    with capture_logs() as lines:
        for _ in range(50):
            asked.legs(ORIGINS, GOAL)
        time.sleep(0.4)
        asked.legs(ORIGINS, GOAL)
    told = [(line["reason"], line["legs"]) for line in lines if line["event"] == "routing_fell_back"]
    assert told == [("connect", 2), ("resting", 2), ("resting", 2 * 47)]
    assert [line["reason"] for line in lines if line["event"] == "routing_rests"] == ["connect"]


def test_connections_are_kept(engine):
    peers = set()
    answer = osrm_says([[5], [7.5]])

    def behave(connection, told):
        peers.add(connection.getpeername())
        answer(connection, told)

    with hostile(behave) as server:
        asked = engine(Osrm, server.url)
        for n in range(20):
            asked.legs([LatLon(60.1 + n / 100, 24.9), LatLon(60.1 + n / 100, 24.8)], GOAL)
        assert (len(server.heard), len(peers)) == (20, 1)


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced(engine):
    answer = osrm_says([[5], [7.5]])

    def behave(connection, told):
        if len(told.heard) == 2:
            connection.close()  # in the moment of the second question
        else:
            answer(connection, told)

    with hostile(behave) as server:
        asked = engine(Osrm, server.url)
        assert asked.legs(ORIGINS, GOAL)[0].engine == "osrm"
        assert asked.legs(ORIGINS[::-1], LatLon(60.18, 24.95))[0].engine == "osrm"
        assert len(server.heard) == 3
