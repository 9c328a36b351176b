"""What all engines behind HTTP have in common: bounds, a cache, a breaker, and the great circle when all else fails.

An engine is asked from one thread of this process, which runs an event loop: only there can a question be given up at
its deadline wherever it hangs, in a name look-up, a handshake or a header that comes byte by byte. A timeout of a
blocking socket begins anew with every byte.
"""

import asyncio
import json
import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import httpx
import structlog

from geo.coordinates import LatLon
from geo.routing.breaker import Breaker
from geo.routing.cache import Drive, DriveCache
from geo.routing.router import GREAT_CIRCLE, GreatCircle, Leg

log = structlog.get_logger(__name__)
# Places in one question. Valhalla takes 20 at most by default, OSRM 100.
ORIGINS_AT_ONCE = 16
QUESTIONS_AT_ONCE = 8  # and so connections
ANSWER_BYTES = 256 * 1024  # one about 16 origins has some 5 KB
# Engines begin at the nearest road they know, wherever that is. Farther off than this it is another drive.
OFF_ROAD_M = 1_000.0
LONGEST_S, LONGEST_M = 30 * 86_400.0, 50_000_000.0  # whatever says more is broken
CACHE_SIZE, CACHE_KEEP_S = 20_000, 60.0
FAILURES, REST_S = 3, 5.0
# osrm-routed closes an idle connection after 5 s.
IDLE_S = 3.0
# How much later than the deadline a caller goes on without the thread that should have given up by then.
GRACE_S = 0.1
LOG_EVERY_S = 10.0
UNROUTABLE = "no_route"


class Question(NamedTuple):
    """An HTTP request to an engine; a POST where there is a body."""

    path: str
    body: Any = None


