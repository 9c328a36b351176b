"""docs/api.md: an example in Python and in JavaScript for every address, and each of them works."""

import re
import subprocess
import sys
import types

import pytest
from django.core.management import call_command
from drf_spectacular.generators import SchemaGenerator
from playwright.sync_api import sync_playwright

from mobility.bookings.services import SYSTEM
from mobility.dispatch.driving import complete_ride, start_ride
from mobility.dispatch.services import find_driver
from mobility.locations.keys import issue_key
from tests.admin.test_in_browser import CHROMIUM, QUIET
from tests.environment import ROOT
from tests.rest import token_of
from tests.server import serving

TEXT = (ROOT / "docs" / "api.md").read_text()
SECTIONS = {part.splitlines()[0]: part for part in re.split(r"^### ", TEXT, flags=re.M)[1:]}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, flags=re.S | re.M)


def test_every_address_has_an_example_in_both():
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    operations = {f"{method.upper()} {path}" for path, found in paths.items() for method in found}
    # The same as by GET, for apps that POST it.
    assert set(SECTIONS) == operations - {"POST /api/v1/track/"}
    for name, section in SECTIONS.items():
        for language in ("python", "js"):
            assert section.count(f"```{language}\n") == 1, name


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("server"), GEOCODER="gazetteer") as running:
        yield running


@pytest.fixture
def names(service, committed_db, tmp_path, make_user, make_driver, ride_request):
    """What the examples call what their reader has."""
    driver = make_driver(-26.2041, 28.0473)

    def ride(ride_id):
        return find_driver(make_user().pk, ride_id, ride_request()).booking_id

    driven = ride("driven")
    start_ride(driven, SYSTEM)
    complete_ride(driven, SYSTEM)
    booked = ride("booked")
    make_driver(-26.2041, 28.0474)
    under_way = ride("under-way")
    start_ride(under_way, SYSTEM)
    stations = tmp_path / "stations.csv"
    stations.write_text('name,label,kind,lat,lon\nPark Station,"Park Station, Johannesburg",station,-26.1975,28.0415\n')
    call_command("import_places", stations, verbosity=0)
    return {
        "BASE": service.http,
        "OPERATOR": f"Token {token_of(make_user(roles=['operator']))}",
        "DRIVER": f"Token {token_of(driver.user)}",
        "DRIVER_ID": driver.pk,
        "FLEET": f"Key {issue_key('fleet')[1]}",
        "PHONE_KEY": issue_key("phone", driver)[1],
        "BOOKING_ID": booked,
        "UNDER_WAY_ID": under_way,
        "DRIVEN_ID": driven,
    }


def test_the_python_runs(names):
    code = "\n".join(blocks("python")).replace('BASE = "https://rides.example.org"', "")
    told = types.ModuleType("examples").__dict__ | names
    exec(compile(code, "docs/api.md", "exec"), told)  # our own document
    assert told["free"] == [f["id"] for f in told["everybody"]["features"] if f["properties"]["status"] == "available"]
    assert {f["id"] for f in told["near"]["features"]} == {f["id"] for f in told["everybody"]["features"]}
    # The tag changes with the clock too, every ten seconds.
    tags = {told[name].headers["ETag"] for name in ("first", "again")}
    assert told["again"].status_code == (304 if len(tags) == 1 else 200)
    assert told["driver"]["id"] == names["DRIVER_ID"]
    assert told["ride"]["id"] == names["BOOKING_ID"]
    assert told["log"][-1]["event"] == "driver_assigned"
    assert [f["properties"]["label"] for f in told["places"]["features"]] == ["Park Station, Johannesburg"]
    assert told["here"]["features"][0]["properties"]["label"] == "Park Station, Johannesburg"
    assert told["tilejson"]["vector_layers"][0]["id"] == "drivers"
    assert told["tile"]


def test_the_javascript_runs(service, names):
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install --no-install-recommends chromium")
    code = "\n".join(blocks("js")).replace('const BASE = "https://rides.example.org";', "")
    code = code.replace("+27821234567", "+27821234568")  # the one that the example registers
    given = "".join(f"const {name} = {value!r};\n" for name, value in names.items())
    told = (
        "{ free, newest, driver, ride, places, here, tilejson, tile: tile.byteLength, status: again.status,"
        " tags: [first, again].map(answer => answer.headers.get('ETag')) }"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page()
        page.goto(f"{service.http}/api/v1/problems/")
        found = page.evaluate(f"async () => {{\n{given}{code}\nreturn {told};\n}}")
        browser.close()
    assert found["free"] == [f["id"] for f in found["newest"]["features"] if f["properties"]["status"] == "available"]
    assert found["status"] == (304 if len(set(found["tags"])) == 1 else 200)
    assert found["driver"]["id"] == names["DRIVER_ID"]
    assert found["ride"]["id"] == names["BOOKING_ID"]
    assert [f["properties"]["label"] for f in found["places"]["features"]] == ["Park Station, Johannesburg"]
    assert found["tile"] > 0


@pytest.mark.slow
def test_the_python_has_right_types(tmp_path):
    given = "OPERATOR = DRIVER = FLEET = PHONE_KEY = ''\nDRIVER_ID = BOOKING_ID = UNDER_WAY_ID = DRIVEN_ID = 1\n"
    module = tmp_path / "examples.py"
    module.write_text(given + "\n".join(blocks("python")))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", "/dev/null", str(module)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
