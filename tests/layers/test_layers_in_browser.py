"""The page of map layers in a real browser, with real tiles out of the database (tests/layers/urls.py)."""

import re
from collections.abc import Iterator

import psycopg
import pytest
from playwright.sync_api import Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from mobility.locations.seeds import DEMO_PASSWORD
from tests.admin.test_in_browser import CHROMIUM, QUIET, Watched, operator
from tests.server import Server, serving

__all__ = ["operator"]
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("committed_db")]
HOSTILE = "<img src=x onerror=alert(1)>"
SIZES = {"wide": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def tiles(tmp_path_factory) -> Iterator[Server]:
    """The service with a small tile server in front."""
    with serving(tmp_path_factory.mktemp("tiles"), DJANGO_SETTINGS_MODULE="tests.layers.settings") as running:
        yield running


@pytest.fixture
def browse(tiles):
    """browse(visit, size, scheme): calls visit with a watched page and returns what went wrong there."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install --no-install-recommends chromium")

    def run(visit, size="wide", scheme="light") -> list[str]:
        width, height = SIZES[size]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            watched = Watched(page, tiles.http)
            visit(watched)
            browser.close()
        return watched.trouble

    return run


def open_layers(watched: Watched, layer: str) -> Page:
    """The page as an operator who was sent to the login from it."""
    page = watched.open(f"/tiles/#{layer}")
    if "/admin/login/" in page.url:
        assert page.url.endswith("/admin/login/?next=/tiles/" + f"#{layer}")
        page.fill("#id_username", "boss")
        page.fill("#id_password", DEMO_PASSWORD)
        page.click("[type=submit]")
        page.wait_for_selector("body[data-map-ready=drivers]", state="attached")
        watched.open(f"/tiles/#{layer}")
    page.wait_for_selector(f"body[data-map-ready={layer}]", state="attached")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_layers_are_seen(browse, operator, make_driver, tmp_path, size, scheme):
    for n in range(5):
        make_driver(-26.2 + n / 50, 28.0 + n / 40)

    def visit(watched: Watched) -> None:
        page = open_layers(watched, "drivers")
        for layer in ("drivers", "bookings", "areas"):
            page.locator(f"[data-layer={layer}] .layers-show").click()
            page.wait_for_selector(f"body[data-map-ready={layer}]", state="attached")
            page.screenshot(path=tmp_path / f"{layer}-{size}-{scheme}.png")
        page.screenshot(path=tmp_path / f"page-{size}-{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
        assert page.locator("#layers-map").bounding_box()["width"] > 340

    assert browse(visit, size, scheme) == []


def middle(page: Page) -> dict[str, float]:
    return middle_of(page, "#layers-map")


def middle_of(page: Page, element: str) -> dict[str, float]:
    """The middle of a map, from its upper left corner."""
    box = page.locator(f"{element} canvas").bounding_box()
    return {"x": box["width"] / 2, "y": box["height"] / 2}


def test_a_popup_tells_the_fields_as_text(browse, operator, make_driver):
    driver = make_driver(-26.2, 28.05, vehicle_registration=HOSTILE)

    def visit(watched: Watched) -> None:
        page = open_layers(watched, "drivers")
        canvas = page.locator("#layers-map canvas")
        popup = page.locator(".maplibregl-popup")
        canvas.click(position=middle(page))
        expect(popup.locator("h3")).to_have_text(f"drivers {driver.pk}")
        expect(popup.locator("dd").filter(has_text=re.compile(r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$"))).to_have_count(1)
        expect(popup.locator("dd").filter(has_text=HOSTILE)).to_have_count(1)
        assert popup.locator("img").count() == 0
        page.keyboard.press("Escape")
        expect(popup).to_have_count(0)
        expect(canvas).to_be_focused()
        page.keyboard.press("Enter")
        expect(popup.locator("h3")).to_have_text(f"drivers {driver.pk}")
        page.locator("[data-layer=areas] .layers-show").press("Enter")
        page.wait_for_selector("body[data-map-ready=areas]", state="attached")
        expect(popup).to_have_count(0)
        canvas.click(position=middle(page))
        expect(popup.locator("h3")).to_have_count(1)

    assert browse(visit) == []


def test_the_map_goes_to_the_layer(browse, operator, make_driver):
    """By the bounds its TileJSON states, else by what has been drawn."""
    make_driver(-26.5, 28.4)

    def visit(watched: Watched) -> None:
        page = open_layers(watched, "areas")
        page.reload()  # to where the map begins
        page.wait_for_selector("body[data-map-ready=areas]", state="attached")
        canvas, popup = page.locator("#layers-map canvas"), page.locator(".maplibregl-popup")
        canvas.click(position=middle(page))
        expect(popup).to_have_count(0)
        page.click("#layers-fit")
        page.wait_for_selector("body[data-map-ready=areas]", state="attached")
        canvas.click(position=middle(page))
        expect(popup.locator("h3")).to_have_count(1)
        page = open_layers(watched, "drivers")
        canvas.click(position=middle(page))
        expect(popup.locator("h3")).to_have_count(1)

    assert browse(visit) == []


def test_the_map_changes_its_colours_with_the_page(browse, operator, make_driver):
    make_driver(-26.2, 28.05)

    def ground(page: Page) -> bytes:
        box = page.locator("#layers-map canvas").bounding_box()
        return page.screenshot(clip={"x": box["x"] + 20, "y": box["y"] + 20, "width": 4, "height": 4})

    def visit(watched: Watched) -> None:
        page = open_layers(watched, "drivers")
        light = ground(page)
        page.emulate_media(color_scheme="dark")
        page.evaluate("delete document.body.dataset.mapReady")
        page.wait_for_selector("body[data-map-ready=drivers]", state="attached")
        assert ground(page) != light
        page.emulate_media(color_scheme="light")
        page.evaluate("delete document.body.dataset.mapReady")
        page.wait_for_selector("body[data-map-ready=drivers]", state="attached")
        assert ground(page) == light

    assert browse(visit) == []


def test_the_map_follows_what_happens_while_it_is_live(browse, operator, make_driver, admin_url):
    driver = make_driver(-26.2, 28.05, status="available")

    def tile_came(response) -> bool:
        return response.url.endswith(".mvt")

    def status_told(page: Page) -> str:
        page.locator("#layers-map canvas").click(position=middle(page))
        told = page.locator(".maplibregl-popup dd").first.inner_text()
        page.keyboard.press("Escape")
        expect(page.locator(".maplibregl-popup")).to_have_count(0)
        return told

    def redrawn(page: Page) -> None:
        """The next tiles have come, and were drawn."""
        with page.expect_response(tile_came, timeout=12_000):
            pass
        page.evaluate("delete document.body.dataset.mapReady")
        page.wait_for_selector("body[data-map-ready=drivers]", state="attached")

    def visit(watched: Watched) -> None:
        page = open_layers(watched, "drivers")
        assert status_told(page) == "available"
        with psycopg.connect(admin_url, autocommit=True) as admin:
            admin.execute("UPDATE mobility_driver SET status = 'offline' WHERE id = %s", [driver.pk])
        redrawn(page)
        redrawn(page)  # the first may have been on its way already
        assert status_told(page) == "offline"
        page.uncheck("#layers-live")
        with pytest.raises(PlaywrightTimeout), page.expect_response(tile_came, timeout=7_000):
            pass

    assert browse(visit) == []


def test_a_layer_that_is_out_of_order_says_so_and_others_go_on(browse, operator, make_driver):
    make_driver(-26.2, 28.05)

    def visit(watched: Watched) -> None:
        page = open_layers(watched, "drivers")
        page.locator("[data-layer=demand] .layers-show").click()
        expect(page.locator("#layers-told")).to_have_text("Demand cannot be shown: the server answered 503.")
        page.locator("[data-layer=areas] .layers-show").click()
        page.wait_for_selector("body[data-map-ready=areas]", state="attached")
        expect(page.locator("#layers-told")).to_have_text("Shown: Service areas.")

    trouble = browse(visit)
    assert len([line for line in trouble if re.match(r"503 .*/tiles/demand\.json$", line)]) == 1
    assert all("503" in line for line in trouble), trouble


def test_without_the_map_library_the_page_says_so(browse, operator, make_driver):
    def visit(watched: Watched) -> None:
        watched.page.route("**/vendor/maplibre/*.mjs", lambda route: route.fulfill(status=404))
        page = watched.open("/tiles/")
        page.fill("#id_username", "boss")
        page.fill("#id_password", DEMO_PASSWORD)
        page.click("[type=submit]")
        expect(page.locator("#layers-told")).to_contain_text("The map cannot be shown: ")
        expect(page.locator("[data-layer=drivers]")).to_contain_text("/tiles/drivers.json")

    trouble = browse(visit)
    assert all("404" in line for line in trouble), trouble


def test_the_page_goes_without_a_login_nowhere(browse):
    def visit(watched: Watched) -> None:
        page = watched.open("/tiles/")
        assert page.url.endswith("/admin/login/?next=/tiles/")

    assert browse(visit) == []