class Failed(Exception):
    """An engine that gave no usable answer; `reason` for the log, and whether this speaks for it being broken."""

    def __init__(self, reason: str, *, broken: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.broken = reason, broken


Pair = tuple[LatLon, LatLon]
Answer = list[Drive | None]


class Engine(ABC):
    """A routing engine behind HTTP, as a `Router`. For many threads; make one a process.

    `timeout_s` bounds each call, whatever the engine does, and `within_s` a single one more tightly. What the engine
    cannot route is answered by `otherwise`, as `Leg.engine` says; and so is all of a call of `legs` when the engine
    fails, whose legs are there to be compared with each other.
    """

    name: str
    # Drives between different places in one question, which is about the ways from all origins to all destinations. One
    # unless the engine answers the others where it refuses a place.
    pairs_at_once = 1

    def __init__(self, url: str, *, timeout_s: float, otherwise: GreatCircle) -> None:
        self._url, self._timeout_s, self._otherwise = url.rstrip("/"), timeout_s, otherwise
        self._cache = DriveCache(size=CACHE_SIZE, keep_s=CACHE_KEEP_S)
        self._breaker = Breaker(failures=FAILURES, rest_s=REST_S)
        self._asker: _Asker | None = None
        self._starting = threading.Lock()
        self._said: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    @abstractmethod
    def _question(self, origins: Sequence[LatLon], destinations: Sequence[LatLon]) -> Question:
        """How to ask for the drives from all origins to all destinations."""

    @abstractmethod
    def _answer(
        self, document: Any, origins: Sequence[LatLon], destinations: Sequence[LatLon], wanted: Sequence[int]
    ) -> Answer:
        """For each origin the drive to the destination of the number `wanted`, None where there is no way.

        Anything may be raised by a document of another shape: KeyError, IndexError, TypeError, ValueError,
        OverflowError, AttributeError.
        """

    def legs(self, origins: Sequence[LatLon], destination: LatLon, *, within_s: float | None = None) -> list[Leg]:
        """The drive from each origin to the destination, in the origins' order."""
        within_s = self._timeout_s if within_s is None else min(within_s, self._timeout_s)
        pairs = [(origin, destination) for origin in origins]
        found = self._found(pairs, ORIGINS_AT_ONCE, within_s)
        failure = next((drive for drive in found if isinstance(drive, Failed)), None)
        # All of them: great circles and roads are not to be compared with each other.
        return self._as_legs(pairs, found if failure is None else [failure] * len(pairs))

    def drives(self, pairs: Sequence[Pair]) -> list[Leg]:
        """The drive from the first to the second of each pair; all of them within `timeout_s` together."""
        return self._as_legs(pairs, self._found(pairs, self.pairs_at_once, self._timeout_s))

    def close(self) -> None:
        """Close its connections and end its thread; the next call starts another."""
        with self._starting:
            asker, self._asker = self._asker, None
        if asker is not None:
            asker.close()

    # --- what is known, and what must be asked -----------------------------------------------------------------------

    def _found(self, pairs: Sequence[Pair], at_once: int, within_s: float) -> list[Drive | Failed | None]:
        """A drive, None where there is no way, or a failure for each pair; as far as possible from the cache."""
        known = [self._cache.known(*pair) for pair in pairs]
        found: list[Drive | Failed | None] = [drive for _, drive in known]
        missing = [place for place, (is_known, _) in enumerate(known) if not is_known]
        if not missing:
            return found
        questions = [missing[n : n + at_once] for n in range(0, len(missing), at_once)]
        answers = self._ask([[pairs[place] for place in question] for question in questions], within_s)
        for question, answer in zip(questions, answers, strict=True):
            for n, place in enumerate(question):
                if isinstance(answer, Failed):
                    found[place] = answer
                else:
                    found[place] = answer[n]
                    self._cache.keep(*pairs[place], answer[n])
        return found

    def _ask(self, questions: list[list[Pair]], within_s: float) -> Sequence[Answer | Failed]:
        if self._breaker.is_resting:
            return [Failed("resting")] * len(questions)
        with self._starting:
            asker = self._asker = self._asker or _Asker(self.name)
        deadline = time.monotonic() + within_s
        return asker.all([partial(self._told, asker, deadline, question) for question in questions], within_s)

    async def _told(self, asker: "_Asker", deadline: float, pairs: list[Pair]) -> Answer | Failed:
        """Ask the engine, tell the breaker how it ended, and return rather than raise what went wrong."""
        asked = False
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())), asker.places:
                if not self._breaker.allows():
                    return Failed("resting")
                asked = True
                answer = await self._fetched(asker.client, pairs)
        except TimeoutError:
            failure = Failed("timeout", broken=asked)  # one that waited for its turn says nothing about the engine
        except httpx.HTTPError as error:
            failure = Failed("connect" if isinstance(error, httpx.ConnectError) else type(error).__name__)
        except Failed as error:
            failure = error
        except Exception as error:
            failure = Failed(type(error).__name__)
        else:
            self._note_success()
            return answer
        if failure.broken:
            if self._breaker.failed():
                log.warning("routing_rests", engine=self.name, reason=failure.reason, rest_s=REST_S)
        elif asked:
            self._note_success()  # it answers
        return failure

    def _note_success(self) -> None:
        if self._breaker.succeeded():
            log.info("routing_is_back", engine=self.name)

    async def _fetched(self, client: httpx.AsyncClient, pairs: list[Pair]) -> Answer:
        origins = [origin for origin, _ in pairs]
        places = {destination: place for place, destination in enumerate(dict.fromkeys(pair[1] for pair in pairs))}
        question = self._question(origins, list(places))
        try:
            content = await self._content(client, question)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            # A kept connection that the engine closed in the very moment: it did not see the question.
            content = await self._content(client, question)
        try:
            return self._answer(json.loads(content), origins, list(places), [places[pair[1]] for pair in pairs])
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError):
            raise Failed("nonsense") from None

    async def _content(self, client: httpx.AsyncClient, question: Question) -> bytes:
        method = "GET" if question.body is None else "POST"
        async with client.stream(method, self._url + question.path, json=question.body) as response:
            if response.status_code != httpx.codes.OK:
                raise _status_failure(response.status_code)
            content = b""
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) > ANSWER_BYTES:
                    raise Failed("too_long")
            return content

    # --- what the engine does not know -------------------------------------------------------------------------------

    def _as_legs(self, pairs: Sequence[Pair], found: Sequence[Drive | Failed | None]) -> list[Leg]:
        lost: dict[str, list[int]] = {}
        legs: list[Leg] = []
        for place, drive in enumerate(found):
            if isinstance(drive, Drive):
                legs.append(Leg(*drive, self.name))
            else:
                lost.setdefault(drive.reason if isinstance(drive, Failed) else UNROUTABLE, []).append(place)
                legs += self._otherwise.drives([pairs[place]])
        for reason, places in lost.items():
            self._say(reason, len(places))
        return legs

    def _say(self, reason: str, legs: int) -> None:
        """A line for each reason every ten seconds at most, about all legs since the last one. No places in it."""
        with self._starting:
            now = time.monotonic()
            self._unsaid[reason] = self._unsaid.get(reason, 0) + legs
            if now - self._said.get(reason, -math.inf) < LOG_EVERY_S:
                return
            self._said[reason] = now
            legs = self._unsaid.pop(reason)
        log.warning("routing_fell_back", engine=self.name, to=GREAT_CIRCLE, reason=reason, legs=legs)


