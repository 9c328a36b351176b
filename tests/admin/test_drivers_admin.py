"""Drivers in the operators' pages."""

import json
import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models.functions import Now

from mobility import events
from mobility.bookings.models import Booking
from mobility.dispatch.services import find_driver
from mobility.models import Driver, DriverLocation, Offer, Presence

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_hashes")]
HERE = (-26.2041, 28.0473)


def form_of(driver, **changes):
    fields = {
        "user": driver.user_id, "phone": driver.phone, "license_number": driver.license_number,
        "vehicle_registration": driver.vehicle_registration, "vehicle_type": driver.vehicle_type,
        "status": driver.status, "rating": "5.0", "verified": "on" if driver.verified else None,
        "stationary": "on" if driver.stationary else None, "auto_accept": "on" if driver.auto_accept else None,
        "location-TOTAL_FORMS": "0", "location-INITIAL_FORMS": "0",
    }  # fmt: skip
    return {name: value for name, value in (fields | changes).items() if value is not None}


def place_form(driver, geometry):
    return form_of(
        driver,
        **{
            "location-TOTAL_FORMS": "1",
            "location-INITIAL_FORMS": "1" if hasattr(driver, "location") else "0",
            "location-0-driver": driver.pk,
            "location-0-position": geometry if isinstance(geometry, str) else json.dumps(geometry),
        },
    )


def change(pages, driver, form):
    response = pages.post(f"/admin/mobility/driver/{driver.pk}/change/", form)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    return response


def errors_of(response):
    assert response.status_code == 200
    return response.context["adminform"].form.errors


@pytest.fixture
def busy(make_driver, make_user, ride_request):
    """A driver who is bound to a ride."""
    driver = make_driver(*HERE)
    find_driver(make_user().pk, "r1", ride_request())
    driver.refresh_from_db()
    assert driver.status == "busy"
    return driver


def test_the_list_masks_phones_and_finds_the_unverified(pages, make_driver):
    make_driver(*HERE, phone="+27829876543", vehicle_registration="SEEN 1", verified=False)
    make_driver(*HERE, vehicle_registration="HIDDEN 1")
    page = pages.get("/admin/mobility/driver/?verified__exact=0").content.decode()
    assert "SEEN 1" in page
    assert "HIDDEN 1" not in page
    assert "+27*******43" in page
    assert "9876543" not in page


def test_verifying_makes_drivers_matchable_and_withdrawing_it_not(pages, make_driver):
    drivers = [make_driver(*HERE, verified=False) for _ in range(2)]
    chosen = {"_selected_action": [d.pk for d in drivers]}
    assert pages.post("/admin/mobility/driver/", chosen | {"action": "verify"}).status_code == 302
    assert DriverLocation.objects.filter(dispatchable=True).count() == 2
    pages.post("/admin/mobility/driver/", chosen | {"action": "withdraw_verification"})
    assert DriverLocation.objects.filter(dispatchable=True).count() == 0
    assert Driver.objects.filter(verified=False).count() == 2


def test_busy_cannot_be_set_by_hand(pages, make_driver):
    driver = make_driver(*HERE)
    page = pages.get(f"/admin/mobility/driver/{driver.pk}/change/").content.decode()
    assert 'value="busy"' not in page
    assert "status" in errors_of(change(pages, driver, form_of(driver, status="busy")))
    driver.refresh_from_db()
    assert driver.status == "available"


@pytest.mark.parametrize("status", ["available", "offline"])
def test_the_status_of_a_driver_with_a_live_ride_stays(pages, busy, status):
    errors = errors_of(change(pages, busy, form_of(busy, status=status)))
    assert errors["status"] == ["This driver has a live ride: the status changes with it."]
    busy.refresh_from_db()
    assert busy.status == "busy"


def test_other_facts_of_a_driver_with_a_live_ride_can_change(pages, busy):
    assert change(pages, busy, form_of(busy, vehicle_registration="NEW 1")).status_code == 302
    busy.refresh_from_db()
    assert (busy.status, busy.vehicle_registration) == ("busy", "NEW 1")


def test_a_form_opened_before_the_ride_does_not_undo_the_ride(pages, make_driver, make_user, ride_request):
    driver = make_driver(*HERE)
    form = form_of(driver, vehicle_registration="NEW 1")
    find_driver(make_user().pk, "r1", ride_request())
    assert "status" in errors_of(change(pages, driver, form))
    driver.refresh_from_db()
    assert (driver.status, Booking.objects.get().status) == ("busy", "confirmed")


def test_a_ride_that_begins_while_the_form_is_stored_is_not_undone(
    pages, make_driver, make_user, ride_request, monkeypatch
):
    driver = make_driver(*HERE)
    passenger = make_user()
    from mobility.drivers import admin

    def bound_just_now(obj, changed):
        find_driver(passenger.pk, "r1", ride_request())
        from mobility.drivers.services import save_driver

        save_driver(obj, changed)

    monkeypatch.setattr(admin, "save_driver", bound_just_now)
    assert change(pages, driver, form_of(driver, vehicle_registration="NEW 1")).status_code == 302
    driver.refresh_from_db()
    assert (driver.status, driver.vehicle_registration) == ("busy", "NEW 1")


