"""Pages of other origins: the listed ones read the API and the tiles, refusals too, with a key and no cookie."""

import http.server
import threading
from collections.abc import Iterator

import httpx
import pytest
from django.conf import settings as django_settings

from mobility.models import User
from mobility.people.keys import issue_api_key
from tests.rest import empty_cache
from tests.server import Server, serving
from tests.test_configuration import settings_start

__all__ = ["empty_cache"]
OURS, OTHER = "https://maps.example.org", "https://evil.example.org"
EXPOSED = {"Content-Crs", "ETag", "Link", "Location", "Retry-After", "X-Truncated-At"}
PREFLIGHT = {
    "Origin": OURS, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization",
}  # fmt: skip


@pytest.fixture
def allowed(settings):
    """One origin is listed."""
    settings.CORS_ALLOWED_ORIGINS = [OURS]


def cors_of(answer) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items() if "access-control" in name.lower()}


@pytest.mark.usefixtures("allowed")
class TestAnswers:
    @pytest.mark.django_db
    @pytest.mark.parametrize(
        ("path", "status"),
        [("/api/v1/me/", 401), ("/api/v1/nothing/", 404), ("/tiles/x.y", 404), ("/ogc/x", 404), ("/ogc/", 200)],
    )
    def test_a_refusal_can_be_read(self, client, path, status):
        answer = client.get(path, headers={"Origin": OURS})
        told = cors_of(answer)
        assert (answer.status_code, told["access-control-allow-origin"]) == (status, OURS)
        assert set(told["access-control-expose-headers"].split(", ")) == EXPOSED
        assert "access-control-allow-credentials" not in told
        assert "origin" in answer["Vary"].lower()

    @pytest.mark.django_db
    @pytest.mark.parametrize(
        "origin",
        [OTHER, "http://maps.example.org", f"{OURS}:444", f"{OURS}.evil.org", "https://xmaps.example.org", "null", "x"],
    )
    def test_another_origin_is_told_nothing(self, client, origin):
        for answer in (
            client.get("/api/v1/me/", headers={"Origin": origin}),
            client.options("/api/v1/me/", headers=PREFLIGHT | {"Origin": origin}),
        ):
            assert cors_of(answer) == {}
            assert "origin" in answer["Vary"].lower()

    @pytest.mark.django_db
    @pytest.mark.parametrize("path", ["/", "/admin/login/", "/tiles/", "/healthz"])
    def test_pages_are_not_for_others(self, client, path):
        assert cors_of(client.get(path, headers={"Origin": OURS})) == {}

    def test_a_preflight_is_answered_without_a_login(self, client):
        answer = client.options("/api/v1/drivers/", headers=PREFLIGHT)
        told = cors_of(answer)
        assert (answer.status_code, answer.content) == (200, b"")
        assert told["access-control-allow-origin"] == OURS
        assert "authorization" in told["access-control-allow-headers"]
        assert told["access-control-allow-methods"] == "GET, POST"
        assert "access-control-allow-credentials" not in told

    def test_the_refusal_of_plain_http_can_be_read_but_its_preflight_is_refused(self, client, settings):
        settings.SECURE_SSL_REDIRECT = True
        for path in ("/api/v1/drivers/", "/tiles/drivers/0/0/0.mvt"):
            answer = client.get(path, headers={"Origin": OURS})
            assert (answer.status_code, cors_of(answer)["access-control-allow-origin"]) == (403, OURS)
            assert client.options(path, headers=PREFLIGHT).status_code == 403
            assert client.options(path, headers=PREFLIGHT, secure=True).status_code == 200

    def test_a_wrong_host_is_refused_readably(self, client):
        answer = client.get("/api/v1/me/", headers={"Origin": OURS, "Host": "else.where"})
        assert (answer.status_code, cors_of(answer)["access-control-allow-origin"]) == (400, OURS)


def test_nobody_is_allowed_unless_it_is_set(client):
    assert django_settings.CORS_ALLOWED_ORIGINS == []
    assert cors_of(client.options("/api/v1/drivers/", headers=PREFLIGHT)) == {}


