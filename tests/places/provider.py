"""A small real HTTP server that speaks Nominatim's JSON, and records who asked what and when."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

LICENCE = "Data (c) OpenStreetMap contributors, ODbL 1.0."
# Real places of South Africa; display names shortened.
GROOTE_SCHUUR = {
    "place_id": 1, "licence": LICENCE, "osm_type": "way", "osm_id": 11, "lat": "-33.9412", "lon": "18.4653",
    "class": "amenity", "type": "hospital", "importance": 0.41, "name": "Groote Schuur Hospital",
    "display_name": "Groote Schuur Hospital, Main Road, Observatory, Cape Town, 7925, South Africa",
}  # fmt: skip
MAIN_ROAD_CAPE_TOWN = {
    "place_id": 2, "licence": LICENCE, "osm_type": "way", "osm_id": 12, "lat": "-33.9400", "lon": "18.4700",
    "class": "highway", "type": "secondary", "importance": 0.3, "name": "Main Road",
    "display_name": "Main Road, Observatory, Cape Town, South Africa",
}  # fmt: skip
MAIN_ROAD_LONDON = {
    "place_id": 3, "licence": LICENCE, "osm_type": "way", "osm_id": 13, "lat": "51.4000", "lon": "-0.1000",
    "class": "highway", "type": "primary", "importance": 0.6, "name": "Main Road",
    "display_name": "Main Road, London, United Kingdom",
}  # fmt: skip
MAIN_STREET_JOBURG = {
    "place_id": 4, "licence": LICENCE, "osm_type": "way", "osm_id": 14, "lat": "-26.2041", "lon": "28.0473",
    "class": "highway", "type": "residential", "importance": 0.2, "name": "Main Street",
    "display_name": "123 Main Street, Marshalltown, Johannesburg, 2107, South Africa",
}  # fmt: skip
SEARCHES = {
    "groote schuur": [GROOTE_SCHUUR],
    "main road": [MAIN_ROAD_LONDON, MAIN_ROAD_CAPE_TOWN],
}  # fmt: skip


class Asked:
    """One request: when it came (monotonic), its path, parameters and headers."""

    def __init__(self, path: str, headers: Any) -> None:
        parts = urlsplit(path)
        self.at = time.monotonic()
        self.path, self.headers = parts.path, dict(headers)
        self.params = {name: values[0] for name, values in parse_qs(parts.query).items()}


class Provider:
    """Where it listens, what it was asked, and what it says. `answer` (status, headers, body) replaces all."""

    def __init__(self, port: int) -> None:
        self.domain = f"127.0.0.1:{port}"
        self.options = {"domain": self.domain, "scheme": "http"}
        self.asked: list[Asked] = []
        self.answer: tuple[int, dict[str, str], bytes] | None = None
        self.was_asked = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()

    def says(self, status: int, body: bytes | str = b"", **headers: str) -> None:
        """From now on every answer is this."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer = status, named, body.encode() if isinstance(body, str) else body

    def is_well(self) -> None:
        """Answers as Nominatim does."""
        self.answer = None

    def reply(self, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        """What is answered."""
        if self.answer is not None:
            return self.answer
        if asked.path == "/search":
            found: Any = SEARCHES.get(asked.params["q"].lower(), [])[: int(asked.params.get("limit", 10))]
        elif asked.path == "/reverse":
            is_near = abs(float(asked.params["lat"]) + 26.2) < 1 and abs(float(asked.params["lon"]) - 28) < 1
            found = MAIN_STREET_JOBURG if is_near else {"error": "Unable to geocode"}
        else:
            return 404, {}, b"{}"
        return 200, {}, json.dumps(found).encode()


@contextlib.contextmanager
def providing() -> Iterator[Provider]:
    """Serve until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = Asked(self.path, self.headers)
            provider.asked.append(asked)
            provider.was_asked.set()
            provider.may_answer.wait(30)
            status, headers, body = provider.reply(asked)
            with contextlib.suppress(OSError):
                self.send_response(status)
                for name, value in ({"Content-Type": "application/json"} | headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        provider = Provider(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield provider
        finally:
            provider.may_answer.set()
            server.shutdown()
            thread.join()
