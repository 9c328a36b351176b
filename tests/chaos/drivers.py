"""Judges the drivers' own rows: what they say is what the drivers' commands made of them. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from tests.chaos.history import Driver, History, Offer, Op, Place, Truth, Violation


def rows(history: History, truth: Truth) -> Iterator[Violation]:
    """Rides counted, duty, positions, and what became of requests."""
    completed = Counter(booking.driver_id for booking in truth.bookings.values() if booking.status == "completed")
    mine: defaultdict[int, list[Op]] = defaultdict(list)
    for op in history.ops:
        if op.role == "driver":
            mine[op.who].append(op)
    asked: defaultdict[tuple[object, int], list[Offer]] = defaultdict(list)
    for offer in truth.offers:
        asked[offer.booking_id, offer.driver_id].append(offer)
    for driver in truth.drivers.values():
        if driver.total_rides != completed[driver.id]:
            yield Violation("doubled", f"{driver} has completed {completed[driver.id]} rides")
        yield from _duty(driver, mine[driver.id])
        takes = any(op.sent.get("auto_accept") and op.outcome != "fail" for op in mine[driver.id])
        for offer in truth.offers:
            wanted = offer.origin == "asked" or (offer.origin == "auto_accept" and takes)
            if offer.driver_id == driver.id and not wanted:
                yield Violation("made up", f"{offer}: the driver never asked for that")
        yield from _places(driver, mine[driver.id], truth.places.get(driver.id, []))
        for op in mine[driver.id]:
            offers = asked[op.ride, driver.id]
            if op.outcome == "ok" and not _is_answered(op, offers, history.epoch):
                yield Violation("lost", f"driver {driver.id}, {op.command} of {op.ride}, which is stored as {offers}")


def _is_answered(op: Op, offers: list[Offer], epoch: float) -> bool:
    """Whether one of the driver's offers of this ride shows what they answered to it."""
    if op.command == "ride_request_received":
        return any(offer.delivered for offer in offers)
    if op.command == "decline_ride":
        # Stored, or in vain: then the request was over when the answer came, and did not end later by itself.
        by = (op.ended or 0.0) + epoch
        return any(offer.decline_reason == op.command_id or 0 < offer.settled <= by for offer in offers)
    return True


def _duty(driver: Driver, ops: Iterable[Op]) -> Iterator[Violation]:
    """auto_accept is what the last answered go_online said, or an unanswered one after it."""
    wishes = [op for op in ops if op.command == "go_online" and op.outcome != "fail" and "auto_accept" in op.sent]
    said = [n for n, op in enumerate(wishes) if op.outcome == "ok"]
    possible = {op.sent["auto_accept"] for op in (wishes[said[-1] :] if said else wishes)}
    if possible and (said or driver.auto_accept) and driver.auto_accept not in possible:
        yield Violation("lost", f"{driver}: they asked for auto_accept in {possible}")


def _places(driver: Driver, ops: Iterable[Op], places: Sequence[Place]) -> Iterator[Violation]:
    """Each position is stored once if it was answered and at most once if not; the driver is where the newest says."""
    told = {(op.sent["latitude"], op.sent["longitude"]): op for op in ops if op.command == "location_update"}
    stored = Counter((place.latitude, place.longitude) for place in places)
    for at, op in told.items():
        words = f"driver {driver.id}, {op.command} {op.command_id}, {op.outcome}: stored {stored[at]} times"
        if op.outcome == "ok" and not stored[at]:
            yield Violation("lost", words)
        if stored[at] > 1:
            yield Violation("doubled", words)
        if op.outcome == "fail" and stored[at]:
            yield Violation("made up", words)
    for at in stored.keys() - told.keys():
        yield Violation("made up", f"driver {driver.id}: no position they told is {at}")
    if places and (driver.latitude, driver.longitude, driver.recorded_at) != places[-1]:
        yield Violation("lost", f"{driver}: the newest position is {places[-1]}")
