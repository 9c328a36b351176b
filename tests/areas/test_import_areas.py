"""manage.py import_areas: all of a file or nothing of it, again and again."""

import json
import os
import pty
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from mobility.models import ServiceArea
from tests.environment import ROOT

pytestmark = pytest.mark.django_db
SQUARE = [[28.0, -26.3], [28.2, -26.3], [28.2, -26.1], [28.0, -26.1], [28.0, -26.3]]
BOW_TIE = [[28.0, -26.0], [28.2, -25.8], [28.2, -26.0], [28.0, -25.8], [28.0, -26.0]]
# A square of 0.2 degrees whose outline crosses itself in a corner, by a thousandth of a degree.
CROSSED = [[28.0, -26.0], [28.2, -26.0], [28.2, -25.8], [28.0, -25.8], [28.001, -25.801], [28.002, -25.799], [28, -26]]


def shape(*rings, kind="Polygon"):
    return {"type": kind, "coordinates": list(rings)}


def feature(geometry, **properties):
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def collection(*features, **members):
    return {"type": "FeatureCollection", "features": list(features), **members}


JOZI = feature(shape(SQUARE), name="Jozi", matching_radius_m=5_000)
CAPE = feature(shape([[[18, -34], [19, -34], [19, -33], [18, -34]]], kind="MultiPolygon"), name="Cape")


@pytest.fixture
def told(tmp_path, capsys):
    """told(value, *options): import such a file; what was said on both outputs."""

    def run(value, *options):
        path = tmp_path / "areas.geojson"
        path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
        call_command("import_areas", str(path), *options)
        return capsys.readouterr()

    return run


def kept():
    return {a.name: (a.active, a.matching_radius_m, a.area.num_geom) for a in ServiceArea.objects.order_by("name")}


def test_a_file_is_kept_and_the_same_again_changes_nothing(told):
    out, err = told(collection(JOZI, CAPE))
    assert out == "2 areas read, 2 new, 0 changed, 0 as they were, 0 repaired, 0 bad\n"
    assert err == ""
    assert kept() == {"Cape": (True, None, 1), "Jozi": (True, 5_000, 1)}
    before = list(ServiceArea.objects.order_by("pk").values())
    assert told(collection(JOZI, CAPE)).out.startswith("2 areas read, 0 new, 0 changed, 2 as they were")
    assert list(ServiceArea.objects.order_by("pk").values()) == before


def test_a_feature_alone_and_a_byte_order_mark(told):
    told(b"\xef\xbb\xbf" + json.dumps(JOZI).encode())
    assert list(kept()) == ["Jozi"]


def test_one_of_the_same_name_is_updated_and_keeps_what_the_file_does_not_say(told):
    told(collection(JOZI))
    ServiceArea.objects.update(active=False)
    larger = [[27.9, -26.3], *SQUARE[1:-1], [27.9, -26.3]]
    assert "1 changed" in told(collection(feature(shape(larger), name="Jozi"))).out
    assert kept() == {"Jozi": (False, 5_000, 1)}
    assert ServiceArea.objects.get().area.extent[0] == 27.9
    told(collection(feature(shape(larger), name="Jozi", matching_radius_m=None)))
    assert kept() == {"Jozi": (False, None, 1)}


def test_other_fields_and_inactive(told):
    told(
        collection(feature(shape(SQUARE), NAME="  Jozi ", reach=700)),
        "--name-field=NAME", "--radius-field=reach", "--inactive",
    )  # fmt: skip
    assert kept() == {"Jozi": (False, 700, 1)}
    told(collection(JOZI))
    assert kept()["Jozi"][0] is False
    ServiceArea.objects.update(active=True)
    told(collection(JOZI), "--inactive")
    assert kept()["Jozi"][0] is False


def test_replace_removes_the_others(told):
    told(collection(JOZI, CAPE))
    assert told(collection(CAPE), "--replace").out.endswith(", 1 removed\n")
    assert list(kept()) == ["Cape"]


def test_a_dry_run_keeps_nothing(told):
    told(collection(JOZI))
    out = told(collection(CAPE), "--replace", "--dry-run").out
    assert "1 new" in out
    assert "1 removed" in out
    assert out.endswith("Nothing was kept: this was a dry run.\n")
    assert list(kept()) == ["Jozi"]


def test_rings_turn_as_the_rfc_has_it_and_heights_are_dropped(told):
    hole = [[28.05, -26.25], [28.05, -26.2], [28.1, -26.2], [28.05, -26.25]]
    clockwise = [[*at, 1_700.5] for at in reversed(SQUARE)]
    told(collection(feature(shape(clockwise, hole[::-1]), name="Jozi")))
    area = ServiceArea.objects.get().area
    assert not area.hasz
    assert area[0][0].is_counterclockwise
    assert not area[0][1].is_counterclockwise
    assert area.area == pytest.approx(0.04 - 0.00125)


def test_what_crosses_itself_a_little_is_repaired(told):
    out, err = told(collection(feature(shape(CROSSED), name="Crossed")))
    assert "1 new" in out
    assert "1 repaired" in out
    assert err.startswith("feature 1 (Crossed): repaired, self-intersection at 28.00")
    area = ServiceArea.objects.get().area
    assert area.valid
    assert area.area == pytest.approx(0.04, rel=0.01)


