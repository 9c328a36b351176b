"""What the tables of areas and rides refuse, from psql as well."""

import pytest
from django.db import connection

from mobility.dispatch.services import find_driver
from mobility.models import Booking, ServiceArea
from tests.bookings.test_guards import named, refused

pytestmark = pytest.mark.django_db
BOW_TIE = "'SRID=4326;MULTIPOLYGON(((0 0,1 1,1 0,0 1,0 0)))'"


def insert_area(**changes: str) -> str:
    columns = {
        "name": "'Here'", "matching_radius_m": "NULL",
        "area": "'SRID=4326;MULTIPOLYGON(((28 -27,29 -27,29 -26,28 -26,28 -27)))'",
    } | changes  # fmt: skip
    return f"INSERT INTO mobility_service_area ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"name": "''"}, "service_area_has_a_name"),
        ({"matching_radius_m": "0.9"}, "service_area_radius_is_sane"),
        ({"matching_radius_m": "200001"}, "service_area_radius_is_sane"),
        ({"matching_radius_m": "'NaN'"}, "service_area_radius_is_sane"),
        ({"area": "'SRID=4326;MULTIPOLYGON EMPTY'"}, "service_area_is_not_empty"),
        ({"area": BOW_TIE}, "service_area_is_valid"),
        ({"area": "'SRID=4326;MULTIPOLYGON(((0 0,1 0,NaN 1,0 0)))'"}, "service_area_is_valid"),
        ({"area": "'SRID=4326;MULTIPOLYGON(((179 0,181 0,181 1,179 0)))'"}, "service_area_on_earth"),
        ({"area": "'SRID=4326;MULTIPOLYGON(((0 89,1 89,1 91,0 89)))'"}, "service_area_on_earth"),
    ],
    ids=named,
)
def test_an_area_that_cannot_be_is_refused(changes, constraint):
    assert refused(insert_area(**changes)) == constraint
    assert ServiceArea.objects.count() == 0


def test_a_name_stands_once():
    assert refused(insert_area(), insert_area()) == "mobility_service_area_name_key"


@pytest.fixture
def ride(make_area, make_user, ride_request):
    """An unfulfilled ride in an area; its booking."""
    make_area("Jozi", (28, -27, 29, -26), matching_radius_m=3_000)
    return Booking.objects.get(pk=find_driver(make_user().pk, "r", ride_request()).booking_id)


@pytest.mark.parametrize("column", ["search_radius_m", "service_area_id"])
def test_a_ride_keeps_its_area_and_radius(ride, column):
    for value in ("4000", "NULL"):
        assert refused(f"UPDATE mobility_booking SET {column} = {value}") == "booking_area_is_kept"
    move = f"UPDATE mobility_booking SET {column} = 5, status = 'cancelled', seq = seq + 1, cancelled_at = now()"
    assert refused(f"{move}, cancelled_by = 'operator'") == "booking_area_is_kept"
    ride.refresh_from_db()
    assert ride.search_radius_m == 3_000
    assert ride.service_area_id == ServiceArea.objects.get().pk


@pytest.mark.parametrize("radius", ["0.9", "200001", "'NaN'"])
def test_a_ride_with_a_radius_that_cannot_be_is_refused(ride, radius):
    again = (
        "UPDATE mobility_booking SET status = 'pending', seq = seq + 1, unfulfilled_at = NULL, due_at = now(),"
        " search_started_at = now(), search_until = now() + interval '1 minute'"
    )
    assert refused(f"{again}, search_radius_m = {radius}") == "booking_radius_is_sane"


def test_whoever_may_not_count_a_change_of_areas():
    assert "permission denied" in refused("SELECT nextval('mobility_version_service_area')")
    with connection.cursor() as cursor:
        cursor.execute(insert_area())
        cursor.execute("DELETE FROM mobility_service_area")
    assert ServiceArea.objects.count() == 0
