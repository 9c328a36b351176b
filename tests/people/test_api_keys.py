"""Keys of dashboards: what they open, what they show, how they end, and that nobody reads them anywhere."""

import json
from datetime import timedelta
from io import StringIO

import httpx
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from rest_framework.permissions import BasePermission
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory

from config.settings import REST_FRAMEWORK
from mobility.locations.keys import issue_key
from mobility.models import ApiKey
from mobility.people.keys import WITH_KEYS, digest_of, issue_api_key, revoke_api_key
from mobility.people.models import Scope
from mobility.people.permissions import HasScope
from mobility.rest import PersonalView
from tests.realtime.sync import in_thread
from tests.rest import as_instants, problem, token_of
from tests.server import Client as Socket
from tests.server import serving

HERE = (-26.2041, 28.0473)
REFUSED = (401, "unauthenticated", None)
PATHS = ["drivers/", "drivers/1/"]


def with_key(text: str) -> dict[str, str]:
    return {"Authorization": f"Key {text}"}


@pytest.fixture
def drivers_key():
    """The text of a key for drivers."""
    return issue_api_key("dashboard", [Scope.DRIVERS])[1]


def expired_key() -> str:
    """The text of a key that ended a moment ago."""
    ApiKey.objects.create(
        name="expired", digest=digest_of("once"), prefix="once", scopes=["drivers:read"],
        created_at=Now() - timedelta(days=2), expires_at=Now() - timedelta(milliseconds=1),
    )  # fmt: skip
    return "once"


