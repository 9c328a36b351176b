"""Rides in the operators' pages: to look at. What operators do with a ride is in test_booking_desk.py."""

import html
import json
import re

import pytest
from django.db.models.functions import Now

from mobility.bookings.models import Booking
from mobility.bookings.services import SYSTEM
from mobility.dispatch.services import cancel_ride, find_driver

pytestmark = pytest.mark.django_db
STORED_XSS = "\"><script>alert(1)</script>'{{7*7}}"


@pytest.fixture
def booking(make_user, make_driver, ride_request):
    """A confirmed ride whose people wrote hostile things."""
    driver = make_driver(-26.2041, 28.0473)
    driver.user.first_name = STORED_XSS
    driver.user.save()
    passenger = make_user(username="+27829876543", phone="+27829876543", first_name="")
    request = ride_request(pickup_address=STORED_XSS, notes=STORED_XSS)
    return Booking.objects.get(pk=find_driver(passenger.pk, "r1", request).booking_id)


def test_the_list_masks_a_passenger_whose_name_is_a_phone(pages, booking):
    page = pages.get("/admin/mobility/booking/").content.decode()
    assert f"user {booking.passenger_id}" in page
    assert "9876543" not in page
    assert "r1" in page


def test_the_page_of_a_ride_shows_its_log_in_order(pages, booking):
    page = pages.get(f"/admin/mobility/booking/{booking.pk}/change/").content.decode()
    log = page[page.index('class="ride-log"') :]
    assert log.index("ride_requested") < log.index("driver_assigned")
    assert "150.00 ZAR" in page


def test_pickup_dropoff_and_driver_are_on_the_map(pages, booking):
    page = pages.get(f"/admin/mobility/booking/{booking.pk}/change/").content.decode()
    drawing = json.loads(html.unescape(re.search(r'data-drawing="([^"]*)"', page)[1]))
    assert [place["kind"] for place in drawing["places"]] == ["pickup", "dropoff", "driver"]
    assert (drawing["places"][1]["latitude"], drawing["places"][1]["longitude"]) == (-26.1041, 28.1473)
    assert (drawing["line"], drawing["editable"], drawing["tiles"]) == (True, False, "")


def test_what_people_wrote_is_text_everywhere(pages, booking):
    for path in ("", f"{booking.pk}/change/"):
        page = pages.get(f"/admin/mobility/booking/{path}").content.decode()
        assert "<script>alert" not in page
        assert "49" not in re.sub(r"[^{}]*", "", page)


def test_no_field_can_be_changed_and_no_ride_added_or_deleted(pages, booking):
    before = Booking.objects.values().get()
    assert pages.get("/admin/mobility/booking/add/").status_code == 403
    for path in ("add/", f"{booking.pk}/change/", f"{booking.pk}/delete/"):
        assert pages.post(f"/admin/mobility/booking/{path}", {"status": "cancelled", "post": "yes"}).status_code == 403
    pages.post(
        "/admin/mobility/booking/", {"action": "delete_selected", "_selected_action": [booking.pk], "post": "yes"}
    )
    assert Booking.objects.values().get() == before
    page = pages.get(f"/admin/mobility/booking/{booking.pk}/change/").content.decode()
    assert not re.findall(r"<select|<textarea|name=\"(?:status|driver|fare_minor|notes|_save|_continue)\"", page)


def test_rides_that_need_attention_are_listed(pages, booking, make_user, ride_request):
    assert "attention=yes" in pages.get("/admin/mobility/booking/").content.decode()
    Booking.objects.filter(pk=booking.pk).update(attention_since=Now())
    find_driver(make_user().pk, "other-ride", ride_request())
    page = pages.get("/admin/mobility/booking/?attention=yes").content.decode()
    assert ">r1<" in page
    assert "other-ride" not in page
    assert re.search(r'field-attention">since \d', page)
    cancel_ride(booking.pk, SYSTEM)
    assert ">r1<" not in pages.get("/admin/mobility/booking/?attention=yes").content.decode()
    assert pages.get("/admin/mobility/booking/?attention=odd").status_code == 200


@pytest.mark.parametrize("query", ["?q=r1", "?q=%2B27829876543", "?status__exact=confirmed"])
def test_rides_are_found(pages, booking, query):
    assert "r1" in pages.get(f"/admin/mobility/booking/{query}").content.decode()


@pytest.mark.parametrize("query", ["?q=nothing", "?q=99999999999999999999", "?status__exact=completed"])
def test_what_is_not_there_is_no_fault(pages, booking, query):
    response = pages.get(f"/admin/mobility/booking/{query}")
    assert response.status_code in {200, 302}
