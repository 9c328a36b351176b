"""What operators do with a ride over REST, and how they learn why a driver was asked or not."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db.models.functions import Now
from django.test import Client

from mobility.bookings.models import Booking, RideEvent
from mobility.bookings.services import SYSTEM
from mobility.dispatch.driving import complete_ride, start_ride
from mobility.dispatch.models import ConsideredDriver, Offer, SearchRound
from mobility.dispatch.offers import RideRef, decline_offer
from mobility.dispatch.services import cancel_ride, find_driver
from mobility.drivers.models import Driver, InboxEvent, Presence
from tests.rest import problem

HERE = (-26.2041, 28.0473)
FAR_AWAY = (60.0, 60.0)
COMMANDS = {"cancel": {}, "assign": {"driver_id": 1}, "complete": {}}


@pytest.fixture
def operator(make_user):
    return make_user(roles=["operator"])


@pytest.fixture
def ride(make_user, ride_request):
    """ride(user): a ride of this or a new user."""

    def make(user=None, ride_id="r1", **fields):
        outcome = find_driver((user or make_user()).pk, ride_id, ride_request(**fields))
        return Booking.objects.get(pk=outcome.booking_id)

    return make


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
            cancel_ride(booking.pk, SYSTEM, "first")
        booking.refresh_from_db()
        assert booking.status == status
        return booking

    return make


def everything():
    """All that a command could change."""
    kinds = (Booking, RideEvent, Offer, Driver, InboxEvent)
    return [list(kind.objects.order_by("pk").values()) for kind in kinds]


def done(response, status):
    """The properties of the ride that a command answered with."""
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/geo+json"
    assert response["Cache-Control"] == "no-store"
    properties = response.json()["properties"]
    assert properties["status"] == status
    return properties


@pytest.mark.django_db
class TestWhoMay:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_others_are_refused_whatever_the_ride(self, api, ride_in, make_user, command):
        booking = ride_in("confirmed")
        before = everything()
        for pk in (booking.pk, 999_999, 10**30):
            path = f"bookings/{pk}/{command}/"
            assert problem(api.post(path, COMMANDS[command])) == (401, "unauthenticated", None)
            for user in (booking.passenger, booking.driver.user, make_user()):
                assert problem(api.post(path, COMMANDS[command], user=user)) == (403, "forbidden", None)
        assert everything() == before

    def test_the_explanation_is_for_operators(self, api, ride_in):
        booking = ride_in("confirmed")
        for pk in (booking.pk, 999_999):
            assert problem(api.get(f"bookings/{pk}/explain/")) == (401, "unauthenticated", None)
            for user in (booking.passenger, booking.driver.user):
                assert problem(api.get(f"bookings/{pk}/explain/", user=user)) == (403, "forbidden", None)

    def test_staff_may_like_operators(self, api, ride_in, make_user):
        staff = make_user(is_staff=True)
        booking = ride_in("unfulfilled")
        assert api.get(f"bookings/{booking.pk}/explain/", user=staff).status_code == 200
        done(api.post(f"bookings/{booking.pk}/cancel/", {}, user=staff), "cancelled")

    def test_a_session_needs_the_csrf_token(self, ride_in, operator):
        booking = ride_in("unfulfilled")
        client = Client(enforce_csrf_checks=True)
        client.force_login(operator)
        path = f"/api/v1/bookings/{booking.pk}/cancel/"
        refused = client.post(path, {}, content_type="application/json")
        assert problem(refused)[:2] == (403, "forbidden")
        booking.refresh_from_db()
        assert booking.status == "unfulfilled"

    @pytest.mark.parametrize("command", COMMANDS)
    def test_a_ride_that_does_not_exist(self, api, operator, make_driver, command):
        body = {"driver_id": make_driver(*HERE).pk} if command == "assign" else {}
        for pk in (999_999, 10**30):
            assert problem(api.post(f"bookings/{pk}/{command}/", body, user=operator)) == (404, "not_found", None)
            assert problem(api.get(f"bookings/{pk}/explain/", user=operator)) == (404, "not_found", None)

    @pytest.mark.parametrize("command", COMMANDS)
    def test_commands_are_posted(self, api, operator, ride_in, command):
        booking = ride_in("confirmed")
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            answer = problem(api(method, f"bookings/{booking.pk}/{command}/", {}, user=operator))
            assert answer == (405, "method_not_allowed", None)
        booking.refresh_from_db()
        assert booking.status == "confirmed"


@pytest.mark.django_db
class TestBodies:
    @pytest.mark.parametrize(
        ("command", "body", "code", "field"),
        [
            ("cancel", {"reason": "x" * 301}, "invalid_field", "reason"),
            ("cancel", {"reason": None}, "invalid_field", "reason"),
            ("cancel", {"reason": {"a": 1}}, "invalid_field", "reason"),
            ("cancel", {"reason": "a\x00b"}, "invalid_field", "reason"),
            ("cancel", {"reason": "", "status": "completed"}, "forbidden_field", "status"),
            ("cancel", {"cancelled_by": "passenger"}, "forbidden_field", "cancelled_by"),
            ("cancel", [], "invalid_request", None),
            ("cancel", "{", "invalid_json", None),
            ("complete", {"fare_amount": 1}, "forbidden_field", "fare_amount"),
            ("complete", "null", "invalid_request", None),
            ("assign", {}, "missing_field", "driver_id"),
            ("assign", {"driver_id": None}, "invalid_field", "driver_id"),
            ("assign", {"driver_id": "1"}, "invalid_field", "driver_id"),
            ("assign", {"driver_id": 1.0}, "invalid_field", "driver_id"),
            ("assign", {"driver_id": True}, "invalid_field", "driver_id"),
            ("assign", {"driver_id": 0}, "invalid_field", "driver_id"),
            ("assign", {"driver_id": -1}, "invalid_field", "driver_id"),
            ("assign", {"driver_id": 2**63}, "invalid_field", "driver_id"),
            ("assign", {"driver_id": [1]}, "invalid_field", "driver_id"),
            ("assign", {"driver_id": 1, "force": True}, "forbidden_field", "force"),
        ],
    )
    def test_what_cannot_be_used_is_refused_by_name(self, api, operator, ride_in, command, body, code, field):
        booking = ride_in("unfulfilled")
        before = everything()
        refused = problem(api.post(f"bookings/{booking.pk}/{command}/", body, user=operator))
        assert refused == (400, code, field)
        assert everything() == before

    def test_nothing_need_be_said(self, api, operator, ride_in):
        booking = ride_in("unfulfilled")
        assert done(api.post(f"bookings/{booking.pk}/cancel/", user=operator), "cancelled")["cancellation_reason"] == ""


@pytest.mark.django_db
class TestCancel:
    @pytest.mark.parametrize("status", ["pending", "unfulfilled", "confirmed", "in_progress"])
    def test_a_ride_that_is_not_over_is_cancelled(self, api, operator, ride_in, status):
        booking = ride_in(status)
        path, body = f"bookings/{booking.pk}/cancel/", {"reason": " The clinic called it off. "}
        first = api.post(path, body, user=operator)
        shown = done(first, "cancelled")
        assert (shown["cancelled_by"], shown["cancellation_reason"]) == ("operator", "The clinic called it off.")
        last = shown["events"][-1]
        assert (last["event"], last["actor_role"]) == ("ride_cancelled", "operator")
        assert RideEvent.objects.get(booking=booking, seq=last["seq"]).actor_id == operator.pk
        assert [driver.status for driver in Driver.objects.all()] in ([], ["available"])
        assert not Offer.objects.filter(status="pending").exists()
        assert first.json() == api.get(f"bookings/{booking.pk}/", user=operator).json()
        assert api.post(path, {"reason": "again"}, user=operator).json() == first.json()

    def test_a_ride_that_is_over_is_not(self, api, operator, ride_in):
        booking = ride_in("completed")
        before = everything()
        refused = api.post(f"bookings/{booking.pk}/cancel/", {}, user=operator)
        assert problem(refused) == (409, "ride_over", None)
        assert (refused.json()["ride_status"], refused.json()["allowed"]) == ("completed", [])
        assert everything() == before


@pytest.mark.django_db
class TestAssign:
    @pytest.mark.parametrize("status", ["pending", "unfulfilled"])
    def test_a_waiting_ride_gets_the_driver(self, api, operator, ride_in, make_driver, status):
        booking, driver = ride_in(status), make_driver(*FAR_AWAY, auto_accept=False)
        path, body = f"bookings/{booking.pk}/assign/", {"driver_id": driver.pk}
        first = api.post(path, body, user=operator)
        shown = done(first, "confirmed")
        assert shown["driver"]["id"] == driver.pk
        last = shown["events"][-1]
        assert (last["event"], last["actor_role"]) == ("driver_assigned", "operator")
        assert RideEvent.objects.get(booking=booking, seq=last["seq"]).actor_id == operator.pk
        ours = shown["offers"][-1]
        assert (ours["driver_id"], ours["status"], ours["origin"]) == (driver.pk, "accepted", "operator")
        assert {(o["status"], o["reason"]) for o in shown["offers"][:-1]} <= {("withdrawn", "taken")}
        assert api.post(path, body, user=operator).json() == first.json()

    def test_another_driver_takes_the_place_of_the_first(self, api, operator, ride_in, make_driver):
        booking, driver = ride_in("confirmed"), make_driver(*FAR_AWAY)
        shown = done(api.post(f"bookings/{booking.pk}/assign/", {"driver_id": driver.pk}, user=operator), "confirmed")
        assert shown["driver"]["id"] == driver.pk
        assert [offer["status"] for offer in shown["offers"]] == ["released", "accepted"]
        assert [e["event"] for e in shown["events"][-2:]] == ["driver_released", "driver_assigned"]
        booking.driver.refresh_from_db()
        assert booking.driver.status == "available"

    @pytest.mark.parametrize(
        ("status", "code", "allowed"),
        [
            ("in_progress", "not_allowed", ["complete", "cancel"]),
            ("completed", "ride_over", []),
            ("cancelled", "ride_over", []),
        ],
    )
    def test_a_ride_that_is_too_far_keeps_its_driver(self, api, operator, ride_in, make_driver, status, code, allowed):
        booking, driver = ride_in(status), make_driver(*FAR_AWAY)
        before = everything()
        refused = api.post(f"bookings/{booking.pk}/assign/", {"driver_id": driver.pk}, user=operator)
        assert problem(refused) == (409, code, None)
        assert (refused.json()["ride_status"], refused.json()["allowed"]) == (status, allowed)
        assert everything() == before

    def test_not_while_the_passenger_has_another_live_ride(self, api, operator, ride, make_user, make_driver):
        user = make_user()
        booking = ride(user, "first")
        driver, _ = make_driver(*FAR_AWAY), make_driver(*HERE)
        assert ride(user, "second").status == "confirmed"
        before = everything()
        refused = api.post(f"bookings/{booking.pk}/assign/", {"driver_id": driver.pk}, user=operator)
        assert problem(refused) == (409, "live_ride_exists", None)
        assert refused.json()["ride_id"] == "second"
        assert everything() == before


class TestDriversWhoCannot:
    """A ride for which somebody is being asked: a refusal must leave that open, so these commit."""

    pytestmark = pytest.mark.usefixtures("committed_db")

    @pytest.fixture
    def refused(self, api, operator, ride_in):
        """refused(driver_id): the refusal of this driver, after which nothing has changed."""
        booking = ride_in("pending")

        def run(choose):
            driver_id = choose(booking)
            before = everything()
            response = api.post(f"bookings/{booking.pk}/assign/", {"driver_id": driver_id}, user=operator)
            assert everything() == before
            return problem(response)

        return run

    def test_one_who_does_not_exist(self, refused):
        assert refused(lambda _: 999_999) == (400, "invalid_field", "driver_id")

    def test_one_who_has_a_ride(self, refused, make_driver, ride):
        def busy(_booking):
            driver = make_driver(*FAR_AWAY)
            find_driver_at(ride, FAR_AWAY)
            return driver.pk

        assert refused(busy) == (409, "driver_has_ride", "driver_id")

    def test_one_who_is_being_asked_for_another_ride(self, refused, make_driver, ride):
        def asked(_booking):
            driver = make_driver(*FAR_AWAY, auto_accept=False)
            Presence.objects.create(driver=driver, socket_id=uuid4(), lease_until=Now() + timedelta(hours=1))
            find_driver_at(ride, FAR_AWAY)
            return driver.pk

        assert refused(asked) == (409, "driver_being_asked", "driver_id")

    def test_one_who_is_offline(self, refused, make_driver):
        assert refused(lambda _: make_driver(*HERE, status="offline").pk) == (409, "driver_not_available", "driver_id")

    def test_one_whose_papers_were_not_checked(self, refused, make_driver):
        assert refused(lambda _: make_driver(*HERE, verified=False).pk) == (409, "driver_not_verified", "driver_id")

    def test_one_who_is_suspended(self, refused, make_driver, make_user):
        def suspended(_booking):
            return make_driver(*FAR_AWAY, user=make_user(is_active=False, roles=["driver"])).pk

        assert refused(suspended) == (409, "driver_not_verified", "driver_id")

    def test_the_passenger_themselves(self, refused, make_driver):
        assert refused(lambda booking: make_driver(*FAR_AWAY, user=booking.passenger).pk) == (
            409, "own_ride", "driver_id",
        )  # fmt: skip


def find_driver_at(ride, place):
    from geo.coordinates import lat_lon

    return ride(pickup=lat_lon(*place), dropoff=lat_lon(place[0] + 0.1, place[1]), distance_km=None)


@pytest.mark.django_db
class TestComplete:
    def test_a_ride_under_way_is_completed(self, api, operator, ride_in):
        booking = ride_in("in_progress")
        Booking.objects.filter(pk=booking.pk).update(attention_since=Now())
        path = f"bookings/{booking.pk}/complete/"
        first = api.post(path, {}, user=operator)
        shown = done(first, "completed")
        assert (shown["events"][-1]["event"], shown["events"][-1]["actor_role"]) == ("ride_completed", "operator")
        assert shown["attention_since"] is None
        booking.driver.refresh_from_db()
        assert (booking.driver.status, booking.driver.total_rides) == ("available", 1)
        assert api.post(path, {}, user=operator).json() == first.json()
        booking.driver.refresh_from_db()
        assert booking.driver.total_rides == 1

    @pytest.mark.parametrize(
        ("status", "code", "allowed"),
        [
            ("pending", "not_allowed", ["assign", "cancel"]),
            ("unfulfilled", "not_allowed", ["assign", "cancel"]),
            ("confirmed", "not_allowed", ["assign", "cancel"]),
            ("cancelled", "ride_over", []),
        ],
    )
    def test_a_ride_that_is_not_under_way_is_not(self, api, operator, ride_in, status, code, allowed):
        booking = ride_in(status)
        before = everything()
        refused = api.post(f"bookings/{booking.pk}/complete/", {}, user=operator)
        assert problem(refused) == (409, code, None)
        assert (refused.json()["ride_status"], refused.json()["allowed"]) == (status, allowed)
        assert everything() == before


@pytest.mark.django_db
class TestOffers:
    def test_operators_see_whom_a_ride_was_offered_to(self, api, operator, ride, make_asked):
        first = make_asked(phone="+27829876543")
        booking = ride()
        decline_offer(first.pk, RideRef(booking_id=booking.pk), "too far for <b>me</b>")
        shown = api.get(f"bookings/{booking.pk}/", user=operator)
        (offer,) = shown.json()["properties"]["offers"]
        assert offer["offered_at"] <= offer["settled_at"] < offer["expires_at"]
        assert offer | dict.fromkeys(("offered_at", "delivered_at", "settled_at", "expires_at"), "") == {
            "driver_id": first.pk, "round": 1, "status": "declined", "reason": None, "origin": "asked",
            "pickup_distance_m": 0.0, "offered_at": "", "delivered_at": "", "expires_at": "", "settled_at": "",
            "decline_reason": "too far for <b>me</b>",
        }  # fmt: skip
        assert "9876543" not in shown.content.decode()
        theirs = api.get(f"bookings/{booking.pk}/", user=booking.passenger).content.decode()
        assert "offer" not in theirs
        assert "too far" not in theirs

    def test_a_ride_nobody_was_asked_for_has_none(self, api, operator, ride_in):
        booking = ride_in("unfulfilled")
        assert api.get(f"bookings/{booking.pk}/", user=operator).json()["properties"]["offers"] == []


@pytest.mark.django_db
class TestExplain:
    def test_it_tells_each_driver_near_by_and_why(self, api, operator, ride, make_driver):
        north_m = 1 / 110_600
        busy = make_driver(HERE[0] + 300 * north_m, HERE[1])
        find_driver_at(ride, (HERE[0] + 300 * north_m, HERE[1]))
        offline = make_driver(HERE[0] + 100 * north_m, HERE[1], status="offline", phone="+27829876543")
        taken = make_driver(HERE[0] + 200 * north_m, HERE[1])
        taken.user.first_name, taken.user.last_name = "+27 82 987", "6543"
        taken.user.save()
        booking = ride()
        response = api.get(f"bookings/{booking.pk}/explain/", user=operator)
        assert response.status_code == 200
        assert response["Content-Type"] == "application/json"
        assert response["Cache-Control"] == "no-store"
        told = response.json()
        assert (told["booking_id"], told["ride_id"], told["status"]) == (booking.pk, "r1", "confirmed")
        (made,) = told["rounds"]
        assert set(made) == {"round", "made_at", "strategy", "radius_m", "outcome", "drivers"}
        assert (made["round"], made["strategy"], made["radius_m"], made["outcome"]) == (
            1, "balanced", 10_000.0, "assigned",
        )  # fmt: skip
        assert [(d["driver_id"], d["verdict"], d["verdict_text"]) for d in made["drivers"]] == [
            (offline.pk, "offline", "offline"), (taken.pk, "assigned", "assigned"), (busy.pk, "busy", "has a ride"),
        ]  # fmt: skip
        first = made["drivers"][0]
        assert set(first) == {
            "driver_id", "name", "vehicle_registration", "distance_m", "verdict", "verdict_text",
        }  # fmt: skip
        assert (first["name"], first["vehicle_registration"]) == (
            offline.user.display_name, offline.vehicle_registration,
        )  # fmt: skip
        assert first["distance_m"] == round(first["distance_m"], 1) == pytest.approx(100, abs=1)
        for canary in ("9876543", "987 6543"):
            assert canary not in response.content.decode()

    def test_a_ride_whose_explanation_is_gone_has_no_rounds(self, api, operator, ride_in):
        booking = ride_in("unfulfilled")
        ConsideredDriver.objects.filter(booking=booking).delete()
        SearchRound.objects.filter(booking=booking).delete()
        told = api.get(f"bookings/{booking.pk}/explain/", user=operator).json()
        assert told == {"booking_id": booking.pk, "ride_id": "r1", "status": "unfulfilled", "rounds": []}

    def test_many_rounds_cost_no_more_queries_than_one(
        self, api, operator, ride_in, make_driver, django_assert_max_num_queries
    ):
        booking, driver = ride_in("unfulfilled"), make_driver(*HERE)
        for number in range(2, 30):
            row = {"booking": booking, "round": number}
            SearchRound.objects.create(**row, strategy="nearest", radius_m=1.0, outcome="nobody")
            ConsideredDriver.objects.create(**row, driver=driver, distance_m=0.04, verdict="not_needed")
        to_log_in = 2
        with django_assert_max_num_queries(to_log_in + 3):
            told = api.get(f"bookings/{booking.pk}/explain/", user=operator).json()
        assert [made["round"] for made in told["rounds"]] == list(range(1, 30))
        assert told["rounds"][-1]["drivers"][0]["verdict_text"] == "others were nearer"

    def test_parameters_are_refused(self, api, operator, ride_in):
        booking = ride_in("unfulfilled")
        refused = api.get(f"bookings/{booking.pk}/explain/?round=1", user=operator)
        assert problem(refused) == (400, "invalid_parameter", "round")
