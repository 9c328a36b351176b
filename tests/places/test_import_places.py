"""manage.py import_places: all of a file or nothing of it, again and again."""

import json
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from mobility.models import Place
from mobility.places import files
from mobility.places.files import BadRow, rows_of
from mobility.places.lookup import places_named
from tests.environment import ROOT

CSV = """name,lat,lon,label,kind,importance,id
Cape Town,-33.9258,18.4232,"Cape Town, Western Cape",city,0.8,a1
"Long Street",-33.9235,18.4179,"Long Street, Cape Town",street,,a2
Gqeberha,-33.9608,25.6022,,,0.5,a3
"""


def feature(name: object, longitude: object, latitude: object, **members: object) -> dict:
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [longitude, latitude]},
        "properties": {"name": name} | members,
    }


FEATURES = [
    feature("Cape Town", 18.4232, -33.9258, label="Cape Town, Western Cape", kind="city", importance=0.8)
    | {"id": "a1"},
    feature("Long Street", 18.4179, -33.9235, label="Long Street, Cape Town", kind="street", importance=None)
    | {"id": "a2"},
    feature("Gqeberha", 25.6022, -33.9608, importance=0.5, label=None, kind=None) | {"id": "a3"},
]  # fmt: skip
FORMS = {
    "places.csv": CSV,
    "places.CSV": "\ufeff" + CSV.replace("\n", "\r\n").replace("lat,lon", "Latitude,LNG"),
    "places.geojson": json.dumps({"type": "FeatureCollection", "features": FEATURES}, indent=2),
    "lines.geojson": "\n".join(map(json.dumps, FEATURES)),
    "places.geojsonl": "\n\n".join(map(json.dumps, FEATURES)),
    "places.geojsonseq": "".join(f"\x1e{json.dumps(f)}\n" for f in FEATURES),
}


@pytest.fixture
def told(tmp_path, capsys):
    """told(text, *options, name="places.csv"): import such a file; the last line of the output and of the errors."""

    def run(text: str | bytes, *options: str, name: str = "places.csv") -> tuple[str, str]:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        call_command("import_places", str(path), *options)
        return capsys.readouterr()

    return run


def kept() -> list[tuple]:
    return sorted(Place.objects.values_list("source", "source_id", "name", "label", "kind", "importance"))


AS_TOLD = [
    ("places", "a1", "Cape Town", "Cape Town, Western Cape", "city", 0.8),
    ("places", "a2", "Long Street", "Long Street, Cape Town", "street", 0.0),
    ("places", "a3", "Gqeberha", "Gqeberha", "", 0.5),
]


@pytest.mark.django_db
class TestKept:
    @pytest.mark.parametrize("name", FORMS)
    def test_each_form_of_a_file_is_read_alike(self, told, settings, name):
        out, err = told(FORMS[name], "--source", "places", name=name)
        assert kept() == AS_TOLD
        assert out.startswith("3 rows read, 3 new, 0 changed, 0 as they were, 0 bad; ")
        assert err == ""
        settings.GEOCODER = "gazetteer"
        assert places_named("long street", limit=1)[0].at == pytest.approx((-33.9235, 18.4179))

    def test_the_same_again_changes_nothing(self, told):
        told(CSV)
        before = kept()
        assert told(CSV)[0].startswith("3 rows read, 0 new, 0 changed, 3 as they were")
        assert kept() == before

    def test_what_a_newer_file_says_is_taken(self, told):
        told(CSV)
        out, _ = told(CSV.replace("Gqeberha", "Port Elizabeth").replace("25.6022", "25.6"))
        assert out.startswith("3 rows read, 0 new, 1 changed, 2 as they were")
        place = Place.objects.get(source_id="a3")
        assert (place.name, place.folded, place.position.x) == ("Port Elizabeth", "port elizabeth", 25.6)

    def test_places_without_an_id_are_known_again_by_what_they_are(self, told):
        text = "name,lat,lon\nA,1,2\nB,1,2\nA,1,2\n"
        assert told(text)[0].startswith("3 rows read, 2 new, 0 changed, 1 as they were")
        assert told(text)[0].startswith("3 rows read, 0 new")
        assert Place.objects.count() == 2

    def test_replace_takes_away_what_the_file_does_not_have_and_no_other_source(self, told):
        told(CSV)
        told(CSV, "--source", "other")
        out, _ = told("name,lat,lon,id\nGqeberha,-33.96,25.6,a3\n", "--replace", "--source", "places")
        assert "1 new" in out
        assert "3 removed before" in out
        assert [row[:2] for row in kept()] == [("other", "a1"), ("other", "a2"), ("other", "a3"), ("places", "a3")]

    def test_batches_change_nothing(self, told):
        told(CSV, "--batch-size", "1")
        assert kept() == AS_TOLD


BAD = """name,lat,lon,importance,id
Good,-33.9,18.4,,g1
,-33.9,18.4,,b1
Off,-91,18.4,,b2
NaN,nan,18.4,,b3
Text,here,18.4,,b4
"Two
lines",-33.9,18.4,,g2
Important,-33.9,18.4,2,b5
Short,-33.9
"""


