"""The map library: one version, by digest, from nowhere in particular; served under its own names."""

import json
import re
import urllib.request

import pytest

from tests.server import ROOT

LOCK = json.loads((ROOT / "package-lock.json").read_text())


def test_one_version_is_wanted_and_locked():
    wanted = json.loads((ROOT / "package.json").read_text())["dependencies"]
    assert list(wanted) == ["maplibre-gl"]
    assert LOCK["packages"][""]["dependencies"] == wanted
    assert LOCK["packages"]["node_modules/maplibre-gl"]["version"] == wanted["maplibre-gl"]
    installed = json.loads((ROOT / "node_modules/maplibre-gl/package.json").read_text())
    assert installed["version"] == wanted["maplibre-gl"]


def test_each_package_is_locked_by_digest_and_not_by_place():
    packages = {name: package for name, package in LOCK["packages"].items() if name}
    assert len(packages) > 10
    for name, package in packages.items():
        assert re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", package["integrity"]), name
        assert not {"resolved", "hasInstallScript", "link"} & set(package), name


@pytest.mark.usefixtures("committed_db")
@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("maplibre-gl.mjs", "text/javascript"),
        ("maplibre-gl-worker.mjs", "text/javascript"),
        ("maplibre-gl.css", "text/css"),
    ],
)
def test_it_is_served_under_its_own_name(server, file, kind):
    with urllib.request.urlopen(f"{server.http}/static/vendor/maplibre/{file}", timeout=10) as answer:
        assert answer.headers.get_content_type() == kind
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.read() == (ROOT / "node_modules/maplibre-gl/dist" / file).read_bytes()
