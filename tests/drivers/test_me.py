"""Who am I."""

import pytest

from tests.rest import problem

pytestmark = pytest.mark.django_db


def test_a_passenger_is_a_user_without_a_driver(api, make_user):
    user = make_user(first_name="Sarah", last_name="Johnson")
    assert api.get("me/", user=user).json() == {
        "id": user.pk, "username": user.username, "phone": user.phone, "first_name": "Sarah", "last_name": "Johnson",
        "roles": ["passenger"], "driver": None,
    }  # fmt: skip


def test_a_driver_learns_the_id_of_their_socket(api, make_driver):
    driver = make_driver(-26.2041, 28.0473, rating="4.8")
    me = api.get("me/", user=driver.user).json()
    assert me["roles"] == ["driver"]
    assert me["driver"] == {
        "id": driver.pk, "status": "available", "vehicle_type": "sedan",
        "vehicle_registration": driver.vehicle_registration, "phone": driver.phone, "rating": 4.8, "total_rides": 0,
        "verified": True,
    }  # fmt: skip


def test_it_is_kept_by_no_cache_and_told_to_no_stranger(api, make_user):
    assert api.get("me/", user=make_user())["Cache-Control"] == "no-store"
    assert problem(api.get("me/")) == (401, "unauthenticated", None)