def test_a_free_driver_can_be_taken_offline_and_back(pages, make_driver):
    driver = make_driver(*HERE)
    for status in ("offline", "available"):
        assert change(pages, driver, form_of(driver, status=status)).status_code == 302
        driver.refresh_from_db()
        assert driver.status == status


def test_a_driver_is_made_to_take_rides_by_themselves_and_back(pages, make_driver):
    driver = make_driver(*HERE, auto_accept=False)
    for wanted in (True, False):
        form = form_of(driver, auto_accept="on" if wanted else None)
        assert change(pages, driver, form).status_code == 302
        driver.refresh_from_db()
        assert driver.auto_accept is wanted


def test_missed_requests_are_shown_and_stay(pages, make_driver):
    driver = make_driver(*HERE)
    Driver.objects.filter(pk=driver.pk).update(missed_offers=2)
    page = pages.get(f"/admin/mobility/driver/{driver.pk}/change/").content.decode()
    assert re.search(r"Missed offers:</label>\s*<div class=\"readonly\">2</div>", page)
    assert change(pages, driver, form_of(driver, missed_offers="0", vehicle_registration="NEW 1")).status_code == 302
    driver.refresh_from_db()
    assert (driver.missed_offers, driver.vehicle_registration) == (2, "NEW 1")


class TestWhileBeingAsked:
    @pytest.fixture
    def asked(self, make_driver, make_user, ride_request):
        """A driver who is being asked for a ride just now."""
        driver = make_driver(*HERE, auto_accept=False)
        Presence.objects.create(driver=driver, socket_id=uuid4(), lease_until=Now() + timedelta(hours=1))
        find_driver(make_user().pk, "r1", ride_request())
        assert Offer.objects.get().status == "pending"
        return driver

    def test_the_status_stays(self, pages, asked):
        errors = errors_of(change(pages, asked, form_of(asked, status="offline")))
        assert errors["status"] == ["This driver is being asked for a ride: try again in some seconds."]
        asked.refresh_from_db()
        assert (asked.status, Offer.objects.get().status) == ("available", "pending")

    def test_other_facts_can_change(self, pages, asked):
        form = form_of(asked, vehicle_registration="NEW 1", auto_accept="on")
        assert change(pages, asked, form).status_code == 302
        asked.refresh_from_db()
        assert (asked.vehicle_registration, asked.auto_accept, Offer.objects.get().status) == ("NEW 1", True, "pending")


class TestWaitingRides:
    """An operator's change that makes a driver free reaches the rides that wait."""

    @pytest.fixture
    def waiting(self, make_driver, make_user, ride_request):
        """A ride that waits, because the only driver in reach is busy."""
        make_driver(*HERE)
        find_driver(make_user().pk, "taken", ride_request())
        booking = Booking.objects.get(pk=find_driver(make_user().pk, "r1", ride_request()).booking_id)
        assert booking.status == "pending"
        return booking

    def test_a_driver_who_is_verified_gets_one(self, pages, waiting, make_driver, django_capture_on_commit_callbacks):
        driver, offline = make_driver(*HERE, verified=False), make_driver(*HERE, verified=False, status="offline")
        with django_capture_on_commit_callbacks(execute=True):
            pages.post("/admin/mobility/driver/", {"action": "verify", "_selected_action": [driver.pk, offline.pk]})
        waiting.refresh_from_db()
        assert (waiting.status, waiting.driver_id) == ("confirmed", driver.pk)

    @pytest.mark.parametrize("changes", [{"status": "available"}, {"verified": "on"}, {"auto_accept": "on"}])
    def test_a_driver_who_is_made_free_gets_one(
        self, pages, waiting, make_driver, changes, django_capture_on_commit_callbacks
    ):
        before = {
            "status": {"status": "offline"},
            "verified": {"verified": False},
            "auto_accept": {"auto_accept": False},
        }
        driver = make_driver(*HERE, **before[next(iter(changes))])
        with django_capture_on_commit_callbacks(execute=True):
            assert (
                pages.post(f"/admin/mobility/driver/{driver.pk}/change/", form_of(driver, **changes)).status_code == 302
            )
        waiting.refresh_from_db()
        assert (waiting.status, waiting.driver_id) == ("confirmed", driver.pk)

    def test_a_driver_who_is_taken_offline_gets_none(
        self, pages, waiting, make_driver, django_capture_on_commit_callbacks, monkeypatch
    ):
        facts = []
        monkeypatch.setattr(events, "_tell", facts.append)
        driver = make_driver(*HERE)
        with django_capture_on_commit_callbacks(execute=True):
            pages.post(f"/admin/mobility/driver/{driver.pk}/change/", form_of(driver, status="offline"))
            pages.post("/admin/mobility/driver/", {"action": "withdraw_verification", "_selected_action": [driver.pk]})
        assert facts == []
        waiting.refresh_from_db()
        assert waiting.status == "pending"


