"""The operators' map and the API's docs in a real browser that reaches nothing but this server."""

import json
import re
import shutil

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from mobility.bookings.services import SYSTEM
from mobility.dispatch.driving import start_ride
from mobility.dispatch.services import find_driver
from mobility.locations.seeds import DEMO_PASSWORD
from mobility.models import Booking, DriverLocation, ServiceArea

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("committed_db")]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = [
    "--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
    "--disable-quic",
]  # fmt: skip


class Watched:
    """A page, and everything that went wrong on it."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page, self.origin = page, origin
        self.trouble: list[str] = []
        page.on("request", self._on_request)
        page.on("console", lambda m: self.trouble.append(f"console: {m.text}") if m.type == "error" else None)
        page.on("pageerror", lambda error: self.trouble.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (self.trouble.append("a dialog opened"), dialog.dismiss()))
        page.on("response", lambda r: self.trouble.append(f"{r.status} {r.url}") if r.status >= 400 else None)

    def _on_request(self, request) -> None:
        if not request.url.startswith((f"{self.origin}/", "data:", "blob:")):
            self.trouble.append(f"left the host: {request.url}")

    def open(self, path: str) -> Page:
        """Go to a path of the server."""
        self.page.goto(self.origin + path)
        return self.page


@pytest.fixture
def browse(server):
    """browse(visit): calls visit with a watched page and returns what went wrong.

    The visit is over before the database is used again: playwright's loop runs in the test's own thread.
    """
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install --no-install-recommends chromium")

    def run(visit) -> list[str]:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
            watched = Watched(browser.new_page(viewport={"width": 1280, "height": 1000}), server.http)
            visit(watched)
            browser.close()
        return watched.trouble

    return run


@pytest.fixture
def operator(make_user):
    return make_user(username="boss", is_staff=True, is_superuser=True, roles=["operator"], password=DEMO_PASSWORD)


def log_in(watched: Watched) -> None:
    page = watched.open("/admin/")
    page.fill("#id_username", "boss")
    page.fill("#id_password", DEMO_PASSWORD)
    page.click("[type=submit]")
    page.wait_for_selector("#user-tools")


def test_a_ride_is_seen_on_a_map_without_tiles_or_a_cdn(browse, operator, make_user, make_driver, ride_request):
    driver = make_driver(-26.2, 28.05)
    driver.user.first_name = "<img src=x onerror=alert(1)>"
    driver.user.save()
    booking_id = find_driver(make_user().pk, "r1", ride_request()).booking_id
    assert Booking.objects.get().driver == driver

    def visit(watched: Watched) -> None:
        log_in(watched)
        page = watched.open(f"/admin/mobility/booking/{booking_id}/change/")
        chart = page.locator(".place-map[data-map-ready]")
        expect(chart.locator(".leaflet-tooltip")).to_have_text(["pickup", "dropoff", str(driver)])
        expect(chart.locator(".place-degree").first).to_be_visible()
        expect(chart.locator(".leaflet-control-scale-line")).to_contain_text("km")
        assert chart.bounding_box()["width"] > 400
        assert page.locator(".place-map img").count() == 0

    assert browse(visit) == []


def test_a_ride_is_assigned_completed_and_cancelled_on_its_page(browse, operator, make_user, make_driver, ride_request):
    first, second = (find_driver(make_user().pk, "r", ride_request()).booking_id for _ in range(2))
    near, far = (make_driver(-26.2041 - n / 100, 28.0473, auto_accept=False, stationary=True) for n in range(2))

    def choose(watched: Watched) -> None:
        log_in(watched)
        page = watched.open(f"/admin/mobility/booking/{first}/change/")
        page.click("text=Assign a driver")
        expect(page.locator("button[name=driver_id]")).to_have_count(2)
        page.click(f"button[name=driver_id][value='{near.pk}']")
        expect(page.locator(".messagelist .success")).to_have_text("The driver is assigned.")
        page.click("text=Assign another driver")
        page.fill("#desk-driver", str(far.pk))
        page.press("#desk-driver", "Enter")
        expect(page.locator(".messagelist .success")).to_have_text("The driver is assigned.")
        page = watched.open(f"/admin/mobility/booking/{second}/change/")
        page.click("text=Assign a driver")
        page.fill("#desk-driver", str(far.pk))
        page.press("#desk-driver", "Enter")
        expect(page.locator(".messagelist .error")).to_have_text("This driver has a live ride.")
        page.click("summary:has-text('Cancel the ride')")
        page.fill("#desk-reason", "<b>called off</b>")
        page.click(".desk-danger")
        expect(page.locator(".messagelist .success")).to_have_text("The ride is cancelled.")
        expect(page.locator(".desk-command")).to_have_count(0)

    def finish(watched: Watched) -> None:
        log_in(watched)
        page = watched.open(f"/admin/mobility/booking/{first}/change/")
        page.click("summary:has-text('Complete the ride')")
        page.click("text='Complete'")
        expect(page.locator(".messagelist .success")).to_have_text("The ride is completed.")

    assert browse(choose) == []
    assert Booking.objects.get(pk=first).driver == far
    assert Booking.objects.get(pk=second).cancellation_reason == "<b>called off</b>"
    start_ride(first, SYSTEM)
    assert browse(finish) == []
    assert Booking.objects.get(pk=first).status == "completed"


def test_a_stationary_driver_is_moved_with_a_click_and_by_typing(browse, operator, make_driver):
    driver = make_driver(-26.2041, 28.0473, stationary=True)

    def click(watched: Watched) -> None:
        log_in(watched)
        page = watched.open(f"/admin/mobility/driver/{driver.pk}/change/")
        chart = page.locator(".place-map[data-map-ready]")
        box = chart.bounding_box()
        chart.click(position={"x": box["width"] / 2 + 100, "y": box["height"] / 2})
        expect(page.locator("#location-0 [data-axis=latitude]")).to_have_value(re.compile(r"^-26\.20"))
        page.click("[name=_continue]")
        page.wait_for_selector(".messagelist .success")

    def type_it(watched: Watched) -> None:
        log_in(watched)
        page = watched.open(f"/admin/mobility/driver/{driver.pk}/change/")
        page.locator(".place-map[data-map-ready]").wait_for()
        page.fill("#location-0 [data-axis=latitude]", "-25.5")
        page.fill("#location-0 [data-axis=longitude]", "29.25")
        page.click("[name=_continue]")
        page.wait_for_selector(".messagelist .success")

    assert browse(click) == []
    moved = DriverLocation.objects.get().position
    assert 28.05 < moved.x < 28.06
    assert moved.y == pytest.approx(-26.2041, abs=0.0005)
    assert browse(type_it) == []
    assert DriverLocation.objects.get().position.coords == (29.25, -25.5)


def test_the_docs_and_pages_need_no_network(browse):
    def visit(watched: Watched) -> None:
        page = watched.open("/api/v1/docs/")
        page.wait_for_selector(".opblock")
        page.locator("#operations-drivers-drivers .opblock-summary").click()
        expect(page.locator("#operations-drivers-drivers")).to_contain_text("bbox")
        watched.open("/api/v1/problems/#ride_over")
        watched.open("/")

    assert browse(visit) == []


def test_an_area_is_drawn_on_the_map_and_a_bow_tie_stays_on_it(browse, operator):
    """Corner by corner, as a person does; the second time across itself."""
    seen = {}

    def draw(page, corners):
        chart = page.locator(".area-map[data-map-ready]")
        chart.scroll_into_view_if_needed()
        page.click(".leaflet-draw-draw-polygon")
        box = chart.bounding_box()
        for number, (x, y) in enumerate(corners, 1):
            page.mouse.move(box["x"] + x, box["y"] + y)
            while chart.locator(".leaflet-editing-icon").count() < number:  # it takes no second click in 50 ms
                page.mouse.click(box["x"] + x, box["y"] + y)
        page.locator(".leaflet-draw-actions a", has_text="Finish").click()

    def visit(watched: Watched) -> None:
        log_in(watched)
        page = watched.open("/admin/mobility/servicearea/add/")
        page.fill("#id_name", "Drawn")
        draw(page, [(200, 100), (500, 300), (500, 100), (200, 300)])
        expect(page.locator(".area-count")).to_have_text("1 polygon.")
        page.click("input[name=_save]")
        expect(page.locator(".errorlist")).to_contain_text("self-intersection at")
        expect(page.locator(".area-map path.leaflet-interactive")).to_have_count(1)
        seen["tie"] = json.loads(page.locator(".area-value").input_value())
        page.click(".leaflet-draw-edit-remove")
        page.locator(".area-map path.leaflet-interactive").click(position={"x": 20, "y": 100}, force=True)
        page.locator(".leaflet-draw-actions a", has_text="Save").click()
        expect(page.locator(".area-count")).to_contain_text("Nothing is drawn yet")
        draw(page, [(200, 100), (500, 100), (500, 300), (200, 300)])
        page.click("input[name=_save]")
        expect(page.locator(".messagelist .success")).to_contain_text("Drawn")
        page.click("text=Drawn >> nth=-1")
        expect(page.locator(".area-map path.leaflet-interactive")).to_have_count(1)

    assert browse(visit) == []
    area = ServiceArea.objects.get()
    assert len(seen["tie"]["coordinates"][0][0]) == 5
    assert (area.area.num_geom, area.area.num_coords) == (1, 5)