REFUSED = {
    "bow tie": (shape(BOW_TIE), "self-intersection at 28.100000, -25.900000; repairing it would change 100.0%"),
    "crs": (shape(SQUARE) | {"crs": {"type": "name", "properties": {"name": "EPSG:3857"}}}, "its crs is EPSG:3857"),
    "point": ({"type": "Point", "coordinates": [28, -26]}, "its geometry is Point"),
    "none": (None, "it has no geometry"),
    "empty": (shape(kind="MultiPolygon"), "it is empty"),
    "no ring": (shape(), "no ring"),
    "open": (shape(SQUARE[:-1]), "ring 1: not closed"),
    "short": (shape(SQUARE[:3]), "ring 1: a ring has four positions at least"),
    "line": (shape([[28, -26], [29, -26], [28, -26], [28, -26]]), "at 28.000000, -26.000000"),
    "flat": (shape([[28, -26], [28, -26], [28, -26], [28, -26]]), "too few points"),
    "metres": (shape([[3_117_000, -3_000_000]] * 4), "position 1: latitude must be a finite number"),
    "swapped": (shape([[28, -126.3], *SQUARE[1:]]), "latitude must be"),
    "text": (shape([["28", "-26"], *SQUARE[1:]]), "position 1: not a longitude and a latitude"),
    "bool": (shape([[True, False], *SQUARE[1:]]), "position 1: not a longitude"),
    "huge": (shape([[10**400, 0], *SQUARE[1:]]), "position 1: a number is too large"),
    "antimeridian": (
        shape([[179, -18], [-179, -18], [-179, -16], [179, -16], [179, -18]]),
        "cut it at the antimeridian",
    ),
    "second": (shape([SQUARE], [SQUARE[:3]], kind="MultiPolygon"), "polygon 2, ring 1"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_bad_shape_spoils_the_file_and_is_named(told, capsys, what):
    geometry, reason = REFUSED[what]
    with pytest.raises(CommandError, match="Nothing was kept: 1 of 2 features are bad") as stopped:
        told(collection(JOZI, feature(geometry, name="Bad one")))
    assert stopped.value.returncode == 1
    err = capsys.readouterr().err
    assert err.startswith("feature 2 (Bad one): ")
    assert reason in err
    assert kept() == {}


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({}, "its property name is no name"), ({"name": 5}, "no name"), ({"name": " "}, "no name"),
        ({"name": "x" * 101}, "no name"), ({"name": "a\x00"}, "no name"), ({"name": "Jozi"}, "the same name"),
        ({"name": "b", "matching_radius_m": 0}, "not a number of metres"),
        ({"name": "b", "matching_radius_m": "5"}, "not a number of metres"),
        ({"name": "b", "matching_radius_m": 200_001}, "not a number of metres"),
        ({"name": "b", "matching_radius_m": True}, "not a number of metres"),
    ],
)  # fmt: skip
def test_a_bad_property_too(told, capsys, properties, reason):
    with pytest.raises(CommandError):
        told(collection(JOZI, feature(shape(SQUARE), **properties)), "--replace")
    assert reason in capsys.readouterr().err
    assert kept() == {}


def test_without_repairing(told, capsys):
    with pytest.raises(CommandError):
        told(collection(feature(shape(CROSSED), name="Crossed")), "--no-repair")
    assert "feature 1 (Crossed): self-intersection at 28.00" in capsys.readouterr().err
    assert kept() == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"{", "not JSON"), (b"[]", "not GeoJSON"), (b'{"type":"Topology"}', "neither a FeatureCollection"),
        (b"\xff", "not UTF-8"), (b'{"type":"FeatureCollection","features":[]}', "no feature"),
        (json.dumps(collection(JOZI)).replace("28.0", "NaN").encode(), "NaN is not a number"),
        (b"[" * 100_000, "nested too deep"),
        (json.dumps(collection(JOZI, crs={"properties": {"name": "urn:ogc:def:crs:EPSG::2054"}})).encode(), "its crs"),
    ],
)  # fmt: skip
def test_what_is_no_geojson_is_refused(told, text, reason):
    with pytest.raises(CommandError, match=f"Nothing was kept: .*{reason}") as stopped:
        told(text)
    assert stopped.value.returncode == 1
    assert kept() == {}


def test_wgs84_by_its_old_name_is_wgs84(told):
    told(collection(JOZI, crs={"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}))
    assert list(kept()) == ["Jozi"]


def test_the_exit_codes_and_the_plain_counts_of_a_pipe(tmp_path):
    good, bad = tmp_path / "good.geojson", tmp_path / "bad.geojson"
    good.write_text(json.dumps(collection(JOZI)))
    bad.write_text("{}")
    done = subprocess.run(
        [sys.executable, "manage.py", "import_areas", str(good), "--dry-run"], cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "\r" not in done.stdout
    for path, code in ((bad, 1), (tmp_path / "none.geojson", 2)):
        with pytest.raises(CommandError) as refused:
            call_command("import_areas", str(path))
        assert refused.value.returncode == code


def test_progress_on_a_terminal(tmp_path):
    path = tmp_path / "areas.geojson"
    path.write_text(json.dumps(collection(JOZI, CAPE)))
    screen, terminal = pty.openpty()
    done = subprocess.run(
        [sys.executable, "manage.py", "import_areas", str(path), "--dry-run"], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=terminal, check=True, timeout=60,
    )  # fmt: skip
    os.close(terminal)
    shown = os.read(screen, 10_000)
    os.close(screen)
    assert b"\r1 of 2 areas" in shown
    assert b"\r2 of 2 areas" in shown
    assert done.stdout.startswith(b"2 areas read, 2 new")
