"""Every layer and field is in the table; tiles and exports are given to whom it names, with the fields it names."""

import gzip
import importlib
import importlib.util
import json
import math
import pkgutil

import mapbox_vector_tile
import pytest
from django.test import Client

import mobility
from mobility.layers.layer import Layer
from mobility.openapi import _document
from mobility.tiles.catalog import CATALOG
from tests.permissions import urls
from tests.permissions.stage import HERE
from tests.permissions.table import NAME, REVIEW, allowed, answer_of, differences, fields_of, table, tried
from tests.permissions.test_http import is_refused

LAYERS = table()["layers"]
EXPORTS = table()["exports"]
ZOOM = 12


def layers():
    """Name -> layer, of every module `layers` of a room."""
    rooms = [f"mobility.{found.name}" for found in pkgutil.iter_modules(mobility.__path__) if found.ispkg]
    modules = [importlib.import_module(f"{room}.layers") for room in rooms if _has_layers(room)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Layer)]
    return {layer.name: layer for layer in found}


def _has_layers(room):
    return importlib.util.find_spec(f"{room}.layers") is not None


def test_every_layer_and_each_of_its_fields_is_listed():
    found = {}
    for name, layer in layers().items():
        fields = " ".join(f"!{f.name}" if f.name in layer.personal else f.name for f in layer.fields)
        found[name] = f"{CATALOG[name].scope if name in CATALOG else ''} | {fields} | {_tile(name)}"
    listed = {
        name: f"{of.get('scope', '')} | {' '.join(word.partition('@')[0] for word in of['fields'].split())}"
        f" | {' '.join(of.get('tile', '').split())}"
        for name, of in LAYERS.items()
    }
    wrong = differences("layers (scope | fields | tile)", found, listed)
    assert not wrong, "\n".join(["", *wrong, REVIEW])


def _tile(name):
    return " ".join(CATALOG[name].fields) if name in CATALOG else ""


@pytest.mark.parametrize("name", LAYERS)
def test_no_tile_tells_of_a_person(name):
    personal = {field.name for field in fields_of(LAYERS[name]["fields"]) if field.personal}
    assert not personal & set(LAYERS[name].get("tile", "").split())


TILES = {name: f"operators key:{of['scope']}" for name, of in LAYERS.items() if "scope" in of}


@pytest.mark.parametrize(("name", "role"), [(name, role) for name, text in TILES.items() for role in tried(text)])
def test_tiles_are_for_operators_and_keys_with_the_scope(on_stage, name, role):
    n = 2**ZOOM
    x = int((HERE.longitude + 180) / 360 * n)
    y = int((1 - math.asinh(math.tan(math.radians(HERE.latitude))) / math.pi) / 2 * n)
    for path in (f"/tiles/{name}.json", f"/tiles/{name}/{ZOOM}/{x}/{y}.mvt"):
        response = Client().get(path, headers=on_stage.headers(role, TILES[name]))
        if role not in allowed(TILES[name]):
            assert is_refused(response, role), f"{role} is answered {response.status_code} at {path}"
            continue
        assert response.status_code == 200, path
        if path.endswith(".mvt"):
            told = response.content
            told = gzip.decompress(told) if response.headers.get("Content-Encoding") == "gzip" else told
            features = mapbox_vector_tile.decode(told)[name]["features"]
            assert features
            wrong = {k for f in features for k in f["properties"]} - set(LAYERS[name]["tile"].split()) - {"id"}
            assert not wrong, f"add to [layers.{name}] tile: {wrong}. {REVIEW}"
        else:
            assert set(response.json()["vector_layers"][0]["fields"]) == set(LAYERS[name]["tile"].split())


# --- exports -----------------------------------------------------------------------------------------------------


def test_every_collection_that_can_be_exported_is_listed():
    described = _document(True)["paths"]
    able = {
        path for path, of in described.items()
        if any(p["name"] == "export" for operation in of.values() for p in operation.get("parameters", []))
    }  # fmt: skip
    found = {path.replace("{id}", "<int:pk>") for path in able}
    wrong = differences("exports", dict.fromkeys(found, "who may?"), dict.fromkeys(EXPORTS, "who may?"))
    assert not wrong, "\n".join(["", *wrong, REVIEW])


@pytest.mark.parametrize(("path", "role"), [(path, role) for path, text in EXPORTS.items() for role in tried(text)])
def test_an_export_is_for_whom_it_is_listed(on_stage, path, role):
    address = urls.path_of(path, on_stage.own(role, path))
    response = Client().get(f"{address}?export=1", headers=on_stage.headers(role, EXPORTS[path]))
    if role not in allowed(EXPORTS[path]):
        # Who may read pages and no export is told that there is no such parameter.
        refused = response.status_code == 400 if role in allowed(table()["http"][f"GET {path}"]) else None
        assert refused or is_refused(response, role), f"{role} is answered {response.status_code}"
        return
    assert response.status_code == 200, f"{role} may, says {NAME}"
    features = json.loads(b"".join(response))["features"]
    fields = answer_of(f"GET {path}")["features[].properties"]
    expected = {field.name for field in fields if field.roles is None or role in field.roles}
    assert features
    assert {name for feature in features for name in feature["properties"]} == expected
