"""The words of dispatching: offers and how they end, rounds and what came of them, drivers and why they were passed."""

from typing import NamedTuple

from django.db import models


class OfferStatus(models.TextChoices):
    """Where an offer stands. Only `pending` is open; `accepted` may still be given back."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    RELEASED = "released"


class CloseReason(models.TextChoices):
    """Why an offer was withdrawn."""

    TAKEN = "taken"
    RIDE_CANCELLED = "ride_cancelled"
    DRIVER_GONE = "driver_gone"
    UNDELIVERED = "undelivered"
    SEARCH_OVER = "search_over"


class OfferOrigin(models.TextChoices):
    """How a driver came to it: asked in a wave, taken by `auto_accept`, bound by the auto-assign setting or by hand."""

    ASKED = "asked"
    AUTO_ACCEPT = "auto_accept"
    AUTO_ASSIGN = "auto_assign"
    OPERATOR = "operator"


class Outcome(models.TextChoices):
    """What came of a search round."""

    ASSIGNED = "assigned"
    ASKED = "asked"
    WAITING = "waiting"
    NOBODY = "nobody"


class Verdict(models.TextChoices):
    """What a round made of a driver: chosen, not needed, or the first rule that ruled them out, in this order."""

    ASSIGNED = "assigned"
    ASKED = "asked"
    OWN_RIDE = "own_ride", "the passenger themselves"
    UNVERIFIED = "unverified"
    OFFLINE = "offline"
    VEHICLE_TYPE = "vehicle_type", "another vehicle type"
    TOO_FAR = "too_far", "too far"
    STALE = "stale", "position too old"
    BUSY = "busy", "has a ride"
    RELEASED = "released", "gave this ride back"
    DECLINED = "declined"
    EXPIRED = "expired", "did not answer"
    ASKED_ALREADY = "asked_already", "is being asked for this ride"
    ASKED_ELSEWHERE = "asked_elsewhere", "is being asked for another ride"
    UNREACHABLE = "unreachable", "no open connection"
    NOT_NEEDED = "not_needed", "others were nearer"


class OfferMove(NamedTuple):
    """One allowed step of an offer; `source` is "" for a new one."""

    source: str
    target: str


_S = OfferStatus
OFFER_MOVES: tuple[OfferMove, ...] = tuple(
    OfferMove(str(source), str(target))
    for source, target in (
        ("", _S.PENDING),
        ("", _S.ACCEPTED),
        (_S.PENDING, _S.ACCEPTED),
        (_S.PENDING, _S.DECLINED),
        (_S.PENDING, _S.EXPIRED),
        (_S.PENDING, _S.WITHDRAWN),
        (_S.ACCEPTED, _S.RELEASED),
    )
)
# From here no step leads on.
CLOSED = frozenset({_S.DECLINED, _S.EXPIRED, _S.WITHDRAWN, _S.RELEASED})
# What ends a driver's part in a ride for good: they are not asked for it again.
NOT_AGAIN = frozenset({_S.DECLINED, _S.EXPIRED, _S.RELEASED})
