"""What is kept of an engine's answers, and when it is left alone."""

import threading

from geo.coordinates import LatLon
from geo.routing.breaker import Breaker
from geo.routing.cache import Drive, DriveCache

A, B = LatLon(60.17, 24.94), LatLon(60.18, 24.95)
DRIVE = Drive(1_000.0, 100.0)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def place(n: int) -> LatLon:
    return LatLon(60 + n / 1_000, 24)


def test_a_drive_is_known_until_it_is_too_old():
    clock = Clock()
    cache = DriveCache(size=10, keep_s=60, clock=clock)
    assert cache.known(A, B) == (False, None)
    cache.keep(A, B, DRIVE)
    cache.keep(B, A, None)
    clock.now += 59.9
    assert cache.known(A, B) == (True, DRIVE)
    assert cache.known(B, A) == (True, None)
    clock.now += 0.2
    assert cache.known(A, B) == (False, None)
    assert cache.known(B, A) == (False, None)
    assert len(cache) == 0


def test_places_that_are_some_metres_apart_are_the_same():
    cache = DriveCache(size=10, keep_s=60)
    cache.keep(A, B, DRIVE)
    assert cache.known(LatLon(A.latitude + 0.00004, A.longitude - 0.00004), B) == (True, DRIVE)
    assert cache.known(LatLon(A.latitude + 0.0002, A.longitude), B) == (False, None)
    assert cache.known(A, LatLon(B.latitude, B.longitude + 0.0002)) == (False, None)


def test_the_one_not_asked_for_longest_makes_room():
    cache = DriveCache(size=3, keep_s=60)
    for n in range(3):
        cache.keep(place(n), B, DRIVE)
    cache.known(place(0), B)
    cache.keep(place(3), B, DRIVE)
    assert len(cache) == 3
    assert [cache.known(place(n), B)[0] for n in range(4)] == [True, False, True, True]


def test_many_threads_at_once():
    cache, faults = DriveCache(size=50, keep_s=60), []

    def work(seed: int) -> None:
        try:
            for n in range(3_000):
                at = place((seed * 7 + n * 13) % 100)
                known, drive = cache.known(at, B)
                if known and drive != Drive(at.latitude, 1.0):
                    faults.append(drive)
                cache.keep(at, B, Drive(at.latitude, 1.0))
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=[n]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(cache) == 50


def test_an_engine_is_tried_again_once_after_its_rest():
    clock = Clock()
    breaker = Breaker(failures=3, rest_s=5, clock=clock)
    assert [breaker.failed() for _ in range(3)] == [False, False, True]
    assert breaker.is_resting
    assert not breaker.allows()
    clock.now += 5.1
    assert not breaker.is_resting
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    clock.now += 5.1  # the trial never came back
    assert breaker.allows()
    assert not breaker.failed()
    assert not breaker.allows()
    clock.now += 5.1
    assert breaker.allows()
    assert breaker.succeeded()
    assert [breaker.allows() for _ in range(3)] == [True] * 3


def test_a_success_forgives_the_failures_before_it():
    breaker = Breaker(failures=3, rest_s=5)
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        assert not breaker.succeeded()
    assert breaker.allows()
