"""Register, log in, log out, ask for a ticket, over REST."""

import pytest
from django.test import Client
from django.utils.dateparse import parse_datetime
from knox.models import AuthToken

from mobility import events
from mobility.models import SocketTicket, User
from mobility.people.credentials import redeem_ticket
from mobility.people.services import suspend_user
from tests.rest import PASSWORD, problem, token_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_hashes")]
NEW = {"phone": "+27821230001", "password": PASSWORD}


@pytest.fixture
def told(django_capture_on_commit_callbacks, monkeypatch):
    """Runs a function and returns the facts it told after its commit."""
    facts = []
    monkeypatch.setattr(events, "_tell", facts.append)

    def run(do):
        with django_capture_on_commit_callbacks(execute=True):
            do()
        return facts

    return run


class TestRegister:
    def test_a_passenger_is_made_and_logged_in(self, api):
        response = api.post("auth/register/", NEW | {"phone": "+27 82 123-0001", "first_name": "Sarah"})
        assert response.status_code == 201
        assert response["Cache-Control"] == "no-store"
        user = User.objects.get()
        assert response.json()["user"] == {
            "id": user.pk, "username": "+27821230001", "phone": "+27821230001", "first_name": "Sarah",
            "last_name": "", "roles": ["passenger"],
        }  # fmt: skip
        assert parse_datetime(response.json()["expiry"]) == AuthToken.objects.get().expiry
        me = api.get("me/", headers={"Authorization": f"Bearer {response.json()['token']}"})
        assert me.status_code == 200

    def test_a_username_may_be_chosen(self, api):
        assert api.post("auth/register/", NEW | {"username": "sarah"}).json()["user"]["username"] == "sarah"

    @pytest.mark.parametrize(
        "extra",
        [
            {"roles": ["operator"]}, {"is_staff": True}, {"is_superuser": True}, {"is_active": False}, {"id": 1},
            {"driver": {"verified": True}}, {"groups": [1]}, {"whatever": 1},
        ],
    )  # fmt: skip
    def test_a_field_that_only_the_service_sets_is_refused(self, api, extra):
        assert problem(api.post("auth/register/", NEW | extra)) == (400, "forbidden_field", next(iter(extra)))
        assert not User.objects.exists()

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"phone": "0821230001"}, "phone"),
            ({"phone": 27821230001.5}, "phone"),
            ({"phone": "+27821230001\x00"}, "phone"),
            ({"phone": ["+27821230001"]}, "phone"),
            ({"password": "123"}, "password"),
            ({"password": "password123"}, "password"),
            ({"password": "+27821230001"}, "password"),
            ({"password": "x" * 1000}, "password"),
            ({"username": "a b"}, "username"),
            ({"username": "<script>"}, "username"),
            ({"username": "+27829999999"}, "username"),
            ({"username": "0027 82 999 9999"}, "username"),
            ({"username": True}, "username"),
            ({"first_name": "x" * 151}, "first_name"),
            ({"first_name": "a\x00b"}, "first_name"),
            ({"last_name": {"a": 1}}, "last_name"),
        ],
    )
    def test_what_cannot_be_used_is_refused_by_name(self, api, change, field):
        assert problem(api.post("auth/register/", NEW | change)) == (400, "invalid_field", field)
        assert not User.objects.exists()

    @pytest.mark.parametrize("missing", ["phone", "password"])
    def test_what_is_missing_is_named(self, api, missing):
        body = {name: value for name, value in NEW.items() if name != missing}
        assert problem(api.post("auth/register/", body)) == (400, "missing_field", missing)

    def test_a_taken_phone_or_username_is_refused_alike(self, api, make_user):
        make_user(username="sarah", phone="+27821230001")
        by_phone = api.post("auth/register/", NEW)
        by_name = api.post("auth/register/", {"phone": "+27821230002", "username": "sarah", "password": PASSWORD})
        assert problem(by_phone) == problem(by_name) == (409, "phone_taken", None)
        assert by_phone.json() == by_name.json()
        assert User.objects.count() == 1

    def test_one_address_registers_only_so_many_an_hour(self, api, set_knobs):
        set_knobs(registrations_per_hour=2)
        bodies = [{"phone": f"+2782123000{n}", "password": PASSWORD} for n in range(4)]
        answers = [api.post("auth/register/", body, REMOTE_ADDR="203.0.113.1") for body in bodies]
        assert [a.status_code for a in answers] == [201, 201, 429, 429]
        assert problem(answers[3])[1] == "too_many_tries"
        assert int(answers[3]["Retry-After"]) > 0
        assert User.objects.count() == 2
        assert api.post("auth/register/", bodies[3], REMOTE_ADDR="203.0.113.2").status_code == 201


