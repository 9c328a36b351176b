"""Work that waits for others: in its turn, on one thread, and lost rather than piled up."""

import threading

import pytest

from mobility.delivery import background


@pytest.fixture
def outside(monkeypatch):
    """The thread, which another test does not find any more."""
    monkeypatch.setattr(background, "_outside", None)
    background.start_outside()
    return background.outside


def test_without_the_thread_it_runs_at_once(monkeypatch):
    monkeypatch.setattr(background, "_outside", None)
    done: list[int] = []
    background.outside(done.append, 1)
    assert done == [1]


def test_it_runs_in_its_turn_on_one_other_thread(outside):
    done: list[tuple[int, int]] = []
    over = threading.Event()
    for number in range(20):
        outside(lambda n: done.append((n, threading.get_ident())), number)
    outside(over.set)
    assert over.wait(10)
    assert [number for number, _ in done] == list(range(20))
    threads = {thread for _, thread in done}
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_work_that_fails_stops_no_other(outside, caplog):
    over = threading.Event()

    def fails() -> None:
        raise ValueError("canary")

    outside(fails)
    outside(over.set)
    assert over.wait(10)
    told = " ".join(record.getMessage() for record in caplog.records)
    assert "background_work_failed" in told
    assert "canary" not in told


def test_what_finds_no_place_in_line_is_lost(outside, caplog):
    may_end, began, done = threading.Event(), threading.Event(), []

    def holds() -> None:
        began.set()
        may_end.wait(10)

    outside(holds)
    assert began.wait(10)
    for number in range(background.IN_LINE + 5):
        outside(done.append, number)
    over = threading.Event()
    may_end.set()
    while not over.is_set():
        outside(over.set)
        over.wait(0.02)
    assert done == list(range(background.IN_LINE))
    assert sum("background_work_dropped" in record.getMessage() for record in caplog.records) >= 5
