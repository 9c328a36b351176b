"""What clients may say: frames in, commands out, or a refusal that names the fault. The contract is docs/protocol.md.

Sockets of apps that exist speak this, so the fixed messages keep their names, units and types for ever. Unknown extra
fields are ignored, apart from those that only the service sets and those that we can't honour yet.
"""

import json
import re
from decimal import Decimal
from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from geo.coordinates import LatLon, looks_swapped
from mobility.bookings.services import RideRequest
from mobility.commands.models import COMMAND_ID
from mobility.conf import knobs
from mobility.dispatch.offers import RideRef
from mobility.drivers.models import VehicleType
from mobility.errors import Refusal
from mobility.locations.fixes import Door, Fix, home_region
from mobility.locations.told import Latitude, Longitude, ToldPosition
from mobility.realtime.once import answering

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


class _Act(_Command):
    """A command that changes something. Its client may name it, and then it is done once."""

    command_id: Annotated[str, Field(pattern=COMMAND_ID)] | None = None


Seq = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Ping(_Command):
    """Is anybody there? `seq`: what the client has been told last, of the ride or of the driver's inbox."""

    type: Literal["ping"]
    seq: Seq | None = None


class Resume(_Command):
    """Tell again what came after this number of the ride."""

    type: Literal["resume"]
    last_seq: Seq


Address = Annotated[str, Field(max_length=300)]


class FindDriver(_Act):
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


class CancelRide(_Act):
    """The passenger does not want the ride any more."""

    type: Literal["cancel_ride"]
    reason: Annotated[str, Field(max_length=300)] | None = None


# --- the driver's messages ---------------------------------------------------------------------------------------

Reason = Annotated[str, Field(max_length=300)]


class GoOnline(_Act):
    """The driver takes rides from now on; `auto_accept` says whether by themselves."""

    type: Literal["go_online"]
    auto_accept: bool | None = None


class GoOffline(_Act):
    """The driver takes no more rides."""

    type: Literal["go_offline"]


class _AboutRide(_Act):
    """Names a ride by the passenger's ride id, by the booking's number, or by both."""

    ride_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    booking_id: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if self.ride_id is None and self.booking_id is None:
            raise ValueError("`ride_id` or `booking_id` must name the ride")
        return self

    @property
    def ref(self) -> RideRef:
        """As the services take it."""
        return RideRef(self.ride_id, self.booking_id)


class AcceptRide(_AboutRide):
    """Yes."""

    type: Literal["accept_ride"]


class DeclineRide(_AboutRide):
    """No."""

    type: Literal["decline_ride"]
    reason: Reason | None = None


class RideRequestReceived(_AboutRide):
    """The app has the request; the time to answer begins."""

    type: Literal["ride_request_received"]


class DriverArrived(_AboutRide):
    """At the pickup."""

    type: Literal["driver_arrived"]


class StartRide(_AboutRide):
    """The passenger is on board."""

    type: Literal["start_ride"]


class CompleteRide(_AboutRide):
    """The passenger is there."""

    type: Literal["complete_ride"]


class GiveBackRide(_AboutRide):
    """The driver cannot drive this ride after all."""

    type: Literal["cancel_ride"]
    reason: Reason | None = None


class NoShow(_AboutRide):
    """Nobody came to the pickup."""

    type: Literal["no_show"]


class LocationUpdate(ToldPosition):
    """One position, or `updates` with several after a dead spot; the newest of them is where the driver is."""

    type: Literal["location_update"]
    # Told back when the positions are stored, once under it.
    command_id: Annotated[str, Field(pattern=COMMAND_ID)] | None = None
    latitude: Latitude | None = None  # type: ignore[assignment]
    longitude: Longitude | None = None  # type: ignore[assignment]
    updates: Annotated[list[ToldPosition], Field(min_length=1, max_length=100)] | None = None

    @model_validator(mode="after")
    def _one_or_many(self) -> Self:
        single = self.latitude is not None and self.longitude is not None
        if single == (self.updates is not None):
            raise ValueError("either `latitude` and `longitude`, or a list `updates`")
        return self

    def fixes(self, driver_id: int) -> list[Fix]:
        """All of them."""
        return [told.fix(driver_id, Door.SOCKET) for told in self.updates or [self]]


class ResumeInbox(_Command):
    """Tell again what came after this number."""

    type: Literal["resume"]
    last_inbox_seq: Seq


