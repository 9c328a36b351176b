"""Rides that were asked for without addresses get them later, and keep those they have."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import F

from geo.coordinates import lat_lon
from mobility.bookings.addresses import MOST_TRIES, fill_addresses, look_up_due_addresses
from mobility.bookings.services import SYSTEM, Actor
from mobility.bookings.states import ActorRole
from mobility.dispatch.driving import complete_ride, start_ride
from mobility.dispatch.services import cancel_ride, find_driver
from mobility.models import Booking, RideEvent
from mobility.places.lookup import place_at
from mobility.transactions import _statement
from tests.bookings.test_guards import refused
from tests.places.conftest import nominatim, provider
from tests.places.provider import MAIN_STREET_JOBURG

__all__ = ["nominatim", "provider"]
pytestmark = pytest.mark.django_db
ADDRESS = MAIN_STREET_JOBURG["display_name"]


@pytest.fixture
def ride(make_user, make_driver, ride_request):
    """ride(**fields): a confirmed ride of such a request; its booking."""

    def make(**fields) -> Booking:
        make_driver(-26.2041, 28.0473)
        outcome = find_driver(
            make_user().pk, "r1", ride_request(**{"pickup_address": "", "dropoff_address": ""} | fields)
        )
        return Booking.objects.get(pk=outcome.booking_id)

    return make


def addresses(booking: Booking) -> tuple[str, str, int]:
    booking.refresh_from_db()
    return booking.pickup_address, booking.dropoff_address, booking.address_tries


class TestFilled:
    def test_a_ride_without_addresses_gets_them(self, ride, nominatim):
        booking = ride()
        seq, events = booking.seq, RideEvent.objects.count()
        assert fill_addresses(booking.pk) == 2
        assert addresses(booking) == (ADDRESS, ADDRESS, 1)
        assert (booking.seq, RideEvent.objects.count()) == (seq, events)

    def test_what_the_client_sent_stays(self, ride, nominatim):
        booking = ride(pickup_address="My own words")
        assert fill_addresses(booking.pk) == 1
        assert addresses(booking) == ("My own words", ADDRESS, 1)
        assert len(nominatim.asked) == 1

    def test_a_ride_that_lacks_nothing_asks_nobody(self, ride, nominatim):
        booking = ride(pickup_address="Here", dropoff_address="There")
        assert fill_addresses(booking.pk) == 0
        assert addresses(booking) == ("Here", "There", 0)
        assert nominatim.asked == []

    def test_where_nobody_lives_it_stays_without(self, ride, nominatim):
        booking = ride(dropoff=lat_lon(-20.0, 24.0), distance_km=None)
        assert fill_addresses(booking.pk) == 1
        assert addresses(booking) == (ADDRESS, "", 1)

    def test_the_same_request_again_is_still_the_same(self, ride, nominatim, ride_request):
        booking = ride()
        fill_addresses(booking.pk)
        again = find_driver(booking.passenger_id, "r1", ride_request(pickup_address="", dropoff_address=""))
        assert (again.booking_id, again.new_search) == (booking.pk, False)

    def test_a_ride_that_is_over_gets_none(self, ride, nominatim):
        booking = ride()
        start_ride(booking.pk, SYSTEM)
        complete_ride(booking.pk, SYSTEM)
        assert fill_addresses(booking.pk) == 0
        assert addresses(booking) == ("", "", 0)
        assert nominatim.asked == []

    def test_a_place_that_changed_meanwhile_is_not_given_the_old_address(self, ride, nominatim, monkeypatch):
        booking = ride(dropoff_address="There")

        def moved_while_asked(at, **options):
            found = place_at(at, **options)
            with connection.cursor() as cursor:
                cursor.execute("UPDATE mobility_booking SET pickup = ST_SetSRID(ST_MakePoint(28.05, -26.2041), 4326)")
            return found

        monkeypatch.setattr("mobility.bookings.addresses.place_at", moved_while_asked)
        assert fill_addresses(booking.pk) == 0
        assert addresses(booking) == ("", "There", 1)


class TestTries:
    def test_a_failure_is_tried_again_later_and_later_and_not_for_ever(self, ride, nominatim):
        booking = ride()
        nominatim.says(503)
        assert look_up_due_addresses() == 0  # the try after the commit may still be going on
        aged = 0.0
        for tries, after_s in enumerate([30, 120, 480, 1920, 7680]):
            assert addresses(booking)[2] == tries
            make_older(booking, after_s - aged - 5)
            assert look_up_due_addresses() == 0
            make_older(booking, 10)
            aged = after_s + 5
            assert look_up_due_addresses() == 1
        assert addresses(booking) == ("", "", MOST_TRIES)
        make_older(booking, 3600)
        assert (look_up_due_addresses(), fill_addresses(booking.pk)) == (0, 0)
        assert addresses(booking)[2] == MOST_TRIES

    def test_the_sweep_finds_what_was_lost(self, ride, nominatim):
        booking = ride()
        make_older(booking, 60)
        assert look_up_due_addresses() == 1
        assert addresses(booking) == (ADDRESS, ADDRESS, 1)
        make_older(booking, 600)
        assert look_up_due_addresses() == 0

    def test_a_ride_of_yesterday_is_left_alone(self, ride, nominatim):
        booking = ride()
        make_older(booking, 25 * 3600)
        assert look_up_due_addresses() == 0
        assert nominatim.asked == []

    def test_two_who_found_it_due_try_once(self, ride, nominatim):
        booking = ride()
        assert fill_addresses(booking.pk, 0) == 2
        Booking.objects.filter(pk=booking.pk).update(pickup_address="")
        assert fill_addresses(booking.pk, 0) == 0
        assert addresses(booking) == ("", ADDRESS, 1)

    def test_without_a_geocoder_nothing_is_done(self, ride, settings):
        settings.GEOCODER = ""
        booking = ride()
        make_older(booking, 60)
        assert look_up_due_addresses() == 0
        assert addresses(booking) == ("", "", 0)

    def test_the_sweep_goes_by_its_index(self):
        params = {"most": 5, "first_s": 30.0, "times": 4.0, "young_h": 24, "at_once": 50}
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("EXPLAIN " + _statement("bookings/sql/lack_address").decode(), params)
            assert "booking_lacks_address" in "\n".join(line for (line,) in cursor.fetchall())


def make_older(booking: Booking, by_s: float) -> None:
    """The ride was asked for earlier: said with a move, as the guard wants it, whose log row says nothing new."""
    booking.refresh_from_db()
    newest = RideEvent.objects.filter(booking=booking).order_by("-seq").first()
    Booking.objects.filter(pk=booking.pk).update(
        requested_at=F("requested_at") - timedelta(seconds=by_s), seq=booking.seq + 1
    )
    RideEvent.objects.create(
        booking=booking, seq=booking.seq + 1, event="driver_arrived", from_status=newest.to_status,
        to_status=newest.to_status, actor_role="system", payload=newest.payload,
    )  # fmt: skip


class TestKept:
    @pytest.mark.parametrize("end", ["pickup", "dropoff"])
    def test_an_address_stays_while_the_ride_does_not_move(self, ride, end):
        ride(pickup_address="Here", dropoff_address="There")
        changed = f"UPDATE mobility_booking SET {end}_address = 'Elsewhere'"
        assert refused(changed) == "booking_address_is_kept"
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE mobility_booking SET {end}_address = {end}_address")
            cursor.execute(f"UPDATE mobility_booking SET {end}_address = ''")  # erased
            cursor.execute(f"UPDATE mobility_booking SET {end}_address = 'Found later'")

    @pytest.mark.parametrize("end", ["pickup", "dropoff"])
    def test_an_address_is_not_added_to_a_ride_that_is_over(self, ride, end):
        booking = ride()
        cancel_ride(booking.pk, Actor(None, ActorRole.OPERATOR))
        assert refused(f"UPDATE mobility_booking SET {end}_address = 'Late'") == "booking_address_is_kept"

    def test_a_new_search_brings_its_own(self, make_user, ride_request):
        passenger = make_user().pk
        first = find_driver(passenger, "r1", ride_request())
        assert first.status == "unfulfilled"
        find_driver(passenger, "r1", ride_request(pickup_address="Round the corner", dropoff_address=""))
        booking = Booking.objects.get(pk=first.booking_id)
        assert addresses(booking)[:2] == ("Round the corner", "")


def test_the_dispatchers_own_process_looks_them_up_too(ride, nominatim, capsys):
    booking = ride()
    make_older(booking, 60)
    call_command("dispatcher", "--once")
    assert "1 rides lacked an address" in capsys.readouterr().out
    assert addresses(booking) == (ADDRESS, ADDRESS, 1)
