"""Index of every table. The tables stand in their subjects' folders."""

from mobility.areas.models import ServiceArea
from mobility.bookings.models import Booking, RideEvent
from mobility.commands.models import Command
from mobility.demand.models import DemandHour, DemandMade
from mobility.dispatch.models import ConsideredDriver, Offer, SearchRound
from mobility.drivers.models import Driver, InboxEvent, Presence
from mobility.locations.models import DriverLocation, LocationKey, Position
from mobility.people.models import ApiKey, SocketTicket, User
from mobility.places.models import GeocodeAnswer, GeocoderTurn, Place
from mobility.trips.models import Trip

__all__ = [
    "ApiKey", "Booking", "Command", "ConsideredDriver", "DemandHour", "DemandMade", "Driver", "DriverLocation",
    "GeocodeAnswer", "GeocoderTurn", "InboxEvent", "LocationKey", "Offer", "Place", "Position", "Presence", "RideEvent",
    "SearchRound", "ServiceArea", "SocketTicket", "Trip", "User",
]  # fmt: skip
