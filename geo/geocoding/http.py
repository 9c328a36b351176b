"""How geopy's geocoders speak HTTP here: bounded in time and size, to the configured host and nowhere else.

geopy's own adapters follow redirects, read answers of any length, take proxies from the environment, and their timeout
begins anew with every byte (urllib, requests) or needs one more library (aiohttp). This one is httpx, which is here
anyway, on a thread with an event loop: only there can a question be given up wherever it hangs.
"""

import asyncio
import json
import ssl
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import httpx
from geopy.adapters import AdapterHTTPError, BaseAsyncAdapter
from geopy.exc import GeocoderParseError, GeocoderServiceError, GeocoderTimedOut, GeocoderUnavailable

ANSWER_BYTES = 1024 * 1024  # ten places have some 10 KB
GRACE_S = 0.2


class BoundedAdapter(BaseAsyncAdapter):
    """GET, as geopy wants it. Used on `Line`'s thread only."""

    def __init__(self, *, proxies: Any, ssl_context: Any) -> None:
        super().__init__(proxies=proxies, ssl_context=ssl_context)
        self._verify = ssl_context or ssl.create_default_context()  # once: it reads all certificates there are

    async def get_json(self, url: str, *, timeout: float, headers: dict[str, str]) -> Any:  # noqa: ASYNC109 (geopy's)
        """The answer's value. NaN and Infinity are no JSON."""
        text = await self.get_text(url, timeout=timeout, headers=headers)
        try:
            return json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise GeocoderParseError("not JSON") from None

    async def get_text(self, url: str, *, timeout: float, headers: dict[str, str]) -> str:  # noqa: ASYNC109 (geopy's)
        """The answer's text; geopy's exceptions. None of them quotes what was asked or answered."""
        try:
            async with asyncio.timeout(timeout):
                return await self._text(url, headers)
        except TimeoutError:
            raise GeocoderTimedOut("timeout") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise GeocoderUnavailable(type(error).__name__) from None

    async def _text(self, url: str, headers: dict[str, str]) -> str:
        # A connection for each question: they are rare, and an idle one would have died meanwhile.
        async with (
            httpx.AsyncClient(
                timeout=None,  # noqa: S113 (the deadline is around all of it)
                follow_redirects=False,
                trust_env=False,
                verify=self._verify,
                headers={"Accept-Encoding": "identity"},  # nothing to inflate
            ) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise AdapterHTTPError(
                    f"status_{response.status_code}", status_code=response.status_code,
                    headers=response.headers, text="",
                )  # fmt: skip
            content = b""
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) > ANSWER_BYTES:
                    raise GeocoderServiceError("too_long")
            try:
                return content.decode(response.charset_encoding or "utf-8")
            except (ValueError, LookupError):
                raise GeocoderParseError("not text") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


class Line:
    """A thread with an event loop, on which questions wait for their answers."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="geocoding", daemon=True).start()

    def ask(self, question: Callable[[], Any], within_s: float) -> Any:
        """What `question()` gives, awaited; GeocoderTimedOut when that takes longer, whatever it hangs in."""
        future = asyncio.run_coroutine_threadsafe(_awaited(question), self._loop)
        try:
            return future.result(within_s + GRACE_S)
        except TimeoutError:
            future.cancel()
            raise GeocoderTimedOut("timeout") from None


async def _awaited(question: Callable[[], Any]) -> Any:
    answer = question()
    return await answer if asyncio.iscoroutine(answer) else answer


_starting = threading.Lock()
_line: Line | None = None


def line() -> Line:
    """The one thread of this process; it begins with the first question."""
    global _line  # noqa: PLW0603
    with _starting:
        _line = _line or Line()
        return _line
