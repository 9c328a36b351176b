"""Keys of dashboards, in the operators' pages."""

import re
from datetime import timedelta

import pytest

from mobility.models import ApiKey
from mobility.people.keys import api_key_in_force, issue_api_key

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_hashes")]
LIST = "/admin/mobility/apikey/"
FORM = {"name": "city dashboard", "scopes": ["drivers:read", "demand:read"], "days": "90"}


def text_in(page):
    return re.search(r"told this once: ([\w-]+)", page.content.decode())[1]


def test_a_key_is_made_and_told_once(pages):
    made = pages.post(f"{LIST}add/", FORM, follow=True)
    text = text_in(made)
    assert f"city dashboard ({text[:8]}…)" in made.content.decode()
    key = api_key_in_force(text)
    assert (key.name, key.scopes) == ("city dashboard", ["demand:read", "drivers:read"])
    assert key.expires_at - key.created_at == timedelta(days=90)
    assert key.created_by.pk == int(pages.session["_auth_user_id"])
    for again in (LIST, f"{LIST}{key.pk}/change/"):
        content = pages.get(again).content.decode()
        for shown in ("city dashboard", text[:8], "demand:read, drivers:read"):
            assert shown in content
        assert text not in content
        assert key.digest not in content


def test_a_year_is_proposed_and_nothing_ticked(pages):
    content = pages.get(f"{LIST}add/").content.decode()
    assert 'name="days" value="365"' in content
    assert content.count('name="scopes"') == 6
    assert "checked" not in content


@pytest.mark.parametrize(
    "wrong", [{"name": " "}, {"name": "x" * 81}, {"scopes": []}, {"scopes": ["all"]}, {"days": "0"}, {"days": "1826"}]
)
def test_what_cannot_be_is_refused(pages, wrong):
    assert pages.post(f"{LIST}add/", FORM | wrong).context["errors"]
    assert not ApiKey.objects.exists()


def test_a_key_is_revoked_and_neither_changed_nor_deleted(pages):
    key, text = issue_api_key("dashboard", ["geocode"])
    other, other_text = issue_api_key("other", ["geocode"])
    page = pages.post(LIST, {"action": "revoke", "_selected_action": [key.pk]}, follow=True)
    assert "1 revoked" in page.content.decode()
    assert api_key_in_force(text) is None
    assert api_key_in_force(other_text) == other
    assert pages.post(f"{LIST}{other.pk}/change/", {"name": "mine"}).status_code == 403
    assert pages.post(f"{LIST}{other.pk}/delete/", {"post": "yes"}).status_code == 403
    assert ApiKey.objects.filter(name="other").exists()


def test_whoever_made_a_key_is_shown_without_their_phone(pages, make_user):
    maker = make_user(username="+27829876543", phone="+27829876543", first_name="")
    key, _ = issue_api_key("dashboard", ["geocode"], created_by=maker)
    for page in (LIST, f"{LIST}{key.pk}/change/"):
        assert "9876543" not in pages.get(page).content.decode()