class TestLogin:
    @pytest.mark.parametrize("name", ["sarah", "+27821230001", "0027 82 123 0001"])
    def test_with_username_or_phone(self, api, make_user, name):
        user = make_user(username="sarah", phone="+27821230001", password=PASSWORD)
        response = api.post("auth/login/", {"username": name, "password": PASSWORD})
        assert response.status_code == 200
        assert set(response.json()) == {"token", "expiry", "user"}
        assert response.json()["user"]["id"] == user.pk
        assert response["Cache-Control"] == "no-store"
        user.refresh_from_db()
        assert user.last_login is not None

    def test_unknown_wrong_and_inactive_answer_alike(self, api, make_user):
        make_user(username="sarah", password=PASSWORD)
        make_user(username="closed", password=PASSWORD, is_active=False)
        make_user(username="no-password")
        tries = [("sarah", "wrong"), ("nobody", "wrong"), ("closed", PASSWORD), ("no-password", "wrong")]
        answers = [api.post("auth/login/", {"username": name, "password": word}) for name, word in tries]
        assert {problem(a) for a in answers} == {(401, "wrong_login", None)}
        assert len({a.content for a in answers}) == 1
        assert len({frozenset(a.headers.items()) for a in answers}) == 1
        assert not AuthToken.objects.exists()

    def test_after_so_many_failures_even_the_right_password_waits(self, api, make_user, set_knobs):
        set_knobs(logins_per_quarter_hour=3)
        make_user(username="sarah", phone="+27821230001", password=PASSWORD)
        for name in ("sarah", "+27821230001", "sarah"):
            assert api.post("auth/login/", {"username": name, "password": "wrong"}).status_code == 401
        refused = api.post("auth/login/", {"username": "sarah", "password": PASSWORD})
        assert problem(refused) == (429, "too_many_tries", None)
        assert 0 < int(refused["Retry-After"]) <= 1300
        assert not AuthToken.objects.exists()
        elsewhere = api.post("auth/login/", {"username": "sarah", "password": PASSWORD}, REMOTE_ADDR="203.0.113.9")
        assert elsewhere.status_code == 200

    def test_an_unknown_account_is_throttled_like_a_known_one(self, api, make_user, set_knobs):
        set_knobs(logins_per_quarter_hour=2)
        make_user(username="sarah", password=PASSWORD)
        statuses = {
            name: [api.post("auth/login/", {"username": name, "password": "wrong"}).status_code for _ in range(4)]
            for name in ("sarah", "nobody")
        }
        assert statuses["sarah"] == statuses["nobody"] == [401, 401, 429, 429]

    def test_a_forged_forwarded_address_resets_nothing(self, api, make_user, set_knobs):
        set_knobs(logins_per_quarter_hour=2)
        make_user(username="sarah", password=PASSWORD)
        statuses = [
            api.post(
                "auth/login/",
                {"username": "sarah", "password": "wrong"},
                headers={"X-Forwarded-For": f"198.51.100.{n}", "Forwarded": f"for=198.51.100.{n}"},
            ).status_code
            for n in range(5)
        ]
        assert statuses == [401, 401, 429, 429, 429]

    def test_one_address_cannot_try_account_after_account(self, api, set_knobs):
        set_knobs(logins_per_quarter_hour=2)
        statuses = [
            api.post("auth/login/", {"username": f"name{n}", "password": "wrong"}).status_code for n in range(12)
        ]
        assert statuses == [401] * 10 + [429] * 2

    def test_many_addresses_cannot_try_one_account_for_ever(self, api, make_user, set_knobs):
        set_knobs(logins_per_quarter_hour=1)
        make_user(username="sarah", password=PASSWORD)
        statuses = [
            api.post("auth/login/", {"username": "sarah", "password": "x"}, REMOTE_ADDR=f"203.0.113.{n}").status_code
            for n in range(12)
        ]
        assert statuses == [401] * 10 + [429] * 2

    def test_right_passwords_use_nothing_up(self, api, make_user, set_knobs):
        set_knobs(logins_per_quarter_hour=2)
        make_user(username="sarah", password=PASSWORD)
        body = {"username": "sarah", "password": PASSWORD}
        assert {api.post("auth/login/", body).status_code for _ in range(6)} == {200}

    def test_expired_tokens_of_the_user_go(self, api, make_user):
        from django.db.models.functions import Now

        user = make_user(username="sarah", password=PASSWORD)
        token_of(user)
        AuthToken.objects.update(expiry=Now())
        api.post("auth/login/", {"username": "sarah", "password": PASSWORD})
        assert AuthToken.objects.count() == 1

    def test_a_password_is_never_cut_or_trimmed(self, api, make_user):
        make_user(username="sarah", password=f" {PASSWORD} ")
        assert api.post("auth/login/", {"username": "sarah", "password": PASSWORD}).status_code == 401
        assert api.post("auth/login/", {"username": "sarah", "password": f" {PASSWORD} "}).status_code == 200