PassengerCommand = Ping | FindDriver | CancelRide | Resume
DriverCommand = (
    Ping | GoOnline | GoOffline | AcceptRide | DeclineRide | RideRequestReceived | DriverArrived | StartRide
    | CompleteRide | GiveBackRide | NoShow | LocationUpdate | ResumeInbox
)  # fmt: skip
_PASSENGER: TypeAdapter[Any] = TypeAdapter(Annotated[PassengerCommand, Field(discriminator="type")])
_DRIVER: TypeAdapter[Any] = TypeAdapter(Annotated[DriverCommand, Field(discriminator="type")])
PASSENGER_TYPES = ("ping", "find_driver", "cancel_ride", "resume")
DRIVER_TYPES = (
    "ping", "go_online", "go_offline", "accept_ride", "decline_ride", "ride_request_received", "driver_arrived",
    "start_ride", "complete_ride", "cancel_ride", "no_show", "location_update", "resume",
)  # fmt: skip


def parse_passenger(text: str) -> PassengerCommand:
    """One frame of the passenger socket as a command, or `Misunderstood`."""
    command: PassengerCommand = _parsed(text, _PASSENGER, PASSENGER_TYPES, SET_BY_THE_SERVICE)
    if isinstance(command, FindDriver):
        _refuse_swapped(command, "pickup_", "dropoff_")
    return command


def parse_driver(text: str) -> DriverCommand:
    """One frame of the driver socket as a command, or `Misunderstood`."""
    command: DriverCommand = _parsed(text, _DRIVER, DRIVER_TYPES, SET_BY_THE_SERVICE - {"booking_id"})
    if isinstance(command, LocationUpdate):
        for position in command.updates or [command]:
            _refuse_swapped(position, "")
    return command


def _parsed(text: str, messages: "TypeAdapter[Any]", types: tuple[str, ...], not_theirs: frozenset[str]) -> Any:
    frame = _object(text)
    answering.set(_plain_id(frame.get("command_id")))
    kind = frame.get("type")
    if not isinstance(kind, str):
        raise Misunderstood("missing_field", "Every message needs a text field `type`.", field="type")
    if kind not in types:
        raise Misunderstood("unknown_type", f"Unknown message type. Known here: {', '.join(types)}.")
    if kind != "ping":
        _refuse_fields(frame, not_theirs)
    try:
        return messages.validate_python(frame)
    except ValidationError as invalid:
        raise _field_fault(invalid) from None


def _plain_id(value: Any) -> str | None:
    return value if isinstance(value, str) and re.fullmatch(COMMAND_ID, value) else None


def _object(text: str) -> dict[str, Any]:
    try:
        value = _decoder.decode(text)
    except Misunderstood:
        raise
    except RecursionError:
        raise Misunderstood("too_deep") from None
    except ValueError:
        raise Misunderstood("invalid_json") from None
    if not isinstance(value, dict):
        raise Misunderstood("not_an_object")
    # Only an escape can hide what cannot be stored, and what has few brackets is not deep.
    if "\\u" in text or text.count("{") + text.count("[") > MAX_DEPTH:
        _check(value, 1)
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Misunderstood("duplicate_field")
    return value


def _no_constants(name: str) -> NoReturn:
    raise Misunderstood("invalid_json", f"{name} is not a JSON number.")


_decoder = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constants)


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


def _refuse_fields(frame: dict[str, Any], not_theirs: frozenset[str]) -> None:
    for name in frame:
        if name in not_theirs:
            raise Misunderstood("forbidden_field", f"`{name}` is set by the service, never by a client.", field=name)
        if name in NOT_SUPPORTED:
            raise Misunderstood("not_supported", f"`{name}` is not supported yet.", field=name)


def _field_fault(invalid: ValidationError) -> Misunderstood:
    first = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
    # The first step of the path is the message's type, put there by the union.
    field = ".".join(str(step) for step in first["loc"][1:])
    if first["type"] == "value_error" and not field:  # a rule about several fields together
        return Misunderstood("missing_field", f"{first['msg'].removeprefix('Value error, ')}.")
    field = field or "type"
    if first["type"] == "missing":
        return Misunderstood("missing_field", f"`{field}` is missing.", field=field)
    return Misunderstood("invalid_field", f"`{field}`: {first['msg']}.", field=field)


def _refuse_swapped(command: Any, *prefixes: str) -> None:
    home = home_region(knobs().service_bounds)
    if home is None:
        return
    for name in prefixes:
        at = LatLon(getattr(command, f"{name}latitude"), getattr(command, f"{name}longitude"))
        if looks_swapped(at, home):
            raise Misunderstood(
                "coordinates_swapped",
                f"{name}latitude and {name}longitude seem to be exchanged.",
                field=f"{name}latitude",
            )