class TestTheSetting:
    @pytest.mark.parametrize(
        "text",
        ["maps.example.org", f"{OURS}/", f"{OURS}/map", "*", "https://*", "https://*.example.org", "null", "https://",
         "https://Maps.example.org", "HTTPS://maps.example.org", f"{OURS}:443", "http://maps.example.org:80",
         f"{OURS}:port", "ftp://maps.example.org", "https://me@maps.example.org", f"{OURS}?x", f"{OURS} {OTHER}"],
    )  # fmt: skip
    def test_a_typo_stops_the_start(self, text):
        said = settings_start(CORS_ALLOWED_ORIGINS=f"{OTHER},{text}")
        assert f"CORS_ALLOWED_ORIGINS: {text!r} is no origin" in said

    @pytest.mark.parametrize("text", ["", OURS, f"{OURS}, http://localhost:3000", "http://[::1]:8080,https://a.b:8443"])
    def test_origins_are_taken(self, text):
        assert settings_start(CORS_ALLOWED_ORIGINS=text) == ""


# --- on the wire -------------------------------------------------------------------------------------------------


class _Page(http.server.BaseHTTPRequestHandler):
    """An empty page of another origin."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>dashboard</title>")

    def log_message(self, *_args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def origins() -> Iterator[tuple[str, str]]:
    """Two origins beside ours: the first will be listed."""
    hosts = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) for _ in range(2)]
    for host in hosts:
        threading.Thread(target=host.serve_forever, daemon=True).start()
    yield tuple(f"http://127.0.0.1:{host.server_port}" for host in hosts)  # type: ignore[misc]
    for host in hosts:
        host.shutdown()
        host.server_close()


@pytest.fixture(scope="module")
def open_server(origins, tmp_path_factory) -> Iterator[Server]:
    """A server that lists the first of them."""
    with serving(tmp_path_factory.mktemp("cors"), CORS_ALLOWED_ORIGINS=origins[0]) as running:
        yield running


@pytest.mark.usefixtures("committed_db")
def test_the_server_answers_a_listed_origin(open_server, origins):
    key = issue_api_key("dashboard", ["drivers:read"])[1]
    listed, other = origins
    with httpx.Client(base_url=open_server.http) as client:
        question = PREFLIGHT | {"Origin": listed}
        assert client.options("/api/v1/drivers/", headers=question).headers["access-control-allow-origin"] == listed
        answer = client.get("/api/v1/drivers/", headers={"Origin": listed, "Authorization": f"Key {key}"})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, listed)
        assert cors_of(client.get("/api/v1/drivers/", headers={"Origin": other, "Authorization": f"Key {key}"})) == {}


_FETCH = """async ([url, options]) => {
    try {
        const answer = await fetch(url, options);
        return [answer.status, (await answer.json()).code || "ok", answer.headers.get("etag") || ""];
    } catch (error) { return [0, error.name, ""]; }
}"""


@pytest.mark.slow
@pytest.mark.usefixtures("committed_db")
def test_a_browser_lets_the_listed_page_read_and_no_other(open_server, origins, make_user):
    from playwright.sync_api import sync_playwright

    from tests.admin.test_in_browser import CHROMIUM, QUIET

    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install --no-install-recommends chromium")
    key = issue_api_key("dashboard", ["drivers:read"])[1]
    useless = issue_api_key("other", ["geocode"])[1]
    make_user(username="boss", is_staff=True, is_superuser=True, password="a long enough pass")
    drivers = f"{open_server.http}/api/v1/drivers/"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page()
        page.goto(f"{open_server.http}/admin/login/")
        page.fill("#id_username", "boss")
        page.fill("#id_password", "a long enough pass")
        page.click("[type=submit]")
        page.wait_for_selector("#user-tools")

        def fetched(origin: str, **options: object) -> list[object]:
            page.goto(origin)
            return page.evaluate(_FETCH, [drivers, options])

        with_key = {"headers": {"Authorization": f"Key {key}", "If-None-Match": '"x"'}}
        assert fetched(origins[0], **with_key)[:2] == [200, "ok"]
        assert fetched(origins[0], headers={"Authorization": f"Key {useless}"})[:2] == [403, "forbidden"]
        assert fetched(origins[0], headers={"Authorization": "Key x"})[:2] == [401, "unauthenticated"]
        # Without a key the operator's own session, in the same browser, opens nothing.
        assert fetched(origins[0])[:2] == [401, "unauthenticated"]
        assert fetched(origins[0], credentials="include")[:2] == [0, "TypeError"]
        assert fetched(origins[1], **with_key)[:2] == [0, "TypeError"]
        assert fetched(open_server.http + "/", **{})[:2] == [200, "ok"]
        browser.close()
    assert User.objects.count() == 1
