"""Accounts in the operators' pages."""

import pytest
from django.test import Client
from knox.models import AuthToken

from mobility import events
from mobility.models import User
from tests.rest import PASSWORD, token_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_hashes")]


@pytest.fixture
def boss(make_user):
    return make_user(username="boss", is_staff=True, is_superuser=True, roles=["operator"], password=PASSWORD)


@pytest.fixture
def pages(boss):
    client = Client()
    client.force_login(boss)
    return client


@pytest.fixture
def told(django_capture_on_commit_callbacks, monkeypatch):
    facts = []
    monkeypatch.setattr(events, "_tell", facts.append)

    def run(do):
        with django_capture_on_commit_callbacks(execute=True):
            response = do()
        assert response.status_code == 302, response.content
        return facts

    return run


def form_of(user, **changes):
    fields = {
        "username": user.username, "phone": user.phone, "first_name": user.first_name, "last_name": user.last_name,
        "email": "", "roles": user.roles, "is_active": "on",
    }  # fmt: skip
    return {name: value for name, value in (fields | changes).items() if value is not None}


def log_in(name, password, **options):
    return Client().post("/admin/login/?next=/admin/", {"username": name, "password": password}, **options)


class TestLogin:
    @pytest.mark.parametrize("by_phone", [False, True])
    def test_staff_log_in_by_name_or_phone(self, boss, by_phone):
        assert log_in(boss.phone if by_phone else "boss", PASSWORD).status_code == 302

    def test_everyone_else_reads_the_same_sentence(self, boss, make_user):
        make_user(username="sarah", password=PASSWORD)
        make_user(username="closed", password=PASSWORD, is_staff=True, is_active=False)
        tries = [("boss", "wrong"), ("nobody", "x"), ("sarah", PASSWORD), ("sarah", "x"), ("closed", PASSWORD)]
        errors = [log_in(*each).context["errors"].as_text() for each in tries]
        assert len(set(errors)) == 1

    def test_tries_are_limited_and_a_forged_address_resets_nothing(self, boss, set_knobs):
        set_knobs(logins_per_quarter_hour=2)
        for n in range(2):
            log_in("boss", "wrong", headers={"X-Forwarded-For": f"198.51.100.{n}"})
        refused = log_in("boss", PASSWORD, headers={"X-Forwarded-For": "198.51.100.9"})
        assert refused.status_code == 200
        assert "Too many tries" in refused.content.decode()
        assert log_in("boss", PASSWORD, REMOTE_ADDR="203.0.113.5").status_code == 302

    def test_logging_out_closes_sockets(self, pages, boss, told):
        client = pages
        assert events.UserSignedOut(boss.pk) in told(lambda: _redirected(client.post("/admin/logout/")))
        assert client.get("/admin/").status_code == 302


def _redirected(response):
    # Logging out shows a page and does not redirect.
    assert response.status_code == 200
    response.status_code = 302
    return response


class TestAccounts:
    def test_lists_mask_phones_also_where_they_are_names(self, pages, make_user):
        make_user(username="+27829876543", phone="+27829876543", first_name="")
        page = pages.get("/admin/mobility/user/").content.decode()
        assert "+27*******43" in page
        assert "9876543" not in page

    def test_an_account_is_made_with_phone_and_roles(self, pages):
        form = {
            "username": "new", "phone": "+27 82 000 0001", "roles": ["passenger", "operator"],
            "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD,
        }  # fmt: skip
        assert pages.post("/admin/mobility/user/add/", form).status_code == 302
        user = User.objects.get(username="new")
        assert (user.phone, user.roles) == ("+27820000001", ["passenger", "operator"])
        assert user.check_password(PASSWORD)

    def test_a_username_must_not_be_anothers_phone(self, pages, make_user):
        user = make_user()
        response = pages.post(f"/admin/mobility/user/{user.pk}/change/", form_of(user, username="+27829999999"))
        assert "somebody else" in response.context["errors"].as_text()
        user.refresh_from_db()
        assert user.username != "+27829999999"

    @pytest.mark.parametrize("phone", ["0821234567", "", "+27829876543"])
    def test_a_bad_or_taken_phone_is_refused(self, pages, make_user, phone):
        make_user(phone="+27829876543")
        user = make_user()
        response = pages.post(f"/admin/mobility/user/{user.pk}/change/", form_of(user, phone=phone))
        assert response.status_code == 200
        assert response.context["adminform"].form.errors["phone"]

    def test_an_edit_keeps_tokens_and_sockets(self, pages, make_user, told):
        user = make_user()
        token_of(user)
        form = form_of(user, first_name="Other", roles=["driver"])
        assert told(lambda: pages.post(f"/admin/mobility/user/{user.pk}/change/", form)) == []
        user.refresh_from_db()
        assert (user.first_name, user.roles) == ("Other", ["driver"])
        assert AuthToken.objects.filter(user=user).exists()

    def test_closing_an_account_ends_its_tokens_and_sockets(self, pages, make_user, told):
        user = make_user()
        token_of(user)
        form = form_of(user, is_active=None)
        assert told(lambda: pages.post(f"/admin/mobility/user/{user.pk}/change/", form)) == [
            events.UserSignedOut(user.pk)
        ]
        assert not AuthToken.objects.filter(user=user).exists()

    def test_a_new_password_ends_tokens_and_sockets(self, pages, make_user, told):
        user = make_user(password=PASSWORD)
        token_of(user)
        form = {"password1": "another good one", "password2": "another good one", "usable_password": "true"}
        facts = told(lambda: pages.post(f"/admin/mobility/user/{user.pk}/password/", form | {"set-password": "1"}))
        assert facts == [events.UserSignedOut(user.pk)]
        user.refresh_from_db()
        assert user.check_password("another good one")
        assert not AuthToken.objects.filter(user=user).exists()

    def test_ones_own_new_password_ends_tokens_and_sockets(self, pages, boss, told):
        token_of(boss)
        form = {"old_password": PASSWORD, "new_password1": "another good one", "new_password2": "another good one"}
        assert told(lambda: pages.post("/admin/password_change/", form)) == [events.UserSignedOut(boss.pk)]
        assert not AuthToken.objects.exists()
        assert pages.get("/admin/").status_code == 200

    def test_suspending_many_spares_oneself(self, pages, boss, make_user, told):
        users = [make_user(), make_user()]
        form = {"action": "suspend", "_selected_action": [u.pk for u in (*users, boss)]}
        facts = told(lambda: pages.post("/admin/mobility/user/", form))
        assert facts == [events.UserSignedOut(u.pk) for u in reversed(users)]
        assert set(User.objects.filter(is_active=True)) == {boss}

    def test_accounts_are_not_deleted(self, pages, make_user):
        user = make_user()
        assert pages.post(f"/admin/mobility/user/{user.pk}/delete/", {"post": "yes"}).status_code == 403
        pages.post("/admin/mobility/user/", {"action": "delete_selected", "_selected_action": [user.pk], "post": "yes"})
        assert User.objects.filter(pk=user.pk).exists()

    def test_people_are_listed_by_role(self, pages, make_user):
        driver = make_user(first_name="Onlydriver", roles=["driver"])
        make_user(first_name="Onlypassenger")
        page = pages.get("/admin/mobility/user/?role=driver").content.decode()
        assert driver.first_name in page
        assert "Onlypassenger" not in page

    def test_passengers_have_no_business_here(self, make_user):
        client = Client()
        client.force_login(make_user())
        assert client.get("/admin/").status_code == 302
        assert client.get("/admin/mobility/user/").status_code == 302
