"""Settings: every one is documented, and the documents name none that does not exist."""

import dataclasses
import re
from pathlib import Path

import pytest

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