@pytest.mark.django_db
class TestWhatItOpens:
    def test_a_key_lists_drivers_without_who_they_are(self, api, make_driver, drivers_key):
        driver = make_driver(*HERE, phone="+27829876543")
        answer = api.get("drivers/", headers=with_key(drivers_key))
        assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
        (feature,) = answer.json()["features"]
        assert set(feature["properties"]) == {
            "vehicle_type", "status", "rating", "total_rides", "verified", "stationary", "silent", "heading", "speed",
            "recorded_at", "received_at",
        }  # fmt: skip
        alone = api.get(f"drivers/{driver.pk}/", headers=with_key(drivers_key)).json()
        assert as_instants(alone) == as_instants(feature)
        told = answer.content.decode()
        for secret in (driver.user.display_name, "9876543", "+27", driver.vehicle_registration):
            assert secret not in told, secret

    def test_operators_see_them_as_before(self, api, make_user, make_driver):
        make_driver(*HERE)
        (feature,) = api.get("drivers/", user=make_user(roles=["operator"])).json()["features"]
        assert {"name", "phone", "vehicle_registration"} <= set(feature["properties"])

    def test_the_schema_does_not_promise_them_to_everybody(self, tmp_path):
        import yaml

        call_command("spectacular", file=str(tmp_path / "schema.yaml"))
        schema = yaml.safe_load((tmp_path / "schema.yaml").read_text())
        described = schema["components"]["schemas"]["DriverFeature"]["properties"]["properties"]
        assert set(described["properties"]) - set(described["required"]) == {"name", "phone", "vehicle_registration"}
        assert {"api_key": []} in schema["paths"]["/api/v1/drivers/"]["get"]["security"]
        assert schema["components"]["securitySchemes"]["api_key"]["name"] == "Authorization"

    @pytest.mark.parametrize("path", PATHS)
    def test_a_missing_scope_is_named(self, api, path):
        text = issue_api_key("other", [scope for scope in Scope if scope != Scope.DRIVERS])[1]
        answer = api.get(path, headers=with_key(text))
        assert problem(answer) == (403, "forbidden", None)
        assert answer.json()["detail"] == "This key lacks the scope drivers:read."

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    def test_a_key_never_writes(self, api, drivers_key, method):
        for path in PATHS:
            answer = api(method, path, {}, headers=with_key(drivers_key))
            assert problem(answer) == (403, "forbidden", None)
            assert answer.json()["detail"] == "A key only reads."

    def test_a_key_is_nobody(self, api, drivers_key):
        """Where no view asks for keys, one is worth nothing."""
        every = issue_api_key("everything", list(Scope))[1]
        for path in ("me/", "bookings/1/", "bookings/1/explain/", "bookings/1/track/"):
            assert problem(api.get(path, headers=with_key(every))) == REFUSED
        for path in ("auth/ws-ticket/", "auth/logout/", "locations/", "drivers/me/locations/", "bookings/1/cancel/"):
            assert problem(api.post(path, {}, headers=with_key(every)))[:2] == REFUSED[:2]

    def test_views_take_people_as_they_did(self):
        assert {f"{kind.__module__}.{kind.__name__}" for kind in WITH_KEYS} - {
            "mobility.people.keys.ApiKeyAuthentication"
        } == set(REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"])


@pytest.mark.django_db
class TestAnybodyOrScope:
    def ask(self, **headers):
        class GeocodeView(PersonalView):
            authentication_classes = WITH_KEYS
            permission_classes = (HasScope("geocode"),)

            def get(self, request):
                return Response({"anonymous": request.user.is_anonymous, "key": getattr(request.auth, "name", None)})

        return GeocodeView.as_view()(APIRequestFactory().get("/", **headers))

    def test_whoever_is_logged_in_may(self, make_user):
        assert self.ask(HTTP_AUTHORIZATION=f"Token {token_of(make_user())}").data["anonymous"] is False

    def test_a_key_with_the_scope_may_and_is_no_user(self):
        text = issue_api_key("addresses", ["geocode"])[1]
        assert self.ask(HTTP_AUTHORIZATION=f"Key {text}").data == {"anonymous": True, "key": "addresses"}

    def test_others_may_not(self, drivers_key):
        assert self.ask().status_code == 401
        assert self.ask(HTTP_AUTHORIZATION=f"Key {drivers_key}").status_code == 403

    def test_a_scope_that_does_not_exist_is_a_mistake_at_once(self):
        with pytest.raises(ValueError, match="drivers:write"):
            HasScope("drivers:write")
        assert issubclass(HasScope(Scope.AREAS), BasePermission)


@pytest.mark.django_db
class TestHowItEnds:
    def test_unknown_expired_and_revoked_are_refused_alike(self, api, make_driver):
        expired_text = expired_key()
        revoked, revoked_text = issue_api_key("revoked", [Scope.DRIVERS])
        assert revoke_api_key(revoked.pk)
        fleet, digest = issue_key("gateway")[1], revoked.digest
        answers = [
            api.get("drivers/", headers={"Authorization": wrong})
            for wrong in (
                f"Key {expired_text}", f"Key {revoked_text}", "Key unknown", "Key", f"Key {fleet}", f"Key {digest}",
                "Key " + "x" * 5_000, f"Key {expired_text} {revoked_text}", "key \xe9",
            )
        ]  # fmt: skip
        assert {problem(answer) for answer in answers} == {REFUSED}
        assert len({answer.content for answer in answers}) == 1
        assert ApiKey.objects.filter(last_used_at__isnull=False).count() == 0

    def test_revoking_holds_at_once(self, api, drivers_key):
        assert api.get("drivers/", headers=with_key(drivers_key)).status_code == 200
        key = ApiKey.objects.get()
        assert revoke_api_key(key.pk)
        assert problem(api.get("drivers/", headers=with_key(drivers_key))) == REFUSED
        assert not revoke_api_key(key.pk)
        assert not revoke_api_key(999_999)

    def test_a_bad_key_is_not_made_good_by_a_session(self, make_user):
        client = Client()
        client.force_login(make_user(is_staff=True))
        assert client.get("/api/v1/drivers/").status_code == 200
        assert client.get("/api/v1/drivers/", headers=with_key("unknown")).status_code == 401

    def test_another_case_of_the_word_is_the_same(self, api, drivers_key):
        assert api.get("drivers/", headers={"Authorization": f"kEY  {drivers_key}"}).status_code == 200

    def test_the_last_use_is_written_once_a_minute(self, api, drivers_key, django_assert_num_queries):
        with django_assert_num_queries(2):  # the key and its use; the drivers go past the ORM
            api.get("drivers/", headers=with_key(drivers_key))
        key = ApiKey.objects.get()
        first = key.last_used_at
        with django_assert_num_queries(1):
            api.get("drivers/", headers=with_key(drivers_key))
        key.refresh_from_db()
        assert key.last_used_at == first is not None
        with connection.cursor() as cursor:
            cursor.execute("UPDATE mobility_api_key SET last_used_at = now() - interval '61 s'")
        api.get("drivers/", headers=with_key(drivers_key))
        key.refresh_from_db()
        assert key.last_used_at >= first

    def test_each_key_has_its_own_allowance(self, api, set_knobs, drivers_key, make_user):
        set_knobs(key_requests_per_minute=3)
        other = issue_api_key("other", [Scope.DRIVERS])[1]
        answers = [api.get("drivers/", headers=with_key(drivers_key)) for _ in range(4)]
        assert [answer.status_code for answer in answers[:3]] == [200, 200, 200]
        assert problem(answers[3]) == (429, "too_many_requests", None)
        assert 0 < int(answers[3]["Retry-After"]) <= 81
        assert api.get("drivers/", headers=with_key(other)).status_code == 200
        assert api.get("drivers/", user=make_user(roles=["operator"])).status_code == 200


def told(*args: str) -> str:
    out = StringIO()
    call_command("api_key", *args, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
class TestTheCommand:
    def test_a_key_is_made_listed_and_revoked(self, api):
        text = told("city dashboard", "--scope", "drivers:read", "--scope", "geocode", "--days", "90").split()[7]
        assert api.get("drivers/", headers=with_key(text)).status_code == 200
        key = ApiKey.objects.get()
        assert (key.name, key.scopes, key.created_by) == ("city dashboard", ["drivers:read", "geocode"], None)
        assert (key.expires_at - key.created_at, key.prefix) == (timedelta(days=90), text[:8])
        assert text not in json.dumps(list(ApiKey.objects.values()), default=str)
        for shown in ("city dashboard", text[:8], "drivers:read,geocode", f"{key.expires_at:%Y-%m-%d}"):
            assert shown in told("--list")
        assert text not in told("--list")
        told("--revoke", str(key.pk))
        assert "revoked" in told("--list")
        assert api.get("drivers/", headers=with_key(text)).status_code == 401
        with pytest.raises(CommandError, match="no key"):
            told("--revoke", str(key.pk))

    @pytest.mark.parametrize(
        ("args", "why"),
        [
            (["x"], "--scope"), ([" ", "--scope", "geocode"], "name"), (["x", "--scope", "drivers:write"], "invalid"),
            (["x", "--scope", "geocode", "--days", "0"], "--days"),
            (["x", "--scope", "geocode", "--days", "1826"], "--days"), ([], "required"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_refused(self, args, why):
        with pytest.raises(CommandError, match=why):
            told(*args)
        assert not ApiKey.objects.exists()


@pytest.mark.usefixtures("committed_db")
@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_no_key_is_ever_in_the_log_nor_opens_a_socket(tmp_path, log_format):
    import websockets

    key, text = await in_thread(issue_api_key, "canary dashboard", [Scope.DRIVERS])
    revoked, revoked_text = await in_thread(issue_api_key, "canary revoked", [Scope.DRIVERS])
    await in_thread(revoke_api_key, revoked.pk)
    with serving(tmp_path, LOG_FORMAT=log_format, LOG_LEVEL="DEBUG", CARECONNECT_GUEST_RIDES="yes") as running:
        async with httpx.AsyncClient(base_url=running.http) as http:
            for path in ("drivers/", "drivers/1/", "me/", "nothing/", f"drivers/?key={text}", "drivers/?bbox=1"):
                for sent in (text, revoked_text, "canary-unknown-key"):
                    await http.get(f"/api/v1/{path}", headers=with_key(sent))
                    await http.post(f"/api/v1/{path}", headers=with_key(sent), content=b"{")
        for path in ("/ws/ride/12345/", "/ws/driver/1/"):
            async with websockets.connect(running.ws + path, additional_headers=with_key(text)) as connection:
                assert json.loads(await connection.recv())["code"] == "unauthenticated"
                assert await Socket(connection).close_code() == 4401
    output = running.output
    for secret in (text, text[:8], revoked_text, revoked_text[:8], "canary", key.digest[:16], revoked.digest[:16]):
        assert secret not in output, secret
    assert "api_key_refused" in output