@pytest.mark.django_db
class TestRefused:
    def test_a_bad_row_spoils_all_of_it(self, told, capsys):
        with pytest.raises(CommandError, match=r"Nothing was kept: 6 bad rows") as refused:
            told(BAD)
        assert refused.value.returncode == 1
        out, err = capsys.readouterr()
        assert out.startswith("8 rows read, 0 new")
        assert [line.split(":")[0] for line in err.splitlines()] == [f"line {n}" for n in (3, 4, 5, 6, 9, 10)]
        assert "line 3: it has no name" in err
        assert "line 4: latitude must be" in err
        assert kept() == []

    def test_unless_the_command_says_so(self, told):
        out, _ = told(BAD, "--skip-bad")
        assert out.startswith("8 rows read, 2 new, 0 changed, 0 as they were, 6 bad")
        assert [row[2] for row in kept()] == ["Good", "Two lines"]

    def test_only_the_first_ten_are_shown(self, told, capsys):
        with pytest.raises(CommandError):
            told("name,lat,lon\n" + ",1,2\n" * 25)
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 11
        assert lines[-1] == "and 15 more bad rows"

    def test_a_refused_file_replaces_nothing(self, told):
        told(CSV)
        with pytest.raises(CommandError):
            told(BAD, "--replace")
        assert kept() == AS_TOLD

    def test_a_dry_run_keeps_nothing(self, told):
        out, _ = told(CSV, "--dry-run")
        assert "3 new" in out
        assert "dry run" in out
        assert kept() == []

    @pytest.mark.parametrize(
        ("name", "text", "why"),
        [
            ("x.csv", b"name,lat\nA,1\n", "line 1: there is no column lon"),
            ("x.csv", b"", "line 1: there is no column name"),
            ("x.csv", CSV.encode() + b"\xff\xfe,1,2\n", "this is not UTF-8"),
            ("x.geojson", b"{}", "neither a FeatureCollection nor"),
            ("x.geojson", b"<html>", "neither a FeatureCollection nor"),
            ("x.json", b'{"type": "FeatureCollection", "features": 5}', "neither a FeatureCollection nor"),
            ("x.shp", b"", "the ending says how to read it"),
        ],
    )
    def test_a_file_that_cannot_be_read_is_refused(self, told, name, text, why):
        with pytest.raises(CommandError, match=why) as refused:
            told(text, name=name)
        assert refused.value.returncode == 1
        assert kept() == []

    @pytest.mark.parametrize(
        "bad",
        [
            {"type": "Point", "coordinates": [18, -33]},
            feature("Line", 1, 2) | {"geometry": {"type": "LineString", "coordinates": [[1, 2], [3, 4]]}},
            feature("None", 1, 2) | {"geometry": None},
            feature("Text", "east", "south"),
            feature("Flag", True, 2),
            feature(["A", "list"], 1, 2),
            feature("Swapped", -33.9, 99),
            5,
        ],
        ids=lambda bad: str(bad)[:30],
    )
    def test_a_feature_that_is_no_place_is_bad(self, tmp_path, bad):
        path = tmp_path / "x.geojsonl"
        path.write_text(json.dumps(FEATURES[0]) + "\n" + json.dumps(bad) + "\n")
        good, found = rows_of(path)
        assert (good.name, found.line) == ("Cape Town", 2)
        assert isinstance(found, BadRow)

    @pytest.mark.parametrize("options", [["--batch-size", "0"], ["--batch-size", "99999"], ["--source", "x" * 51]])
    def test_a_command_that_cannot_be_understood(self, told, options):
        with pytest.raises(CommandError) as refused:
            told(CSV, *options)
        assert refused.value.returncode == 2
        assert kept() == []


def test_a_file_may_be_one_feature(tmp_path):
    path = tmp_path / "one.geojson"
    path.write_text(json.dumps(FEATURES[0], indent=2))
    assert [row.name for row in rows_of(path)] == ["Cape Town"]


def test_a_line_without_an_end_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LONGEST_LINE", 1000)
    path = tmp_path / "x.geojsonl"
    path.write_text("[" * 5500 + "\n" + json.dumps(FEATURES[0]) + "\n" + "x" * 1000)
    assert [row.line for row in rows_of(path)] == [1, 2, 3]
    assert [type(row) for row in rows_of(path)][0::2] == [BadRow, BadRow]


@pytest.mark.parametrize("name", ["places.csv", "places.geojsonl"])
def test_a_large_file_is_never_in_memory(tmp_path, name):
    """3 MB of places read in less than 1 MB of memory."""
    import tracemalloc

    path = tmp_path / name
    row = "Some place,-33.9,18.4,{n}\n" if name.endswith("csv") else json.dumps(feature("Some", 18.4, -33.9)) + "\n"
    with path.open("w") as file:
        file.write("name,lat,lon,id\n" if name.endswith("csv") else "")
        for n in range(1_000):
            file.write(row.replace("{n}", str(n) + "x" * 2_850) if name.endswith("csv") else " " * 2_700 + row)
    assert path.stat().st_size > 2_800_000
    tracemalloc.start()
    try:
        assert sum(not isinstance(row, BadRow) for row in rows_of(path)) == 1_000
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", "import_places", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_exit_codes_and_plain_counts_in_a_pipe(committed_db, tmp_path):
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(CSV)
    bad.write_text(BAD)
    done = run(str(good))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("3 rows read, 3 new")
    assert "\r" not in done.stdout
    with pytest.raises(CommandError, match="Nothing was kept: 6 bad rows") as refused:
        call_command("import_places", str(bad))
    with pytest.raises(CommandError) as missing:
        call_command("import_places", str(tmp_path / "nowhere.csv"))
    assert (refused.value.returncode, missing.value.returncode) == (1, 2)
    assert Place.objects.count() == 3
