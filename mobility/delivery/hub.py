"""The one door to the channel layer, for code on any thread.

A message through it is a hint, never the record: it may be lost, doubled or late, and every receiver can find the truth
in the database. So sending never fails its caller: it is bounded in time, tried again once, counted and logged.
"""

import asyncio
from collections import Counter
from typing import Any

import structlog
from channels.layers import get_channel_layer

log = structlog.get_logger(__name__)
SEND_TIMEOUT_S = 2.0

counts: Counter[str] = Counter()
_server_loop: asyncio.AbstractEventLoop | None = None
_sending: set["asyncio.Task[None]"] = set()


def attach(loop: asyncio.AbstractEventLoop) -> None:
    """Name the event loop that serves sockets in this process."""
    global _server_loop  # noqa: PLW0603 (one per process, like the loop itself)
    _server_loop = loop


def hint(group: str, message: dict[str, Any]) -> None:
    """Send to a group from any thread, without waiting.

    In the server process the server's loop sends. Elsewhere (a management command) a loop of its own does, which only
    a layer between processes can make use of.
    """
    loop = _server_loop
    if loop is not None and not loop.is_closed():
        loop.call_soon_threadsafe(_start, group, message)
    elif _reaches_other_processes():
        asyncio.run(_send(group, message))


def _reaches_other_processes() -> bool:
    return "InMemory" not in type(get_channel_layer()).__name__


def _start(group: str, message: dict[str, Any]) -> None:
    task = asyncio.ensure_future(_send(group, message))
    _sending.add(task)  # the loop itself keeps only weak references
    task.add_done_callback(_sending.discard)


async def _send(group: str, message: dict[str, Any]) -> None:
    layer = get_channel_layer()
    for tried in (1, 2):
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await layer.group_send(group, message)
        except Exception as error:
            counts["failed"] += 1
            log.warning("hint_not_sent", group=group, tried=tried, error=type(error).__name__)
        else:
            counts["sent"] += 1
            return
