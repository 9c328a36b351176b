"""Every refusal: a stable code, a sentence for people, an HTTP status. REST and sockets both answer from this table."""

from typing import Any, NamedTuple

from django.db import DatabaseError, InterfaceError, OperationalError


class Answer(NamedTuple):
    """What a code means: the default sentence, and the HTTP status where REST says it."""

    sentence: str
    http_status: int


ANSWERS: dict[str, Answer] = {
    # what was sent cannot be understood
    "invalid_json": Answer("This is not valid JSON.", 400),
    "not_an_object": Answer("A message must be one JSON object.", 400),
    "too_deep": Answer("This is nested deeper than 8 levels.", 400),
    "invalid_text": Answer("Text must not contain NUL or half of a surrogate pair.", 400),
    "duplicate_field": Answer("A field appears twice.", 400),
    "binary_frame": Answer("Messages are text frames, not binary.", 400),
    "missing_field": Answer("A field is missing.", 400),
    "invalid_field": Answer("A field has a value that cannot be used.", 400),
    "forbidden_field": Answer("This field is set by the service, never by a client.", 400),
    "not_supported": Answer("This is not supported yet.", 400),
    "unknown_type": Answer("Unknown message type.", 400),
    "bad_ride_id": Answer("A ride id is 1 to 64 letters, digits, '-' or '_'.", 400),
    "bad_driver_id": Answer("A driver is named by their number or their phone number.", 400),
    "coordinates_swapped": Answer("Latitude and longitude seem to be exchanged.", 400),
    "implausible_distance": Answer("The distance does not fit the two places.", 400),
    "position_dropped": Answer("A position was not taken.", 422),
    "invalid_parameter": Answer("A query parameter cannot be used.", 400),
    "invalid_request": Answer("The request cannot be used.", 400),
    "command_id_reused": Answer("This command_id already stands for another command.", 409),
    # who is asking
    "unauthenticated": Answer("Log in first: no valid credential was sent.", 401),
    "wrong_login": Answer("Unknown account or wrong password.", 401),
    "forbidden": Answer("This account may not do this.", 403),
    "account_inactive": Answer("This account is closed or suspended.", 403),
    "unknown_path": Answer("There is nothing at this address.", 404),
    "not_found": Answer("There is no such thing.", 404),
    "no_trip": Answer("This ride has no track: it was not driven, or it has just ended.", 404),
    "method_not_allowed": Answer("This method is not allowed here.", 405),
    "phone_taken": Answer("This phone number or username cannot be registered.", 409),
    # the state of the ride
    "no_ride": Answer("There is no ride here yet: send find_driver first.", 409),
    "ride_over": Answer("This ride is over. Use another ride_id for a new one.", 409),
    "ride_conflict": Answer("This ride_id already stands for a live ride with other content.", 409),
    "live_ride_exists": Answer("You already have a live ride.", 409),
    "ride_in_progress": Answer("The ride has begun; only an operator can cancel it now.", 409),
    "not_allowed": Answer("The ride's state does not allow this.", 409),
    "driver_has_ride": Answer("This driver has a live ride.", 409),
    "driver_being_asked": Answer("This driver is being asked for a ride: try again in some seconds.", 409),
    "driver_not_available": Answer("This driver cannot take a ride now.", 409),
    "driver_not_verified": Answer("Your papers and vehicle have not been checked yet.", 409),
    "own_ride": Answer("Nobody drives themselves.", 409),
    "no_offer": Answer("You were not asked for this ride.", 409),
    "ride_taken": Answer("Another driver was faster.", 409),
    "offer_expired": Answer("Your time for this request is over.", 409),
    "offer_declined": Answer("You declined this ride.", 409),
    "offer_withdrawn": Answer("This request was withdrawn.", 409),
    "ride_cancelled": Answer("The ride was cancelled.", 409),
    "outside_service_area": Answer("Nobody is picked up there.", 409),
    "too_far_from_pickup": Answer("You are not at the pickup yet.", 409),
    "too_early": Answer("It is too early for this.", 409),
    # limits and faults
    "too_fast": Answer("Too many messages: slow down.", 429),
    "too_many_searches": Answer("Too many searches in the last hour: try again later.", 429),
    "too_many_requests": Answer("This key asks too often: wait a while.", 429),
    "too_many_tries": Answer("Too many tries: wait a while.", 429),
    "geocoder_not_configured": Answer("This service has no geocoder: nobody can be asked for places.", 503),
    "geocoder_unavailable": Answer("The geocoder does not answer just now: try again shortly.", 503),
    "server_full": Answer("This server has too many connections: try again shortly.", 503),
    "try_again": Answer("Somebody else was working on this: try again.", 503),
    "unavailable": Answer("The service cannot reach its database just now: try again shortly.", 503),
    "internal_error": Answer("Something went wrong here. It was logged.", 500),
}


class Refusal(Exception):
    """A request the service understood and refuses; `code` is one of ANSWERS and never changes its meaning."""

    def __init__(self, code: str, message: str = "", *, field: str | None = None, **details: Any) -> None:
        self.code = code
        self.message = message or ANSWERS[code].sentence
        self.field = field
        self.details = details
        super().__init__(f"{code}: {self.message}")

    @property
    def http_status(self) -> int:
        """The HTTP status of this code."""
        return ANSWERS[self.code].http_status


# What the database forbids -> what the person is told. A name that is missing here is a defect and becomes
# `internal_error`; tests/test_errors.py provokes each of them.
CONSTRAINTS: dict[str, str] = {
    "booking_one_per_passenger_and_ride_id": "ride_conflict",
    "booking_one_open_per_guest_ride_id": "ride_conflict",
    "booking_one_live_per_passenger": "live_ride_exists",
    "booking_one_live_per_driver": "driver_has_ride",
    "booking_terminal_is_final": "ride_over",
    "booking_move_allowed": "not_allowed",
    "booking_not_own_driver": "not_allowed",
    "driver_busy_while_bound": "driver_has_ride",
    "offer_one_live_per_driver": "driver_being_asked",
    "offer_only_to_free_driver": "driver_being_asked",
    "offer_one_accepted_per_ride": "ride_taken",
    "offer_not_after_expiry": "offer_expired",
    "offer_not_own_ride": "own_ride",
    "mobility_user_phone_key": "phone_taken",
    "mobility_user_username_key": "phone_taken",
}
_BUSY = {"40001", "40P01", "55P03"}  # serialization failure, deadlock, lock not available


def refusal_for(error: DatabaseError | InterfaceError) -> Refusal | None:
    """The business answer for a database error, or None where there is none and the fault is ours."""
    cause = error.__cause__ if error.__cause__ is not None else error
    sqlstate = getattr(cause, "sqlstate", None)
    constraint = getattr(getattr(cause, "diag", None), "constraint_name", None)
    if constraint in CONSTRAINTS:
        return Refusal(CONSTRAINTS[constraint])
    if sqlstate in _BUSY:
        return Refusal("try_again")
    if isinstance(error, OperationalError | InterfaceError):
        return Refusal("unavailable")
    return None
