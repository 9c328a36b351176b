"""The whole of a collection from a real server: complete, filtered and compressed (test_large_export.py: of many)."""

import gzip
import json
from functools import partial

import pytest

from tests.layers.exports import get, load_fleet

__all__ = ["get"]
pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def fleet(admin_url):
    """fleet(drivers): so many drivers."""
    return partial(load_fleet, admin_url)


def test_all_of_them_at_once(server, get, fleet):
    fleet(2500)  # more than two fetches
    answer = get(server, "drivers/?export=1")
    body = json.loads(answer.read())
    assert answer.headers["Content-Type"] == "application/geo+json"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="drivers.geojson"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["ETag"]
    ids = [f["id"] for f in body["features"]]
    assert len(ids) == len(set(ids)) == body["numberReturned"] == 2500
    assert ids == sorted(ids)
    assert body["next"] is None
    page = json.loads(get(server, "drivers/?limit=1000").read())
    assert [p | {"silent": None} for p in _properties(page)] == [p | {"silent": None} for p in _properties(body)[:1000]]


def _properties(body):
    return [f["properties"] for f in body["features"]]


def test_of_none(server, get):
    assert json.loads(get(server, "drivers/?export=1").read()) == {
        "type": "FeatureCollection", "features": [], "numberReturned": 0, "next": None,
    }  # fmt: skip


def test_with_filters_fields_and_gzip(server, get, fleet):
    fleet(1500)
    answer = get(server, "drivers/?export=1&fields=status&bbox=28.1,-27,28.2,-26", **{"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    body = json.loads(gzip.decompress(answer.read()))
    assert 100 <= body["numberReturned"] < 300
    assert _properties(body)[0] == {"status": "available"}
    plain = json.loads(get(server, "drivers/?export=1&fields=status&bbox=28.1,-27,28.2,-26").read())
    assert plain == body
