"""What operators see of a ride's dispatching, and the three things they do with a ride."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db import OperationalError
from django.db.models.functions import Now
from django.test import Client

from mobility.bookings.models import Booking, RideEvent
from mobility.bookings.services import SYSTEM
from mobility.dispatch import admin as desk
from mobility.dispatch.driving import complete_ride, start_ride
from mobility.dispatch.models import ConsideredDriver, Offer, SearchRound
from mobility.dispatch.offers import RideRef, decline_offer
from mobility.dispatch.services import cancel_ride, find_driver
from mobility.drivers.models import Driver, InboxEvent, Presence

HERE = (-26.2041, 28.0473)
NORTH_PER_M = 1 / 110_600
STORED_XSS = "\"><script>alert(1)</script>'{{7*7}}"
COMMANDS = {"cancel": {"reason": "x"}, "assign": {"driver_id": "1"}, "complete": {}}


@pytest.fixture
def boss(make_user):
    return make_user(is_staff=True, is_superuser=True, roles=["operator"])


@pytest.fixture
def pages(boss):
    client = Client()
    client.force_login(boss)
    return client


@pytest.fixture
def staff(make_user):
    """staff("view_booking"): the client of somebody of the staff who has these permissions."""

    def make(*codenames):
        user = make_user(is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def ride(make_user, ride_request):
    return lambda ride_id="r1", user=None, **fields: Booking.objects.get(
        pk=find_driver((user or make_user()).pk, ride_id, ride_request(**fields)).booking_id
    )


@pytest.fixture
def make_asked(make_driver):
    """make_asked(): a connected driver at the pickup who wants to be asked."""

    def make(**fields):
        driver = make_driver(*HERE, **{"auto_accept": False} | fields)
        Presence.objects.create(driver=driver, socket_id=uuid4(), lease_until=Now() + timedelta(hours=1))
        return driver

    return make


@pytest.fixture
def ride_in(ride, make_driver, make_asked):
    """ride_in(status): a ride that is so far."""

    def make(status):
        if status == "pending":
            make_asked()
        elif status != "unfulfilled":
            make_driver(*HERE)
        booking = ride()
        if status in {"in_progress", "completed"}:
            start_ride(booking.pk, SYSTEM)
        if status == "completed":
            complete_ride(booking.pk, SYSTEM)
        if status == "cancelled":
            cancel_ride(booking.pk, SYSTEM)
        booking.refresh_from_db()
        assert booking.status == status
        return booking

    return make


def everything():
    """All that a command could change."""
    kinds = (Booking, RideEvent, Offer, Driver, InboxEvent)
    return [list(kind.objects.order_by("pk").values()) for kind in kinds]


def page_of(client, booking):
    response = client.get(f"/admin/mobility/booking/{booking.pk}/change/")
    assert response.status_code == 200
    return response.content.decode()


def send(client, booking, command, form=None):
    """What the page says after a command: (its kind, its text)."""
    response = client.post(f"/admin/mobility/booking/{booking.pk}/{command}/", form or {}, follow=True)
    assert response.redirect_chain == [(f"/admin/mobility/booking/{booking.pk}/change/", 302)]
    (message,) = response.context["messages"]
    assert message.message in re.sub("&#x27;", "'", response.content.decode())
    return message.level_tag, message.message


def offered_commands(page):
    return re.findall(r'action="/admin/mobility/booking/\d+/(\w+)/"', page)


@pytest.mark.django_db
class TestWhatIsSeen:
    def test_the_offers_are_a_table_below_the_log(self, pages, ride, make_asked, make_driver):
        driver = make_asked()
        booking = ride()
        decline_offer(driver.pk, RideRef(booking_id=booking.pk), STORED_XSS)
        page = page_of(pages, booking)
        assert page.index('class="ride-log"') < page.index("desk-table offers") < page.index("search-round")
        table = page[page.index("desk-table offers") : page.index("search-round")]
        assert driver.user.first_name in table
        assert "declined: &quot;&gt;&lt;script&gt;" in table

    def test_the_search_tells_each_round_and_each_driver(self, pages, ride, make_driver):
        offline = make_driver(HERE[0] + 1500 * NORTH_PER_M, HERE[1], status="offline")
        driver = make_driver(*HERE)
        booking = ride()
        search = page_of(pages, booking)
        search = search[search.index("search-round") :]
        assert "Round 1" in search
        assert search.index(driver.vehicle_registration) < search.index(offline.vehicle_registration)
        assert re.search(r"verdict-offline.*?1,50\d m.*?<td>offline</td>", search, re.DOTALL)

    def test_nothing_to_tell_is_told(self, pages, ride):
        booking = ride()
        ConsideredDriver.objects.all().delete()
        SearchRound.objects.all().delete()
        page = page_of(pages, booking)
        assert "No driver was asked." in page
        assert "No search is explained" in page

    def test_names_are_text_and_phones_are_masked(self, pages, ride, make_driver, make_user):
        first = make_driver(*HERE, user=make_user(first_name=STORED_XSS, phone="+27829876543"))
        make_driver(*HERE, user=make_user(first_name="+27 82 987", last_name="6543"))
        page = page_of(pages, ride())
        assert Booking.objects.get().driver == first
        assert "<script>alert" not in page
        assert "49" not in re.sub(r"[^{}]*", "", page)
        assert "9876543" not in page
        assert "987 6543" not in page
        assert not re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", page)
        assert not re.findall(r"\s(?:style|on\w+)=", page)
        assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page)

    def test_many_rounds_cost_no_more_queries_than_few(self, pages, ride, make_driver, django_assert_max_num_queries):
        booking = ride()
        driver = make_driver(*HERE)
        for number in range(2, 30):
            row = {"booking": booking, "round": number}
            SearchRound.objects.create(**row, strategy="nearest", radius_m=1.0, outcome="nobody")
            ConsideredDriver.objects.create(**row, driver=driver, distance_m=1.0, verdict="not_needed")
        page_of(pages, booking)
        with django_assert_max_num_queries(12):
            assert "Round 29" in page_of(pages, booking)

    def test_a_ride_that_needs_attention_says_so(self, pages, ride_in):
        booking = ride_in("in_progress")
        assert "desk-alert" not in page_of(pages, booking)
        Booking.objects.filter(pk=booking.pk).update(attention_since=Now())
        assert "desk-alert" in page_of(pages, booking)


@pytest.mark.django_db
class TestWhatIsOffered:
    @pytest.mark.parametrize(
        ("status", "commands"),
        [
            ("pending", {"assign", "cancel"}),
            ("unfulfilled", {"assign", "cancel"}),
            ("confirmed", {"assign", "cancel"}),
            ("in_progress", {"complete", "cancel"}),
            ("completed", set()),
            ("cancelled", set()),
        ],
    )
    def test_the_page_shows_what_the_state_allows(self, pages, ride_in, status, commands):
        page = page_of(pages, ride_in(status))
        assert set(offered_commands(page)) == commands
        assert page.count("csrfmiddlewaretoken") == len(offered_commands(page)) + 2  # logging out, and Django's own

    def test_the_nearest_free_drivers_are_offered_with_their_distance(self, pages, ride, make_driver, make_user):
        passenger = make_user(roles=["passenger", "driver"])
        booking = ride(user=passenger, vehicle_type="suv")
        far, near = (
            make_driver(HERE[0] + m * NORTH_PER_M, HERE[1], vehicle_type="suv", auto_accept=False) for m in (2500, 400)
        )
        make_driver(*HERE, vehicle_type="sedan")
        make_driver(*HERE, vehicle_type="suv", status="offline")
        make_driver(*HERE, vehicle_type="suv", user=passenger)
        page = page_of(pages, booking)
        buttons = re.findall(r'<button[^>]* name="driver_id" value="(\d+)"', page)
        assert buttons == [str(near.pk), str(far.pk)]
        assert near.user.first_name in page
        assert re.search(r"\b(399|400|401) m<", page)
        assert re.search(r"\b2,(49|50)\d m<", page)

    def test_a_driver_who_said_no_is_offered_as_such(self, pages, ride, make_asked):
        driver = make_asked()
        booking = ride()
        decline_offer(driver.pk, RideRef(booking_id=booking.pk))
        row = re.search(r"<tr>(?:(?!</tr>).)*value=\"\d+\".*?</tr>", page_of(pages, booking), re.DOTALL)[0]
        assert f'value="{driver.pk}"' in row
        assert "<td>declined</td>" in row

    def test_with_nobody_free_a_number_can_still_be_typed(self, pages, ride_in):
        page = page_of(pages, ride_in("unfulfilled"))
        assert "No free driver" in page
        assert 'type="number" name="driver_id"' in page


@pytest.mark.django_db
class TestCommands:
    @pytest.mark.parametrize("status", ["pending", "unfulfilled", "confirmed", "in_progress"])
    def test_cancel(self, pages, boss, ride_in, status):
        booking = ride_in(status)
        assert send(pages, booking, "cancel", {"reason": f" {STORED_XSS} "}) == ("success", "The ride is cancelled.")
        booking.refresh_from_db()
        assert (booking.status, booking.cancelled_by, booking.cancellation_reason) == (
            "cancelled", "operator", STORED_XSS,
        )  # fmt: skip
        assert RideEvent.objects.get(booking=booking, seq=booking.seq).actor_id == boss.pk
        assert "<script>alert" not in page_of(pages, booking)
        before = everything()
        assert send(pages, booking, "cancel") == ("success", "The ride is cancelled.")
        assert everything() == before

    @pytest.mark.parametrize("status", ["pending", "unfulfilled", "confirmed"])
    def test_assign(self, pages, boss, ride_in, make_driver, status):
        booking, driver = ride_in(status), make_driver(60, 60)
        assert send(pages, booking, "assign", {"driver_id": driver.pk}) == ("success", "The driver is assigned.")
        booking.refresh_from_db()
        assert (booking.status, booking.driver_id) == ("confirmed", driver.pk)
        assert RideEvent.objects.get(booking=booking, seq=booking.seq).actor_id == boss.pk

    def test_complete(self, pages, boss, ride_in):
        booking = ride_in("in_progress")
        assert send(pages, booking, "complete") == ("success", "The ride is completed.")
        booking.refresh_from_db()
        assert (booking.status, booking.driver.status) == ("completed", "available")
        assert RideEvent.objects.get(booking=booking, seq=booking.seq).actor_id == boss.pk

    @pytest.mark.parametrize(
        ("status", "command", "told"),
        [
            ("completed", "cancel", "This ride is over. Use another ride_id for a new one."),
            ("pending", "complete", "A ride that is pending cannot complete."),
            ("in_progress", "assign", "A ride that is in_progress cannot be assigned."),
            ("cancelled", "assign", "A ride that is cancelled cannot be assigned."),
        ],
    )
    def test_a_refusal_is_told_and_changes_nothing(self, pages, ride_in, make_driver, status, command, told):
        booking = ride_in(status)
        form = {"driver_id": make_driver(60, 60).pk} if command == "assign" else {}
        before = everything()
        assert send(pages, booking, command, form) == ("error", told)
        assert everything() == before

    def test_a_passenger_with_another_ride_is_spoken_of(self, pages, ride, make_user, make_driver):
        user = make_user()
        booking = ride("first", user)
        driver, _ = make_driver(60, 60), make_driver(*HERE)
        ride("second", user)
        before = everything()
        told = send(pages, booking, "assign", {"driver_id": driver.pk})
        assert told == ("error", "The passenger has another live ride: second.")
        assert everything() == before

    @pytest.mark.parametrize(
        ("command", "form", "named"),
        [
            ("assign", {}, "Driver number"), ("assign", {"driver_id": "x"}, "Driver number"),
            ("assign", {"driver_id": "0"}, "Driver number"), ("assign", {"driver_id": str(2**63)}, "Driver number"),
            ("assign", {"driver_id": "999999"}, "There is no such driver."),
            ("cancel", {"reason": "x" * 301}, "Reason"), ("cancel", {"reason": "\x00"}, "Reason"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_used_is_told(self, pages, ride_in, command, form, named):
        booking = ride_in("unfulfilled")
        before = everything()
        kind, told = send(pages, booking, command, form)
        assert kind == "error"
        assert told.startswith(named)
        assert everything() == before

    def test_a_ride_that_somebody_holds_can_be_tried_again(self, pages, ride_in, monkeypatch):
        def held(*_):
            class LockNotAvailable(Exception):
                sqlstate = "55P03"

            raise OperationalError from LockNotAvailable()

        monkeypatch.setattr(desk, "cancel_ride", held)
        booking = ride_in("unfulfilled")
        assert send(pages, booking, "cancel") == ("error", "Somebody else was working on this: try again.")


class TestDriversWhoCannot:
    """Somebody is being asked for the ride: a refusal must leave that open, so these commit."""

    pytestmark = pytest.mark.usefixtures("committed_db")

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"status": "offline"}, "This driver is offline."),
            ({"verified": False}, "This driver is not verified or suspended."),
        ],
    )
    def test_are_refused_and_nothing_changes(self, pages, ride_in, make_driver, fields, told):
        booking, driver = ride_in("pending"), make_driver(60, 60, **fields)
        before = everything()
        assert send(pages, booking, "assign", {"driver_id": driver.pk}) == ("error", told)
        assert everything() == before
        assert Offer.objects.get().status == "pending"


@pytest.mark.django_db
class TestWhoMay:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_who_may_only_look_acts_in_vain(self, staff, ride_in, command):
        booking, looker = ride_in("in_progress"), staff("view_booking")
        page = page_of(looker, booking)
        assert "ride-log" in page
        assert offered_commands(page) == []
        before = everything()
        for pk in (booking.pk, 999_999):
            response = looker.post(f"/admin/mobility/booking/{pk}/{command}/", COMMANDS[command])
            assert response.status_code == 403
        assert everything() == before

    def test_who_may_change_rides_acts_but_edits_no_field(self, staff, ride_in):
        booking, changer = ride_in("confirmed"), staff("change_booking")
        form = {"status": "completed", "_save": "Save"}
        before = everything()
        assert changer.post(f"/admin/mobility/booking/{booking.pk}/change/", form).status_code == 403
        assert everything() == before
        assert send(changer, booking, "cancel") == ("success", "The ride is cancelled.")

    @pytest.mark.parametrize("command", COMMANDS)
    def test_everyone_else_is_asked_to_log_in(self, make_user, ride_in, command):
        booking = ride_in("in_progress")
        before = everything()
        passenger, operator = Client(), Client()
        passenger.force_login(booking.passenger)
        operator.force_login(make_user(roles=["operator"]))
        for client in (Client(), passenger, operator):
            response = client.post(f"/admin/mobility/booking/{booking.pk}/{command}/", COMMANDS[command])
            assert response.status_code == 302
            assert response["Location"].startswith("/admin/login/")
        assert everything() == before

    @pytest.mark.parametrize("command", COMMANDS)
    def test_only_a_form_of_our_own_page_acts(self, pages, boss, ride_in, command):
        booking = ride_in("in_progress")
        before = everything()
        opened = pages.get(f"/admin/mobility/booking/{booking.pk}/{command}/", COMMANDS[command])
        assert (opened.status_code, opened["Location"]) == (302, f"/admin/mobility/booking/{booking.pk}/change/")
        guarded = Client(enforce_csrf_checks=True)
        guarded.force_login(boss)
        response = guarded.post(f"/admin/mobility/booking/{booking.pk}/{command}/", COMMANDS[command])
        assert response.status_code == 403
        assert everything() == before

    @pytest.mark.parametrize("command", COMMANDS)
    @pytest.mark.parametrize("pk", [999_999, 10**30])
    def test_a_ride_that_does_not_exist(self, pages, command, pk):
        assert pages.post(f"/admin/mobility/booking/{pk}/{command}/", COMMANDS[command]).status_code == 404
