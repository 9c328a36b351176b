"""Who reads what of OGC API: operators all, keys by their scopes and never a person, others nothing."""

import base64
import json

import pytest
from django.test import Client

from mobility.bookings.layers import BOOKINGS
from mobility.locations.layers import DRIVERS
from mobility.ogc.collections import COLLECTIONS
from mobility.people.keys import issue_api_key, revoke_api_key
from mobility.people.models import Scope
from tests.demand.staging import PLACE
from tests.rest import PASSWORD, problem, token_of

pytestmark = pytest.mark.django_db
CANARY = "canary"
PATHS = ["collections/{}", "collections/{}/items", "collections/{}/items/1"]
BASIC = 'Basic realm="CareConnect Mobility", charset="UTF-8"'


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def people(make_driver, make_user, ride):
    """The numbers of a driver and of a ride whose every text is a canary."""
    user = make_user(username=f"{CANARY}1", first_name=CANARY, roles=["driver"], phone="+27829876543")
    driver = make_driver(PLACE.latitude, PLACE.longitude, user=user, vehicle_registration=f"{CANARY} GP")
    booking = ride(
        make_user(username=f"{CANARY}2", last_name=CANARY), f"{CANARY}-ride", pickup_address=CANARY,
        dropoff_address=CANARY, notes=CANARY, passenger_phone="+27829876543",
    )  # fmt: skip
    return {"drivers": driver.pk, "bookings": booking.pk}


class TestKeys:
    @pytest.mark.parametrize("name", COLLECTIONS)
    def test_its_scope_opens_a_collection_and_nobody_is_in_it(self, ask, people, name):
        paths = ["collections", "collections/{}", "collections/{}/items"]
        paths += [f"collections/{{}}/items/{people[name]}"] if name in people else []
        for form in ("json", "html"):
            for path in paths:
                answer = ask(f"{path.format(name)}?f={form}", key=[COLLECTIONS[name].scope])
                assert answer.status_code == 200, answer.content
                for telling in (CANARY.encode(), b"9876543", b"***"):
                    assert telling not in answer.content

    @pytest.mark.parametrize("name", COLLECTIONS)
    def test_every_other_scope_does_not(self, ask, name):
        others = [scope for scope in Scope if scope != COLLECTIONS[name].scope]
        for path in PATHS:
            answer = ask(path.format(name), key=others)
            assert problem(answer) == (403, "forbidden", None)
            assert COLLECTIONS[name].scope.value in answer.json()["detail"]

    def test_the_list_is_of_what_it_may_read(self, read, ask):
        def listed(*scopes):
            return [found["id"] for found in read("collections", key=list(scopes))["collections"]]

        assert listed(Scope.DRIVERS) == ["drivers"]
        assert listed(Scope.AREAS, Scope.DEMAND) == ["service-areas", "demand"]
        assert listed(Scope.GEOCODE) == []
        assert "may read none of them" in ask("collections?f=html", key=[Scope.GEOCODE]).content.decode()

    def test_fields_and_filters_of_operators_are_not_known_to_it(self, ask, people):
        for name, scope, layer in (("drivers", Scope.DRIVERS, DRIVERS), ("bookings", Scope.BOOKINGS, BOOKINGS)):
            for field in layer.personal:
                answer = ask(f"collections/{name}/items?fields={field}", key=[scope])
                assert problem(answer) == (400, "invalid_parameter", "fields")
            page = ask(f"collections/{name}?f=html", key=[scope]).content.decode()
            assert not [field for field in layer.personal if f"<code>{field}</code>" in page]
        for path, scope, named in (
            ("bookings/items?attention=true", Scope.BOOKINGS, "attention"),
            ("bookings/items?fields=attention_since", Scope.BOOKINGS, "fields"),
            ("service-areas/items?active=false", Scope.AREAS, "active"),
        ):
            assert problem(ask(f"collections/{path}", key=[scope])) == (400, "invalid_parameter", named)

    def test_an_unknown_collection_is_one_that_it_may_not_read(self, ask):
        assert problem(ask("collections/secret", key=list(Scope)))[:2] == (403, "forbidden")

    def test_it_only_reads(self, ask):
        assert ask("collections/drivers/items", key=[Scope.DRIVERS], method="DELETE").status_code in {403, 405}

    def test_as_the_password_of_basic_it_is_the_same_key(self, client):
        key, text = issue_api_key("gis", [Scope.DRIVERS])
        for user in ("", "gis", "jörg"):
            headers = basic(user, text) if user.isascii() else basic("x", text)
            listed = client.get("/ogc/collections", headers=headers).json()["collections"]
            assert [found["id"] for found in listed] == ["drivers"]
        assert problem(client.get("/ogc/collections/demand", headers=basic("x", text)))[:2] == (403, "forbidden")
        revoke_api_key(key.pk)
        assert problem(client.get("/ogc/collections", headers=basic("x", text)))[:2] == (401, "unauthenticated")

    def test_asks_no_oftener_than_it_may_by_either_way(self, client, set_knobs):
        set_knobs(key_requests_per_minute=2)
        text = issue_api_key("gis", [Scope.DRIVERS])[1]
        for headers in (basic("x", text), {"Authorization": f"Key {text}"}):
            assert client.get("/ogc/collections", headers=headers).status_code == 200
        answer = client.get("/ogc/collections", headers=basic("x", text))
        assert problem(answer) == (429, "too_many_requests", None)
        assert int(answer["Retry-After"]) > 0

    @pytest.mark.parametrize("path", ["/api/v1/drivers/", "/tiles/drivers.json", "/tiles/drivers/0/0/0.mvt"])
    def test_basic_is_worth_nothing_elsewhere(self, client, path):
        text = issue_api_key("gis", [Scope.DRIVERS])[1]
        assert problem(client.get(path, headers=basic("x", text)))[:2] == (401, "unauthenticated")