class TestLogout:
    def test_the_token_is_revoked_and_the_fact_is_told_after_the_commit(self, api, make_user, told):
        user = make_user()
        token, other = token_of(user), token_of(user)
        headers = {"Authorization": f"Token {token}"}
        assert told(lambda: api.post("auth/logout/", headers=headers)) == [events.UserSignedOut(user.pk)]
        assert problem(api.get("me/", headers=headers)) == (401, "unauthenticated", None)
        assert api.get("me/", headers={"Authorization": f"Token {other}"}).status_code == 200

    def test_a_session_can_log_out_too_with_its_csrf_token(self, make_user, told):
        user = make_user()
        client = Client(enforce_csrf_checks=True)
        client.force_login(user)
        refused = client.post("/api/v1/auth/logout/", content_type="application/json")
        assert problem(refused) == (403, "forbidden", None)
        client.cookies["csrftoken"] = "x" * 32
        csrf = {"X-CSRFToken": "x" * 32}
        facts = told(lambda: client.post("/api/v1/auth/logout/", content_type="application/json", headers=csrf))
        assert facts == [events.UserSignedOut(user.pk)]
        assert client.get("/api/v1/me/").status_code == 401

    def test_a_suspended_user_loses_every_token(self, api, make_user, told):
        user = make_user()
        token = token_of(user)
        assert told(lambda: suspend_user(user.pk)) == [events.UserSignedOut(user.pk)]
        assert api.get("me/", headers={"Authorization": f"Token {token}"}).status_code == 401
        assert not AuthToken.objects.exists()


class TestWhoAsks:
    @pytest.mark.parametrize("header", ["Token {}", "Bearer {}", "token {}", "BEARER {}", "Token   {}"])
    def test_both_words_for_a_token_are_understood(self, api, make_user, header):
        response = api.get("me/", headers={"Authorization": header.format(token_of(make_user()))})
        assert response.status_code == 200

    @pytest.mark.parametrize(
        "header", ["Token", "Token x", "Bearer x y", "Token \xff", "Token " + "a" * 10_000, "Basic YTpi", "Token {} x"]
    )
    def test_anything_else_is_401_and_says_how(self, api, make_user, header):
        response = api.get("me/", headers={"Authorization": header.format(token_of(make_user()))})
        assert problem(response) == (401, "unauthenticated", None)
        assert response["WWW-Authenticate"] == "Token"

    def test_a_wrong_token_is_refused_even_beside_a_good_session(self, make_user):
        client = Client()
        client.force_login(make_user())
        assert client.get("/api/v1/me/").status_code == 200
        assert client.get("/api/v1/me/", headers={"Authorization": "Token wrong"}).status_code == 401


class TestTicket:
    def test_it_opens_one_socket_of_this_user(self, api, make_user):
        user = make_user()
        response = api.post("auth/ws-ticket/", {"ride_id": "12345"}, user=user)
        assert response.status_code == 200
        assert set(response.json()) == {"ticket", "expires_at", "expires_in"}
        assert response.json()["expires_in"] == 30
        assert response["Cache-Control"] == "no-store"
        principal = redeem_ticket(response.json()["ticket"])
        assert (principal.user_id, principal.ride_id) == (user.pk, "12345")

    def test_without_a_body_it_opens_any_ride(self, api, make_user):
        response = api.post("auth/ws-ticket/", user=make_user())
        assert redeem_ticket(response.json()["ticket"]).ride_id is None

    @pytest.mark.parametrize("ride_id", ["", "a b", "a/b", "x" * 65, "é", "12345\n", 5.5, None, ["a"]])
    def test_a_bad_ride_id_is_refused(self, api, make_user, ride_id):
        response = api.post("auth/ws-ticket/", {"ride_id": ride_id}, user=make_user())
        assert problem(response) == (400, "invalid_field", "ride_id")
        assert not SocketTicket.objects.exists()

    def test_a_stranger_gets_none(self, api):
        assert problem(api.post("auth/ws-ticket/")) == (401, "unauthenticated", None)
        assert not SocketTicket.objects.exists()
