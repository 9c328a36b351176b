"""What clients may say: frames in, commands out, or a refusal that names the fault. The contract is docs/protocol.md.

Sockets of apps that exist speak this, so the fixed messages keep their names, units and types for ever. Unknown extra
fields are ignored, apart from those that only the service sets and those that we can't honour yet.
"""

import json
import re
from decimal import Decimal
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from geo.coordinates import Bounds, LatLon, bounds, looks_swapped
from mobility.bookings.services import RideRequest
from mobility.conf import knobs
from mobility.drivers.models import VehicleType
from mobility.errors import Refusal

MAX_DEPTH = 8
RIDE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
SET_BY_THE_SERVICE = frozenset(
    {"id", "booking_id", "status", "seq", "driver", "driver_id", "passenger", "passenger_id", "user_id", "role",
     "roles", "fare_origin", "fare_minor", "cancelled_by", "verified"}
)  # fmt: skip
NOT_SUPPORTED = frozenset({"requirements", "quote_id"})


class Misunderstood(Refusal):
    """A frame that could not be understood: answered, counted, and nothing was written."""


class _Command(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False, frozen=True)


class Ping(_Command):
    """Is anybody there?"""

    type: Literal["ping"]
    seq: Annotated[int, Field(ge=0, le=2**31)] | None = None


Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]
Address = Annotated[str, Field(max_length=300)]


class FindDriver(_Command):
    """A passenger asks for a ride. Degrees, kilometres, minutes, whole currency."""

    type: Literal["find_driver"]
    pickup_latitude: Latitude
    pickup_longitude: Longitude
    dropoff_latitude: Latitude
    dropoff_longitude: Longitude
    pickup_address: Address | None = None
    dropoff_address: Address | None = None
    distance_km: Annotated[float, Field(ge=0, le=20_100)] | None = None
    estimated_duration_minutes: Annotated[float, Field(ge=0, le=525_600)] | None = None
    fare_amount: Annotated[float, Field(ge=0, le=1e12)] | None = None
    passenger_phone: Annotated[str, Field(max_length=32, pattern=r"^[0-9+() .-]*$")] | None = None
    vehicle_type: Literal[tuple(VehicleType.values)] | None = None  # type: ignore[valid-type]
    notes: Annotated[str, Field(max_length=500)] | None = None

    def request(self) -> RideRequest:
        """As the services take it."""
        return RideRequest(
            pickup=LatLon(self.pickup_latitude, self.pickup_longitude),
            dropoff=LatLon(self.dropoff_latitude, self.dropoff_longitude),
            pickup_address=self.pickup_address or "",
            dropoff_address=self.dropoff_address or "",
            distance_km=self.distance_km,
            duration_minutes=self.estimated_duration_minutes,
            fare_amount=None if self.fare_amount is None else Decimal(str(self.fare_amount)).quantize(Decimal("0.01")),
            passenger_phone=self.passenger_phone or "",
            vehicle_type=self.vehicle_type,
            notes=self.notes or "",
        )


class CancelRide(_Command):
    """The passenger does not want the ride any more."""

    type: Literal["cancel_ride"]
    reason: Annotated[str, Field(max_length=300)] | None = None


PassengerCommand = Ping | FindDriver | CancelRide
_PASSENGER: TypeAdapter[Any] = TypeAdapter(Annotated[PassengerCommand, Field(discriminator="type")])
_PASSENGER_TYPES = ("ping", "find_driver", "cancel_ride")


def parse_passenger(text: str) -> PassengerCommand:
    """One frame of the passenger socket as a command, or `Misunderstood`."""
    frame = _object(text)
    kind = frame.get("type")
    if not isinstance(kind, str):
        raise Misunderstood("missing_field", "Every message needs a text field `type`.", field="type")
    if kind not in _PASSENGER_TYPES:
        raise Misunderstood("unknown_type", f"Unknown message type. Known here: {', '.join(_PASSENGER_TYPES)}.")
    if kind != "ping":
        _refuse_fields(frame)
    try:
        command: PassengerCommand = _PASSENGER.validate_python(frame)
    except ValidationError as invalid:
        raise _field_fault(invalid) from None
    if isinstance(command, FindDriver):
        _refuse_swapped(command)
    return command


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
    except Misunderstood:
        raise
    except RecursionError:
        raise Misunderstood("too_deep") from None
    except ValueError:
        raise Misunderstood("invalid_json") from None
    if not isinstance(value, dict):
        raise Misunderstood("not_an_object")
    _check(value, 1)
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Misunderstood("duplicate_field")
    return value


def _no_constants(name: str) -> NoReturn:
    raise Misunderstood("invalid_json", f"{name} is not a JSON number.")


def _check(value: Any, depth: int) -> None:
    """Refuse what parses and still can't be stored: too deep, NUL, half a surrogate pair."""
    if isinstance(value, str):
        if "\x00" in value or not _encodable(value):
            raise Misunderstood("invalid_text")
    elif isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise Misunderstood("too_deep")
        for key in value if isinstance(value, dict) else ():
            _check(key, depth)
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, depth + 1)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_fields(frame: dict[str, Any]) -> None:
    for name in frame:
        if name in SET_BY_THE_SERVICE:
            raise Misunderstood("forbidden_field", f"`{name}` is set by the service, never by a client.", field=name)
        if name in NOT_SUPPORTED:
            raise Misunderstood("not_supported", f"`{name}` is not supported yet.", field=name)


def _field_fault(invalid: ValidationError) -> Misunderstood:
    first = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
    # The first step of the path is the message's type, put there by the union.
    field = ".".join(str(step) for step in first["loc"][1:2]) or "type"
    if first["type"] == "missing":
        return Misunderstood("missing_field", f"`{field}` is missing.", field=field)
    return Misunderstood("invalid_field", f"`{field}`: {first['msg']}.", field=field)


def _refuse_swapped(command: FindDriver) -> None:
    home = _home(knobs().service_bounds)
    if home is None:
        return
    for name in ("pickup", "dropoff"):
        at = LatLon(getattr(command, f"{name}_latitude"), getattr(command, f"{name}_longitude"))
        if looks_swapped(at, home):
            raise Misunderstood(
                "coordinates_swapped",
                f"{name}_latitude and {name}_longitude seem to be exchanged.",
                field=f"{name}_latitude",
            )


def _home(text: str) -> Bounds | None:
    return bounds(text) if text else None
