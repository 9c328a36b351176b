"""Settings: every one is documented, and the documents name none that does not exist."""

import dataclasses
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from mobility.checks import geocoder_can_be, ranking_has_an_engine
from mobility.conf import ConfigurationMistake, Knobs, read_knobs

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = (ROOT / "docs" / "configuration.md").read_text()
READ_BY_SETTINGS = set(
    re.findall(r'env(?:\.\w+)?\(\s*"([A-Z][A-Z_]+)"', (ROOT / "config" / "settings.py").read_text())
) | set(re.findall(r'_database\(\s*"([A-Z_]+)"', (ROOT / "config" / "settings.py").read_text()))
READ_BY_SERVE = set(re.findall(r"\$\{([A-Z_]+):-", (ROOT / "bin" / "serve").read_text())) - {"PYTHON"}


def shown(value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


@pytest.mark.parametrize("field", dataclasses.fields(Knobs), ids=lambda f: f.name)
def test_every_knob_is_documented_with_its_default(field):
    line = next(x for x in DOCUMENT.splitlines() if f"`CARECONNECT_{field.name.upper()}`" in x and x.startswith("|"))
    cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
    demo = field.metadata["demo"]
    assert cells[1:] == [shown(field.default), shown(demo) if demo != field.default else "", field.metadata["what"]]


def test_every_variable_the_settings_read_is_documented():
    assert len(READ_BY_SETTINGS) > 15
    for name in READ_BY_SETTINGS | READ_BY_SERVE:
        assert f"`{name}`" in DOCUMENT, name


def test_the_example_file_names_every_variable():
    example = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^#? ?([A-Z][A-Z_]+)=", example, re.MULTILINE))
    knobs = {f"CARECONNECT_{f.name.upper()}" for f in dataclasses.fields(Knobs)}
    assert named == (READ_BY_SETTINGS | READ_BY_SERVE | knobs) - {"ENV_FILE", "DB_POOL"}


def test_documents_name_no_variable_that_does_not_exist():
    knobs = {f"CARECONNECT_{f.name.upper()}" for f in dataclasses.fields(Knobs)} | {"CARECONNECT_ENV"}
    for document in [ROOT / "README.md", ROOT / ".env.example", *(ROOT / "docs").rglob("*.md")]:
        for name in re.findall(r"CARECONNECT_[A-Z_]+[A-Z]", document.read_text()):
            assert name in knobs, f"{name} in {document.name}"


def test_knobs_are_read_from_the_environment():
    read = read_knobs({"CARECONNECT_SEARCH_RADIUS_M": "5000", "CARECONNECT_AUTO_ASSIGN": "yes"}, demo=False)
    assert (read.search_radius_m, read.auto_assign, read.candidate_count) == (5000.0, True, 5)


@pytest.mark.parametrize(
    ("name", "value"),
    [("SEARCH_RADIUS_M", "inf"), ("SEARCH_RADIUS_M", "0"), ("CANDIDATE_COUNT", "2.5"), ("AUTO_ASSIGN", "maybe"),
     ("GUEST_RIDES", "yes"), ("NO_SUCH_THING", "1"), ("STALE_AFTER_S", "")],
)  # fmt: skip
def test_a_knob_that_cannot_be_used_is_named(name, value):
    with pytest.raises(ConfigurationMistake, match=f"CARECONNECT_{name}"):
        read_knobs({f"CARECONNECT_{name}": value}, demo=False)


READER = """
import json, os, sys, traceback
import config.settings

for name in [name for name in sys.modules if name.partition(".")[0] in {"config", "mobility", "geo"}]:
    del sys.modules[name]
for line in sys.stdin:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writing, 2)
        os.environ.update(json.loads(line))
        try:
            import config.settings
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with open(reading) as said:
        text = said.read()
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text]), flush=True)
"""


def settings_start(**environment: str) -> str:
    """The last line of what a process says that reads the settings with these variables; empty when it does well."""
    process = _reader_of_settings()
    process.stdin.write(json.dumps(environment) + "\n")
    process.stdin.flush()
    status, said = json.loads(process.stdout.readline())
    assert (status == 0) == (said == ""), said
    return said.strip().rsplit("\n", 1)[-1]


@cache
def _reader_of_settings() -> "subprocess.Popen[str]":
    """A process that has imported what the settings import, and reads them in a child of its own for every line."""
    return subprocess.Popen(
        [sys.executable, "-c", READER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    "url",
    ["localhost:5000", "file:///etc/passwd", "ftp://localhost", "http://", "http://:5000", "http://localhost:port",
     "http://localhost:99999", "http://localhost:5000/?key=1", "http://localhost/#here"],
)  # fmt: skip
def test_the_address_of_an_engine_must_be_one(url):
    assert "OSRM_URL must be like http://localhost:5000" in settings_start(OSRM_URL=url)
    assert "VALHALLA_URL must be like http://localhost:5000" in settings_start(VALHALLA_URL=url)


@pytest.mark.parametrize("url", ["", "http://localhost:5000", "https://user:pass@routes.example.org/osrm/"])
def test_addresses_of_engines(url):
    assert settings_start(OSRM_URL=url) == ""
    assert settings_start(VALHALLA_URL=url) == ""


def test_two_engines_are_one_too_many():
    assert "both set" in settings_start(OSRM_URL="http://localhost:1", VALHALLA_URL="http://localhost:2")


@pytest.mark.parametrize(
    ("ranking", "url", "warned"), [("eta", "", True), ("eta", "http://x", False), ("distance", "", False)]
)
def test_a_ranking_that_has_no_engine_is_warned_about(settings, ranking, url, warned):
    settings.MOBILITY = dataclasses.replace(settings.MOBILITY, ranking=ranking)
    settings.OSRM_URL = url
    assert [message.id for message in ranking_has_an_engine()] == (["mobility.W002"] if warned else [])


def test_nominatim_wants_to_know_who_asks():
    assert "GEOCODER=nominatim needs GEOCODER_USER_AGENT" in settings_start(GEOCODER="Nominatim")
    bounds = {"GEOCODER_BOUNDS": "16.3,-35,33.1,-22"}
    assert settings_start(GEOCODER="nominatim", GEOCODER_USER_AGENT="us (ops@example.org)", **bounds) == ""


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("GEOCODER_OPTIONS", "{", "must be a JSON object"), ("GEOCODER_OPTIONS", "[1]", "must be a JSON object"),
        ("GEOCODER_TIMEOUT_S", "0", "above 0"), ("GEOCODER_RATE_PER_S", "-1", "above 0"),
        ("GEOCODER_WAIT_S", "inf", "above 0"), ("GEOCODER_WAIT_S", "long", "above 0"),
        ("GEOCODER_BOUNDS", "1,2,3", "west,south,east,north"),
        ("GEOCODER_BOUNDS", "1,2,3,nan", "GEOCODER_BOUNDS"),
    ],
)  # fmt: skip
def test_a_geocoders_setting_that_cannot_be_used_is_named(variable, value, why):
    said = settings_start(**{variable: value})
    assert variable in said
    assert why in said


@pytest.mark.parametrize(
    ("geocoder", "options", "rate", "why"),
    [
        ("", {"nonsense": 1}, 1, None), ("gazetteer", {}, 1, None), ("photon", {}, 5, None),
        ("nominatim", {}, 1, None), ("nominatim", {"domain": "nominatim.example.org"}, 50, None),
        ("nominatim", {}, 2, "allows one request a second"), ("nowhere", {}, 1, "geopy knows no service"),
        ("photon", {"nonsense": 1}, 1, "does not take these options"),
    ],
)  # fmt: skip
def test_a_geocoder_that_cannot_be_stops_the_start(settings, geocoder, options, rate, why):
    settings.GEOCODER, settings.GEOCODER_OPTIONS, settings.GEOCODER_RATE_PER_S = geocoder, options, rate
    settings.GEOCODER_USER_AGENT = "careconnect-tests (ops@example.org)"
    messages = geocoder_can_be()
    assert [message.id for message in messages] == (["mobility.E003"] if why else [])
    assert why is None or why in messages[0].msg
