"""Keys that tell positions, in the operators' pages."""

import re

import pytest
from django.test import Client

from mobility.locations import keys
from mobility.locations.keys import driver_of_device, issue_key
from mobility.models import LocationKey

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_hashes")]
LIST = "/admin/mobility/locationkey/"


@pytest.fixture(autouse=True)
def no_remembered_keys():
    keys._remembered.clear()


def text_in(page):
    return re.search(r"told this once: ([\w-]+)", page.content.decode())[1]


def test_a_phones_key_is_made_and_told_once(pages, make_driver):
    driver = make_driver(None, None)
    page = pages.post(f"{LIST}add/", {"name": "spare phone", "driver": driver.pk}, follow=True)
    text = text_in(page)
    assert driver_of_device(text) == driver.pk
    key = LocationKey.objects.get()
    assert (key.name, key.revoked_at) == ("spare phone", None)
    for again in (LIST, f"{LIST}{key.pk}/change/"):
        content = pages.get(again).content.decode()
        assert "spare phone" in content
        assert text not in content
        assert key.digest not in content


def test_a_fleets_key_opens_the_fleets_door(pages, make_driver):
    text = text_in(pages.post(f"{LIST}add/", {"name": "gateway", "driver": ""}, follow=True))
    told = {"locations": [{"driver_id": make_driver(-26.1, 28.0).pk, "latitude": -26.2, "longitude": 28.05}]}
    answer = Client().post(
        "/api/v1/locations/", told, content_type="application/json", headers={"Authorization": f"Key {text}"}
    )
    assert answer.json() == {"taken": 1, "dropped": {}}


@pytest.mark.parametrize("form", [{"name": ""}, {"name": " "}, {"name": "x" * 81}, {"name": "a", "driver": "999999"}])
def test_what_cannot_be_is_refused(pages, form):
    page = pages.post(f"{LIST}add/", form)
    assert page.context["errors"]
    assert not LocationKey.objects.exists()


def test_a_key_is_ended_and_neither_changed_nor_deleted(pages):
    key, _ = issue_key("gateway")
    other, _ = issue_key("other")
    page = pages.post(LIST, {"action": "end_keys", "_selected_action": [key.pk]}, follow=True)
    assert "1 ended" in page.content.decode()
    key.refresh_from_db()
    other.refresh_from_db()
    assert key.revoked_at is not None
    assert other.revoked_at is None
    assert pages.post(f"{LIST}{other.pk}/change/", {"name": "mine"}).status_code == 403
    assert pages.post(f"{LIST}{other.pk}/delete/", {"post": "yes"}).status_code == 403
    assert LocationKey.objects.filter(name="other").exists()
