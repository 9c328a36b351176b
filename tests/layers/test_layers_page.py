"""The page of map layers, without a browser."""

import html
import re

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from mobility.tiles.catalog import CATALOG
from tests.rest import empty_cache, token_of

__all__ = ["empty_cache"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def page(make_user):
    """page(**fields): the answer of the page for a new user like this."""

    def get(**fields):
        client = Client()
        client.force_login(make_user(**fields))
        return client.get("/tiles/")

    return get


@pytest.mark.parametrize("fields", [{"is_staff": True}, {"roles": ["operator"]}])
def test_operators_see_every_layer(page, fields):
    answer = page(**fields)
    assert answer.status_code == 200
    content = html.unescape(answer.content.decode())
    for layer in CATALOG.values():
        for shown in (
            layer.layer.title,
            layer.layer.about,
            layer.tilejson_path,
            *(w for f in layer.described.items() for w in f),
        ):
            assert shown in content, shown


@pytest.mark.parametrize("fields", [{}, {"roles": ["driver"]}])
def test_others_are_asked_to_log_in_as_one(page, fields):
    answer = page(**fields)
    assert (answer.status_code, answer["Location"]) == (302, "/admin/login/?next=/tiles/")


def test_strangers_and_tokens_are_asked_to_log_in(client, make_user):
    headers = {"Authorization": f"Token {token_of(make_user(is_staff=True))}"}
    for answer in (client.get("/tiles/"), client.get("/tiles/", headers=headers)):
        assert (answer.status_code, answer["Location"]) == (302, "/admin/login/?next=/tiles/")


def test_the_page_is_only_read_and_kept_by_nobody(page, client):
    assert page(is_staff=True)["Cache-Control"] == "no-store"
    assert client.post("/tiles/").status_code == 405


def test_nothing_but_our_own_files_may_be_loaded(page):
    answer = page(is_staff=True)
    policy = dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "worker-src", "style-src", "connect-src")} == {"'self'"}
    assert "unsafe" not in answer["Content-Security-Policy"]
    content = answer.content.decode()
    assert not re.findall(r"<script(?![^>]*\bsrc=)", content)
    assert not re.findall(r"<style|\sstyle=|\son\w+=", content)
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", content)


def test_every_file_it_names_is_there(page):
    content = page(is_staff=True).content.decode()
    named = re.findall(r'(?:src|href)="/static/([^"]+)"', content)
    assert len(named) == 6
    for name in (*named, "vendor/maplibre/maplibre-gl.mjs", "vendor/maplibre/maplibre-gl-worker.mjs"):
        assert finders.find(name), name


def test_layers_are_told_apart_and_make_sense():
    assert list(CATALOG) == ["drivers", "bookings", "areas", "demand"]
    for layer in CATALOG.values():
        assert 0 <= layer.min_zoom < layer.max_zoom <= 22
        assert layer.layer.geometry in {"point", "line", "polygon"}
        assert all(sentence.endswith(".") for sentence in [layer.layer.about, *layer.described.values()])