def _status_failure(status: int) -> Failed:
    """A refusal (4xx) is about the question, so the engine is well; anything else but 200, a redirect too, is not."""
    is_refusal = 400 <= status < 500 and status != httpx.codes.TOO_MANY_REQUESTS
    return Failed(f"status_{status}", broken=not is_refusal)


def drive(distance_m: Any, duration_s: Any) -> Drive | None:
    """A drive of these numbers, None where both are missing; ValueError for what no drive can be."""
    if distance_m is None and duration_s is None:
        return None
    return Drive(measure(distance_m, LONGEST_M), measure(duration_s, LONGEST_S))


def measure(value: Any, most: float) -> float:
    """A number from 0 to `most`, or ValueError; what is no JSON number, NaN or infinite is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError("not a measure")
    return float(value)


def table(rows: Any, origins: Sequence[LatLon], destinations: Sequence[LatLon]) -> list[list[Any]]:
    """Rows by origin and columns by destination, or ValueError for another shape."""
    if not isinstance(rows, list) or len(rows) != len(origins):
        raise ValueError("not a row for each origin")
    if any(not isinstance(row, list) or len(row) != len(destinations) for row in rows):
        raise ValueError("not a column for each destination")
    return rows


class _Asker:
    """A thread with an event loop, and the HTTP client that lives in it."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.places = asyncio.Semaphore(QUESTIONS_AT_ONCE)
        self.client = httpx.AsyncClient(
            timeout=None,  # noqa: S113 (each question has its deadline around all it does)
            limits=httpx.Limits(
                max_connections=QUESTIONS_AT_ONCE, max_keepalive_connections=QUESTIONS_AT_ONCE, keepalive_expiry=IDLE_S
            ),
            follow_redirects=False,
            trust_env=False,  # a proxy in the environment is meant for the world outside, not for our own engine
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},  # nothing to inflate
        )
        self._thread = threading.Thread(target=self.loop.run_forever, name=f"routing-{name}", daemon=True)
        self._thread.start()

    def all(self, works: Sequence[Any], within_s: float) -> list[Any]:
        """Run these together and wait for all; a `Failed` for each should the thread not answer in time."""
        future = asyncio.run_coroutine_threadsafe(_together(works), self.loop)
        try:
            return future.result(within_s + GRACE_S)
        except TimeoutError:
            future.cancel()
            return [Failed("timeout")] * len(works)

    def close(self) -> None:
        """Close the connections and end the thread."""
        asyncio.run_coroutine_threadsafe(self.client.aclose(), self.loop).result(1)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(1)
        self.loop.close()


async def _together(works: Sequence[Any]) -> list[Any]:
    return await asyncio.gather(*(work() for work in works))