class TestPeople:
    def test_an_operators_password_is_no_key(self, client, make_user, quick_hashes):
        make_user(username="boss", roles=["operator"], password=PASSWORD)
        assert problem(client.get("/ogc/collections", headers=basic("boss", PASSWORD)))[:2] == (401, "unauthenticated")

    def test_operators_see_everybody(self, read, people):
        driver = read(f"collections/drivers/items/{people['drivers']}")["properties"]
        assert driver["vehicle_registration"] == f"{CANARY} GP"
        assert "attention_since" in read(f"collections/bookings/items/{people['bookings']}")["properties"]

    @pytest.mark.parametrize("roles", [["passenger"], ["driver"], ["driver", "passenger"]])
    @pytest.mark.parametrize("path", ["collections", *(path.format("service-areas") for path in PATHS)])
    def test_others_see_nothing(self, client, make_user, roles, path):
        headers = {"Authorization": f"Token {token_of(make_user(roles=roles))}"}
        assert problem(client.get(f"/ogc/{path}", headers=headers))[:2] == (403, "forbidden")

    @pytest.mark.parametrize("path", ["collections", *(path.format("drivers") for path in PATHS)])
    def test_strangers_are_asked_who_they_are(self, client, path):
        answer = client.get(f"/ogc/{path}")
        assert problem(answer)[:2] == (401, "unauthenticated")
        assert answer["WWW-Authenticate"] == BASIC

    def test_a_session_opens_the_pages(self, make_user):
        client = Client()
        client.force_login(make_user(roles=["operator"]))
        assert client.get("/ogc/collections?f=html").status_code == 200
        client.force_login(make_user())
        refused = client.get("/ogc/collections?f=html")
        assert (refused.status_code, refused["Content-Type"]) == (403, "text/html; charset=utf-8")
        assert "This account may not do this." in refused.content.decode()
        assert refused["Cache-Control"] == "no-store"

    def test_whoever_looks_for_a_page_may_log_in(self, client):
        answer = client.get("/ogc/collections/drivers/items?limit=5", headers={"Accept": "text/html"})
        assert answer.status_code == 302
        assert answer["Location"] == "/admin/login/?next=/ogc/collections/drivers/items%3Flimit%3D5"

    def test_a_wrong_key_is_no_reason_to_log_in(self, client):
        answer = client.get("/ogc/collections?f=html", headers=basic("x", "wrong"))
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, BASIC)
        assert answer["Content-Type"] == "text/html; charset=utf-8"


def test_hostile_texts_are_text_in_pages(ask, make_driver, make_user):
    hostile = "<script>alert(1)</script>"
    user = make_user(first_name=hostile, roles=["driver"])
    driver = make_driver(PLACE.latitude, PLACE.longitude, user=user, vehicle_registration="<b>x</b>")
    for path in ("collections/drivers/items?f=html", f"collections/drivers/items/{driver.pk}?f=html"):
        page = ask(path).content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page
        assert "<b>x</b>" not in page
    for path in ("collections/%3Cscript%3E?f=html", "collections?%3Cscript%3E=1&f=html"):
        page = ask(path).content.decode()
        assert "<script>" not in page
        assert "&lt;script&gt;" in page


def test_the_rides_of_a_table_say_who_drives_in_words(ask, people):
    page = ask("collections/bookings/items?f=html").content.decode()
    assert f"name: {CANARY}" in page
    assert json.loads(ask("collections/bookings/items").content)["features"][0]["properties"]["driver"]
