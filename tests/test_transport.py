"""In production the API speaks https only; pages are sent on to it."""

import pytest


@pytest.fixture
def production(settings):
    settings.SECURE_SSL_REDIRECT = True


def test_the_api_over_http_is_refused_and_not_redirected(production, client):
    answer = client.get("/api/v1/me/")
    assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")
    assert answer.json()["code"] == "forbidden"


def test_pages_over_http_are_sent_on(production, client):
    answer = client.get("/admin/login/")
    assert (answer.status_code, answer["Location"]) == (301, "https://testserver/admin/login/")


@pytest.mark.django_db
def test_the_api_over_https_is_served(production, client):
    assert client.get("/api/v1/me/", secure=True).status_code == 401


@pytest.mark.django_db
def test_the_demo_serves_http(client):
    assert client.get("/api/v1/me/").status_code == 401


@pytest.mark.django_db
def test_a_nul_in_a_query_is_refused(client, make_user):
    client.force_login(make_user(is_staff=True, is_superuser=True))
    answer = client.get("/admin/mobility/driver/?status__exact=%00")
    assert answer.status_code == 400


def test_the_schema_is_served_to_many_at_once():
    from concurrent.futures import ThreadPoolExecutor

    from django.test import Client

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: Client().get("/api/v1/schema/"), range(16)))
    assert {a.status_code for a in answers} == {200}
    assert len({a.content for a in answers}) == 1
