"""Index of every table. The tables stand in their subjects' folders."""

from mobility.bookings.models import Booking, RideEvent
from mobility.drivers.models import Driver
from mobility.locations.models import DriverLocation
from mobility.people.models import SocketTicket, User

__all__ = ["Booking", "Driver", "DriverLocation", "RideEvent", "SocketTicket", "User"]