def test_a_new_driver_gets_the_role(pages, make_user):
    user = make_user()
    form = {
        "user": user.pk, "phone": "+27 82 000 0002", "license_number": "N1", "vehicle_registration": "N 1",
        "vehicle_type": "sedan", "status": "offline", "rating": "5.0",
        "location-TOTAL_FORMS": "0", "location-INITIAL_FORMS": "0",
    }  # fmt: skip
    assert pages.post("/admin/mobility/driver/add/", form).status_code == 302
    user.refresh_from_db()
    assert user.roles == ["passenger", "driver"]
    assert (user.driver.phone, user.driver.verified) == ("+27820000002", False)


class TestPosition:
    def test_a_stationary_driver_is_put_on_the_map(self, pages, make_driver):
        driver = make_driver(*HERE, stationary=True)
        before = driver.location.recorded_at
        moved = place_form(driver, {"type": "Point", "coordinates": [28.1, -26.1]})
        assert change(pages, driver, moved).status_code == 302
        location = DriverLocation.objects.get(driver=driver)
        assert (location.position.x, location.position.y) == (28.1, -26.1)
        assert location.recorded_at >= before if hasattr(before, "year") else True
        assert location.stationary

    def test_a_stationary_driver_without_a_position_gets_one(self, pages, make_driver):
        driver = make_driver(None, None, stationary=True)
        moved = place_form(driver, {"type": "Point", "coordinates": [28.1, -26.1]})
        assert change(pages, driver, moved).status_code == 302
        assert DriverLocation.objects.get().dispatchable

    @pytest.mark.parametrize(
        "geometry",
        [
            "", "x", "POINT(200 100)", '{"type":"Point","coordinates":[28, 91]}',
            '{"type":"Point","coordinates":[181, 0]}', '{"type":"Point","coordinates":[NaN, 0]}',
            '{"type":"Point","coordinates":[1e400, 0]}', '{"type":"Point","coordinates":[]}', "POINT EMPTY",
            '{"type":"LineString","coordinates":[[0,0],[1,1]]}', "\x00",
        ],
    )  # fmt: skip
    def test_a_place_that_is_none_is_refused(self, pages, make_driver, geometry):
        driver = make_driver(*HERE, stationary=True)
        response = change(pages, driver, place_form(driver, geometry))
        assert response.status_code == 200
        assert response.context["inline_admin_formsets"][0].formset.errors[0]["position"]
        location = DriverLocation.objects.get()
        assert (location.position.x, location.position.y) == (28.0473, -26.2041)

    def test_a_moving_driver_is_only_looked_at(self, pages, make_driver):
        driver = make_driver(*HERE)
        page = pages.get(f"/admin/mobility/driver/{driver.pk}/change/").content.decode()
        assert 'class="place-map"' in page
        assert "location-0-position" not in page
        change(pages, driver, place_form(driver, {"type": "Point", "coordinates": [28.1, -26.1]}))
        assert DriverLocation.objects.get().position.x == 28.0473

    def test_the_page_adds_no_script_of_ours_and_nothing_from_elsewhere(self, pages, make_driver):
        driver = make_driver(*HERE, stationary=True)
        page = pages.get(f"/admin/mobility/driver/{driver.pk}/change/").content.decode()
        scripts = re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", page)
        assert scripts == []
        assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page)


def test_drivers_are_not_deleted(pages, make_driver):
    driver = make_driver(*HERE)
    assert pages.post(f"/admin/mobility/driver/{driver.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Driver.objects.exists()


def test_a_driver_who_went_silent_shows_as_such(pages, make_driver):
    before = datetime.now(UTC) - timedelta(hours=1)
    old = {"recorded_at": before, "received_at": before}
    told = make_driver(*HERE)
    silent = make_driver(*HERE, **old)
    never = make_driver(None, None)
    make_driver(*HERE, **old, stationary=True)
    make_driver(*HERE, **old, status="offline")

    def rows(query=""):
        page = pages.get(f"/admin/mobility/driver/{query}").content.decode()
        return dict(re.findall(r'/driver/(\d+)/change/.*?<td class="field-heard">(.*?)</td>', page, re.DOTALL))

    shown = rows()
    assert {pk for pk, word in shown.items() if word == "silent"} == {str(silent.pk), str(never.pk)}
    assert sorted(shown.values()) == ["-", "-", "silent", "silent", "stands still"]
    assert set(rows("?silent=yes")) == {str(silent.pk), str(never.pk)}
    assert str(told.pk) in shown
