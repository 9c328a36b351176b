"""The pages of OGC API in a real browser: map and table, wide and narrow, light and dark, by session and by key."""

import base64
import re

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from mobility.locations.seeds import DEMO_PASSWORD
from mobility.people.keys import issue_api_key
from tests.admin.test_in_browser import CHROMIUM, QUIET, Watched, operator
from tests.layers.conftest import ride
from tests.layers.test_layers_in_browser import HOSTILE, SIZES, middle_of

__all__ = ["operator", "ride"]
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("committed_db")]


@pytest.fixture
def browse(server):
    """browse(visit, size, scheme, headers): calls visit with a watched page and returns what went wrong there."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install --no-install-recommends chromium")

    def run(visit, size="wide", scheme="light", headers=None) -> list[str]:
        width, height = SIZES[size]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
            page = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme, extra_http_headers=headers or {}
            )
            watched = Watched(page, server.http)
            visit(watched)
            browser.close()
        return watched.trouble

    return run


def open_page(watched: Watched, path: str) -> Page:
    """A page of OGC API as an operator who was sent to the login from it; its map has been drawn."""
    page = watched.open(f"/ogc/{path}")
    if "/admin/login/" in page.url:
        page.fill("#id_username", "boss")
        page.fill("#id_password", DEMO_PASSWORD)
        page.click("[type=submit]")
        page.wait_for_url(f"**/ogc/{path}")
    if page.locator("#ogc-map").count():
        page.wait_for_selector("body[data-map-ready]", state="attached")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_page_is_seen(browse, operator, make_driver, ride, tmp_path, size, scheme):
    driver = make_driver(-26.2041, 28.0473)
    for n in range(12):
        make_driver(-26.2 + n / 50, 28.0 + n / 40)
    ride()
    paths = {
        "collections": "collections", "landing": "", "conformance": "conformance", "api": "api",
        "drivers": "collections/drivers", "items": "collections/drivers/items", "rides": "collections/bookings/items",
        "driver": f"collections/drivers/items/{driver.pk}", "refused": "collections/bookings/items?limit=0",
    }  # fmt: skip

    def visit(watched: Watched) -> None:
        for name, path in paths.items():
            page = open_page(watched, path)
            page.screenshot(path=tmp_path / f"{name}-{size}-{scheme}.png", full_page=name != "api")
            assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0], name
        assert page.locator("h1").inner_text() == "A query parameter cannot be used."

    trouble = browse(visit, size, scheme)
    assert all(re.search(r"limit=0|status of 400", line) for line in trouble), trouble


def test_the_map_shows_the_features_of_the_page_and_tells_them_as_text(browse, operator, make_driver):
    driver = make_driver(-26.2, 28.05, vehicle_registration=HOSTILE)
    make_driver(-20, 20)

    def visit(watched: Watched) -> None:
        for path in (f"collections/drivers/items/{driver.pk}", "collections/drivers/items?limit=1"):
            page = open_page(watched, path)
            page.locator("#ogc-map canvas").click(position=middle_of(page, "#ogc-map"))
            popup = page.locator(".maplibregl-popup")
            expect(popup.locator("h3")).to_have_text(f"Drivers {driver.pk}")
            expect(popup.locator("dd").filter(has_text=HOSTILE)).to_have_count(1)
            assert popup.locator("img").count() == 0

    assert browse(visit) == []


def test_one_goes_through_the_pages_by_links_alone(browse, operator, make_driver):
    for _ in range(101):
        make_driver(-26.2, 28.05)

    def visit(watched: Watched) -> None:
        page = open_page(watched, "")
        page.click("text=Collections")
        page.wait_for_url("**/admin/login/**")
        page.fill("#id_username", "boss")
        page.fill("#id_password", DEMO_PASSWORD)
        page.click("[type=submit]")
        page.click("[aria-label='Features of: Drivers']")
        expect(page.locator("tbody tr")).to_have_count(100)
        page.click("text=The next page")
        expect(page.locator("tbody tr")).to_have_count(1)
        page.click("tbody a")
        expect(page.locator("h1")).to_contain_text("Drivers: ")

    assert browse(visit) == []


def test_a_key_opens_the_map_as_well(browse, make_driver):
    make_driver(-26.2, 28.05)
    key = issue_api_key("gis", ["drivers:read"])[1]
    headers = {"Authorization": "Basic " + base64.b64encode(f"gis:{key}".encode()).decode()}

    def visit(watched: Watched) -> None:
        page = open_page(watched, "collections/drivers/items")
        expect(page.locator("#ogc-told")).to_have_text("Click something to see its fields.")
        expect(page.locator("thead")).not_to_contain_text("phone")

    assert browse(visit, headers=headers) == []


def test_without_the_map_library_the_table_is_there(browse, operator, make_driver):
    make_driver(-26.2, 28.05)

    def visit(watched: Watched) -> None:
        open_page(watched, "collections")
        watched.page.route("**/vendor/maplibre/*.mjs", lambda route: route.fulfill(status=404))
        page = watched.open("/ogc/collections/drivers/items")
        expect(page.locator("#ogc-told")).to_contain_text("The map cannot be shown: ")
        expect(page.locator("tbody tr")).to_have_count(1)

    trouble = browse(visit)
    assert all("404" in line for line in trouble), trouble
