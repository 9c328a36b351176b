"""Whether positions are stored: what is cheap to make for each of thousands a second, and can be waited for by the few
who do."""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future

_lock = threading.Lock()


class Stored:
    """Of positions that somebody brought. Like a future, a fifth as dear while nobody waits; it never raises."""

    __slots__ = ("_code", "_done", "_then")

    def __init__(self) -> None:
        self._done = False
        self._code: str | None = None
        self._then: list[Callable[[], None]] | None = None

    def done(self) -> bool:
        """Whether the code is known."""
        return self._done

    def code(self) -> str | None:
        """None where they are stored, or why they are not."""
        return self._code

    def when_done(self, call: Callable[[], None]) -> None:
        """Have this called, by whoever settles it, or at once."""
        with _lock:
            if not self._done:
                self._then = [*(self._then or ()), call]
                return
        call()

    def future(self) -> "Future[str | None]":
        """One whose result is the code."""
        made: Future[str | None] = Future()
        self.when_done(lambda: made.set_result(self.code()))
        return made

    def result(self, timeout: float | None = None) -> str | None:
        """The code, waited for; TimeoutError after so many seconds."""
        return self.future().result(timeout)


def settle(stored: Iterable[Stored], code: str | None = None) -> None:
    """They are stored, or never will be for the reason that the code names. What is done stays as it is."""
    calls: list[Callable[[], None]] = []
    with _lock:
        for one in stored:
            if not one._done:
                one._done, one._code = True, code
                if one._then:
                    calls += one._then
                    one._then = None
    for call in calls:
        call()


class AllStored(Stored):
    """Of those that somebody brought at once and that may be stored at different times. Done when all are, with a code
    where one has one."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[Stored]) -> None:
        super().__init__()
        self._parts = parts

    def done(self) -> bool:
        """Whether all are done."""
        return all(part.done() for part in self._parts)

    def code(self) -> str | None:
        """None where all are stored, or why one is not."""
        return next((part.code() for part in self._parts if part.code() is not None), None)

    def when_done(self, call: Callable[[], None]) -> None:
        """Have this called, by whoever settles the last, or at once."""
        others = iter(range(len(self._parts) - 1))

        def count_down() -> None:
            if next(others, None) is None:  # the last one, whichever thread it comes from
                call()

        for part in self._parts:
            part.when_done(count_down)
