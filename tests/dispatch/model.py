"""Rides, offers and drivers as the specification describes them: no database, no SQL, none of the service's code.

The model judges, it does not drive. Asked about a command it says what the answer must be (`Expect`); told of what then
happened, in order, it raises `Illegal` unless that was allowed at that moment; `owed` names what should have happened
by now and has not. Where several drivers or rides are equally right, any of them is. Places are metres along one line,
so a distance is a difference; times are seconds on one clock.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

RADIUS_M, ARRIVAL_M = 10_000, 200
CELL_M = 5_000  # no cell by which passengers are told is wider; where its edges are the model does not know
DELIVERY_S, OFFER_S, SEARCH_S, STALE_S, LEASE_S = 4, 15, 90, 60, 30
LOST_S, SILENT_TRIP_S, NO_SHOW_S = 120, 1800, 300
MISSES, RELEASES = 3, 3
TERMINAL, BOUND = {"completed", "cancelled", "no_show"}, {"confirmed", "in_progress"}
NEVER = float("-inf")
# What may happen to a ride beside an assignment: from where, to where, by which commands ("" for any).
MOVES = {
    "ride_requested": ("new", "pending", "find"),
    "search_started": ("unfulfilled", "pending", "find assign"),
    "no_drivers": ("pending", "unfulfilled", ""),
    "driver_arrived": ("confirmed", "confirmed", "arrive"),
    "driver_released": ("confirmed", "pending unfulfilled", "give_back assign sweep"),
    "ride_started": ("confirmed", "in_progress", "start"),
    "no_show": ("confirmed", "no_show", "no_show"),
    "ride_completed": ("in_progress", "completed", "complete"),
    "ride_cancelled": ("pending unfulfilled confirmed in_progress", "cancelled", "cancel"),
}


class Illegal(AssertionError):
    """Something the specification does not allow."""


def legal(condition: object, *what: object) -> None:
    if not condition:
        raise Illegal(" ".join(map(str, what)))


class Expect(NamedTuple):
    """What a command must lead to: this refusal, this move of the ride, nothing at all, or else some success."""

    code: str | None = None
    move: str | None = None
    quiet: bool = False


OK, AGAIN = Expect(), Expect(quiet=True)


@dataclass(eq=False)
class Driver:
    id: int
    name: str
    user: int
    at: int
    vehicle: str = "sedan"
    verified: bool = True
    stationary: bool = False
    auto: bool = False
    status: str = "available"
    missed: int = 0
    rides: int = 0
    told_at: float = NEVER  # the newest position's time
    connected: float = NEVER
    seen: float = NEVER
    inbox: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Ride:
    id: int
    passenger: int | None  # None: a guest
    ride_id: str
    wanted: tuple[int, str | None]  # where from, and in what
    status: str = "new"
    driver: Driver | None = None
    since: float = 0  # when the search began
    last_move: float = NEVER  # confirmed, arrived or started
    arrived: float | None = None
    releases: int = 0
    attention: bool = False
    log: list[str] = field(default_factory=list)
    offers: "list[Offer]" = field(default_factory=list)

    def open(self) -> "list[Offer]":
        return [o for o in self.offers if o.status == "pending"]

    def until(self) -> float:
        return self.since + SEARCH_S

    def searching(self, now: float) -> bool:
        return self.status == "pending" and now < self.until()

    def far(self, d: Driver) -> int:
        return abs(d.at - self.wanted[0])


@dataclass(eq=False)
class Offer:
    id: int
    ride: Ride
    driver: Driver
    offered: float
    status: str = "pending"
    reason: str | None = None
    delivered: float | None = None
    settled: float = NEVER

    def answer_by(self) -> float:
        return min((self.delivered or self.offered) + OFFER_S, self.ride.until())

    def own_end(self) -> float:
        return self.delivered + OFFER_S if self.delivered else self.offered + DELIVERY_S


class Model:
    """`wave` drivers are asked at once, or if not `asking` the nearest is bound; a `balanced` strategy may leave a
    driver to another waiting ride."""

    def __init__(self, wave: int, *, balanced: bool, asking: bool) -> None:
        self.wave, self.balanced, self.asking = wave, balanced, asking
        self.drivers: dict[int, Driver] = {}
        self.rides: dict[int, Ride] = {}
        self.offers: dict[int, Offer] = {}
        self.begin("")

    def begin(self, command: str, ride: Ride | None = None, driver: Driver | None = None) -> None:
        """Another command; what follows happens because of it."""
        self.command, self.ride, self.driver = command, ride, driver
        self.touched: set[Driver | Ride] = {driver} if driver and command in {"online", "connect"} else set()
        self.places_lost: list[Ride] = []
        self.taken: set[Ride] = set()
        self.began: set[Ride] = set()  # searches

    # --- who could be asked -------------------------------------------------------------------------------------------

    def fresh(self, d: Driver, now: float) -> bool:
        return d.stationary or now - d.told_at < STALE_S

    def fits(self, d: Driver, r: Ride, now: float) -> bool:
        """May drive this ride, is near and fresh; did not decline, miss or give it back, nor was out of its reach."""
        barred = any(
            o.status in {"declined", "expired", "released"} or (o.reason == "undelivered" and d.connected <= o.settled)
            for o in r.offers if o.driver is d
        )  # fmt: skip
        right = d.verified and d.user != r.passenger and r.wanted[1] in {None, d.vehicle}
        return right and self.fresh(d, now) and r.far(d) <= RADIUS_M and not barred

    def offer_to(self, d: Driver) -> Offer | None:
        return next((o for o in self.offers.values() if o.driver is d and o.status == "pending"), None)

    def reachable(self, d: Driver, now: float) -> bool:
        return d.status == "available" and (self.takes(d) or now < d.seen + LEASE_S)

    def takes(self, d: Driver) -> bool:
        return d.auto or not self.asking

    def idle(self, d: Driver, now: float) -> bool:
        return d.verified and self.fresh(d, now) and self.reachable(d, now) and self.offer_to(d) is None

    def eligible(self, d: Driver, r: Ride, now: float) -> bool:
        return self.idle(d, now) and self.fits(d, r, now)

    def nearest(self, r: Ride, now: float) -> list[Driver]:
        return sorted((d for d in self.drivers.values() if self.eligible(d, r, now)), key=r.far)

    def anybody(self, r: Ride, now: float, within_m: int = RADIUS_M) -> bool:
        """On duty there, though perhaps busy, asked for another ride, or through with this one; but not who gave it
        back."""
        gave_back = {o.driver for o in r.offers if o.status == "released"}
        return any(
            d.verified and d not in gave_back and (d.status == "busy" or self.reachable(d, now))
            and d.user != r.passenger and r.wanted[1] in {None, d.vehicle} and self.fresh(d, now)
            and r.far(d) <= within_m
            for d in self.drivers.values()
        )  # fmt: skip

    def turn(self, d: Driver, now: float) -> Ride | None:
        """Which ride a driver gets who came online or free: the one that waits longest; while riders outnumber idle
        drivers a balanced strategy prefers the nearest, of those for whom nobody is being asked if there are any."""
        waiting = [r for r in self.rides.values() if r.searching(now) and len(r.open()) < self.wave]
        rides = [r for r in waiting if self.eligible(d, r, now)]
        idle = [e for e in self.drivers.values() if self.idle(e, now) and abs(e.at - d.at) <= RADIUS_M]
        if self.balanced and len(rides) > len(idle):
            return min(rides, key=lambda r: (r.open() != [], r.far(d), r.id))
        return min(rides, key=lambda r: (r.since, r.id), default=None)

    def is_wave(self, r: Ride, chosen: list[Driver], places: int, now: float) -> bool:
        """The nearest for whom there is a place are asked; where one of them takes rides by themselves the nearest of
        those is bound. But by a ride's very first look, a driver whose turn it is for another ride is left to that."""
        first = self.command == "find" and len(r.log) == 1
        wave = self.nearest(r, now)[: self.wave]
        line = [d for d in wave if first or not self.balanced or self.turn(d, now) in {r, None}][:places]
        return chosen == ([d for d in line if self.takes(d)][:1] or line)

    # --- what a command must be answered ------------------------------------------------------------------------------

    def find(self, passenger: int | None, ride_id: str, wanted: tuple[int, str | None]) -> Expect:
        mine = [r for r in self.rides.values() if (r.passenger, r.ride_id) == (passenger, ride_id)]
        this = next((r for r in mine if passenger is not None or r.status not in TERMINAL), None)
        if this is not None and this.status in TERMINAL:
            return Expect("ride_over")
        if this is not None and this.status != "unfulfilled":
            return AGAIN if this.wanted == wanted else Expect("ride_conflict")
        if self.live(passenger):
            return Expect("live_ride_exists")
        return Expect(move="ride_requested" if this is None else "search_started")

    def live(self, passenger: int | None) -> bool:
        """Whether this person has a live ride; what guests have is not known to be theirs."""
        live = [r for r in self.rides.values() if r.status in {"pending", *BOUND}]
        return passenger is not None and passenger in {r.passenger for r in live}

    def cancel(self, r: Ride, role: str) -> Expect:
        if r.status == "in_progress" and role != "operator":
            return Expect("ride_in_progress")
        again = AGAIN if r.status == "cancelled" else Expect("ride_over")
        return again if r.status in TERMINAL else Expect(move="ride_cancelled")

    def meant(self, d: Driver, name: object) -> Offer | None:
        """What a driver means by a ride id or a booking's number: the open request, the ride held, else the newest."""
        known = [o for o in reversed(self.offers.values()) if o.driver is d and name in {o.ride.id, o.ride.ride_id}]
        held = [o for o in known if o.status == "accepted" and o.ride.status in BOUND]
        return next(iter([o for o in known if o.status == "pending"] + held + known), None)

    def accept(self, o: Offer | None, now: float) -> Expect:
        if o is not None and o.status == "accepted" and o.ride.status in BOUND:
            return AGAIN
        if o is not None and o.status == "pending" and now < o.answer_by():
            return Expect(move="driver_assigned")
        return Expect({
            None: "no_offer", "released": "no_offer", "accepted": "ride_over", "declined": "offer_declined",
            "taken": "ride_taken", "ride_cancelled": "ride_cancelled", "driver_gone": "offer_withdrawn",
        }.get(o and (o.reason or o.status), "offer_expired"))  # fmt: skip

    def acknowledge(self, o: Offer | None, now: float) -> Expect:
        if o is not None and o.status == "accepted":
            return Expect("not_allowed")
        in_time = o is not None and o.status == "pending" and now < min(o.own_end(), o.ride.until())
        return OK if in_time else Expect("offer_expired") if o and o.status == "pending" else self.accept(o, now)

    def decline(self, o: Offer | None, _now: float) -> Expect:
        if o is not None and o.status == "accepted" and o.ride.status in BOUND:
            return Expect("not_allowed")
        return Expect("no_offer") if o is None else OK if o.status == "pending" else AGAIN

    def drive(self, what: str, r: Ride | None, d: Driver | None, now: float) -> Expect:
        """arrive, start, complete, no_show or give_back; without a driver an operator does it."""
        if r is None or (d is not None and r.driver is not d):
            gave_back = r is not None and any(o.driver is d and o.status == "released" for o in r.offers)
            return AGAIN if what == "give_back" and gave_back else Expect("no_offer")
        event = {"arrive": "driver_arrived", "start": "ride_started", "complete": "ride_completed",
                 "no_show": "no_show", "give_back": "driver_released"}[what]  # fmt: skip
        source, target, _ = MOVES[event]
        if (r.status == target and what != "arrive") or (what == "arrive" and r.status in BOUND and r.arrived):
            return AGAIN
        for code, stands in (
            ("ride_over", r.status in TERMINAL), ("not_allowed", r.status != source),
            ("too_far_from_pickup", what == "arrive" and d is not None and r.far(d) > ARRIVAL_M),
            ("not_allowed", what == "no_show" and r.arrived is None),
            ("too_early", what == "no_show" and r.arrived is not None and now < r.arrived + NO_SHOW_S),
        ):  # fmt: skip
            if stands:
                return Expect(code)
        return Expect(move=event)

    def duty(self, what: str, d: Driver) -> Expect:
        if what == "online":
            return OK if d.verified else Expect("driver_not_verified")
        return Expect("driver_has_ride") if d.status == "busy" else OK

    def assign(self, r: Ride, d: Driver) -> Expect:
        asked = self.offer_to(d)
        if r.status == "confirmed" and r.driver is d:
            return AGAIN
        for code, stands in (
            ("ride_over", r.status in TERMINAL), ("not_allowed", r.status == "in_progress"),
            ("live_ride_exists", r.status == "unfulfilled" and self.live(r.passenger)),
            ("own_ride", d.user == r.passenger), ("driver_has_ride", d.status == "busy"),
            ("driver_not_verified", not d.verified), ("driver_being_asked", asked is not None and asked.ride is not r),
            ("driver_not_available", d.status == "offline"),
        ):  # fmt: skip
            if stands:
                return Expect(code)
        return Expect(move="driver_assigned")

    # --- what happened ------------------------------------------------------------------------------------------------

    def moved(self, r: Ride, event: str, target: str, now: float) -> None:
        """A row of the ride's log other than an assignment."""
        sources, targets, commands = MOVES[event]
        legal(r.status in sources.split() and target in targets.split(), event, "from", r.status, "to", target)
        legal(not commands or self.command in commands.split(), event, "by", self.command)
        legal(not commands or self.command == "sweep" or r is self.ride, event, "of another ride")
        legal(target == "pending" or not r.open(), "drivers are still asked")
        d = r.driver
        if event == "no_drivers":
            in_vain = r in self.began and not self.anybody(r, now)
            legal(now >= r.until() or in_vain, "given up with time left: only a search that begins may be")
        if event in {"driver_arrived", "ride_started"}:
            r.last_move, r.arrived = now, now if event == "driver_arrived" else r.arrived
        if event == "driver_released":
            legal(d and [o.status for o in r.offers if o.driver is d][-1] == "released", "the offer is still accepted")
            legal(self.command != "sweep" or self.lost(r, now), "taken from a driver who is not lost")
            again = self.command == "assign" or r.releases < RELEASES
            legal(target == ("pending" if again else "unfulfilled"), "released", r.releases, "times before:", target)
            r.driver, r.arrived, r.releases = None, None, r.releases + (self.command != "assign")
        if d is not None and (event == "driver_released" or target in TERMINAL):
            by_operator = event == "ride_completed" and self.driver is None
            d.inbox += [event] if by_operator or event == "ride_cancelled" else []
            d.inbox += ["ride_released"] if event == "driver_released" else []
            d.status, d.rides, r.attention = "available", d.rides + (event == "ride_completed"), False
            self.touched.add(d)
        if target == "pending":
            r.since = now
            self.began.add(r)
        r.status = target
        r.log.append(event)
        self.touched.add(r)

    def assigned(self, r: Ride, d: Driver, offer_id: int, origin: str, now: float) -> None:
        """A driver is bound: by accepting, by taking rides by themselves, or by the operator's hand."""
        legal(r.status == "pending" and d.status == "available" and d.verified, "bound a driver who is", d.status)
        legal(d.user != r.passenger, "matched to themselves")
        if origin == "asked":
            o = self.offers[offer_id]
            legal((o.ride, o.driver, o.status, now < o.answer_by()) == (r, d, "pending", True), "no valid request")
            legal(self.command == "accept" and d is self.driver, "nobody accepted")
        elif origin == "operator":
            legal(self.command == "assign" and (r, d) == (self.ride, self.driver), "no operator said so")
        else:
            legal(origin == ("auto_accept" if self.asking else "auto_assign"), "by", origin)
            legal(self.takes(d) and r.searching(now) and self.eligible(d, r, now), d.name, "must not be bound")
            places = self.places_lost.count(r) if r.open() else self.wave
            right = self.is_wave(r, [d], places, now) or self.turn(d, now) is r
            legal(right, d.name, "is not the nearest who takes rides by themselves")
        offer = self.offers.setdefault(offer_id, Offer(offer_id, r, d, now))
        r.offers += [] if offer in r.offers else [offer]
        offer.status, offer.settled, offer.delivered = "accepted", now, offer.delivered or now
        r.driver, r.last_move, r.status, d.status, d.missed = d, now, "confirmed", "busy", 0
        r.log.append("driver_assigned")
        d.inbox.append("ride_assigned")
        self.touched |= {r, d}

    def asked(self, r: Ride, offers: dict[int, Driver], now: float) -> None:
        """These drivers were asked in one moment."""
        drivers, places = sorted(offers.values(), key=r.far), self.wave - len(r.open())
        for d in drivers:
            legal(r.searching(now) and self.eligible(d, r, now) and not self.takes(d), d.name, "must not be asked")
        wave = self.is_wave(r, drivers, min(places, self.places_lost.count(r)) if r.open() else places, now)
        turn = len(drivers) == 1 <= places and self.turn(drivers[0], now) is r
        legal(wave or turn, [d.name for d in drivers], "asked; the nearest:", [d.name for d in self.nearest(r, now)])
        for offer_id, d in offers.items():
            self.offers[offer_id] = Offer(offer_id, r, d, now)
            r.offers.append(self.offers[offer_id])
            d.inbox.append("ride_request")
        self.touched |= {r, *drivers}

    def settled(self, o: Offer, status: str, reason: str | None, now: float) -> None:
        """An offer ended other than by being accepted."""
        d, r = o.driver, o.ride
        legal(o.status == ("accepted" if status == "released" else "pending"), "was", o.status, "and is", status)
        due = self.command == "sweep" and o.own_end() <= now and o.own_end() < r.until()
        legal({
            "released": self.command in {"give_back", "assign", "sweep"},
            "declined": self.command == "decline" and d is self.driver,
            "expired": due and o.delivered,
            "undelivered": due and not o.delivered,
            "search_over": self.command == "sweep" and now >= r.until(),
            "driver_gone": self.command == "offline" and d is self.driver,
            "ride_cancelled": self.command == "cancel" and r is self.ride,
            "taken": True,  # by somebody, in this step: see `owed`
        }[reason or status], "an offer is", status, reason, "by", self.command)  # fmt: skip
        o.status, o.reason, o.settled = status, reason, now
        d.inbox += ["ride_request_closed"] if status in {"expired", "withdrawn"} else []
        d.missed = {"expired": d.missed + 1, "declined": 0}.get(status, d.missed)
        if d.missed >= MISSES:
            d.missed, d.status = 0, "offline"
            d.inbox.append("went_offline")
        self.places_lost += [r] if reason == "undelivered" else []
        self.taken |= {r} if reason == "taken" else set()
        self.touched |= {d, r}

    # --- what should have happened by now -----------------------------------------------------------------------------

    def silent(self, r: Ride, after_s: float, now: float) -> bool:
        d = r.driver
        return d is not None and not d.stationary and now >= max(r.last_move, d.told_at, d.seen) + after_s

    def lost(self, r: Ride, now: float) -> bool:
        return r.status == "confirmed" and r.arrived is None and self.silent(r, LOST_S, now)

    def owed(self, now: float) -> list[str]:
        """Nobody idle whom this step concerned is left beside a ride that waits; after a sweep, nobody and nothing."""
        found, swept = [f"{r} taken by nobody" for r in self.taken if r.status != "confirmed"], self.command == "sweep"
        for r in self.rides.values():
            alone = r.searching(now) and not r.open()
            idle = self.nearest(r, now) if alone else []
            found += [f"{d.name} is idle, {r} waits" for d in idle if swept or {r, d} & self.touched]
            under_way = r.status == "in_progress" or (r.status == "confirmed" and r.arrived is not None)
            r.attention |= swept and under_way and self.silent(r, SILENT_TRIP_S, now)
            late = [o for o in r.open() if now >= min(o.own_end(), r.until())]
            over = r.status == "pending" and now >= r.until()
            if swept and (late or over or self.lost(r, now)):
                found.append(f"nobody looks at {r}")
            if r in self.began and alone and not self.anybody(r, now, RADIUS_M + CELL_M):
                found.append(f"{r} waits for nobody")
        return found

    def deadlines(self) -> list[float]:
        """Every time at which something becomes true by itself."""
        times = [t for o in self.offers.values() if o.status == "pending" for t in (o.own_end(), o.answer_by())]
        times += [t for d in self.drivers.values() for t in (d.told_at + STALE_S, d.seen + LEASE_S)]
        times += [r.until() for r in self.rides.values() if r.status == "pending"]
        for r in [r for r in self.rides.values() if r.driver is not None and r.status in BOUND]:
            sign = max(r.last_move, r.driver.told_at, r.driver.seen)
            times += [sign + LOST_S, sign + SILENT_TRIP_S, (r.arrived or NEVER) + NO_SHOW_S]
        return times
