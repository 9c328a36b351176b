"""The one door through which hints travel: to this process's own sockets directly, to other processes over Redis.

A message through it is a hint, never the record: it may be lost, doubled or late, and every receiver can find the truth
in the database. So sending never fails its caller: it is bounded in time, tried again once, counted and logged.

A process subscribes once to each group that one of its sockets is in, and hands what arrives to them itself. Channels'
in-memory layer is not involved: it goes through all channels of the process at every message.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog
from channels.layers import get_channel_layer
from django.conf import settings

log = structlog.get_logger(__name__)
LAYER_TIMEOUT_S = 2.0
PROCESS = secrets.token_hex(8)

Message = dict[str, Any]


class Listener(Protocol):
    """Somebody in this process who wants to hear hints."""

    def heard(self, message: Message) -> None:
        """Take a hint; called on the server's loop and must not block."""


counts: Counter[str] = Counter()
_listeners: dict[str, set[Listener]] = {}
_subscribed: set[str] = set()
_server_loop: asyncio.AbstractEventLoop | None = None
_channel: str | None = None
_tasks: set["asyncio.Task[Any]"] = set()


def attach(loop: asyncio.AbstractEventLoop) -> None:
    """Name the event loop that serves sockets in this process."""
    global _server_loop  # noqa: PLW0603 (one per process, like the loop itself)
    _server_loop = loop


async def join(group: str, listener: Listener) -> None:
    """Hear what is hinted to the group. Without Redis in reach, for now only what this process itself hints."""
    _listeners.setdefault(group, set()).add(listener)
    if settings.REDIS_URL and group not in _subscribed:
        await _subscribe(group)


async def leave(group: str, listener: Listener) -> None:
    """Hear it no more."""
    members = _listeners.get(group, set())
    members.discard(listener)
    if members:
        return
    _listeners.pop(group, None)
    if group in _subscribed:
        _subscribed.discard(group)
        await _reach_layer("unsubscribe", lambda: get_channel_layer().group_discard(group, _channel))


def hint(group: str, message: Message) -> None:
    """Send to a group from any thread, without waiting.

    In the server process the server's loop sends. Elsewhere (a management command) a loop of its own does.
    """
    loop = _server_loop
    if loop is not None and not loop.is_closed():
        loop.call_soon_threadsafe(_tell, group, message)
    elif settings.REDIS_URL:
        asyncio.run(_publish(group, message))


async def subscribe_again() -> None:
    """Subscribe to the groups that could not be when they were joined, because Redis was away."""
    for group in [g for g in _listeners if g not in _subscribed] if settings.REDIS_URL else ():
        if not await _subscribe(group):
            return


async def drained() -> None:
    """Wait until what was handed over to be published is; each is bounded in time."""
    await asyncio.sleep(0)  # what another thread handed to the loop
    if _tasks:
        await asyncio.wait(_tasks, timeout=2 * LAYER_TIMEOUT_S)


def _tell(group: str, message: Message) -> None:
    _tell_here(group, message)
    if settings.REDIS_URL:
        _in_background(_publish(group, message))


def _tell_here(group: str, message: Message) -> None:
    for listener in tuple(_listeners.get(group, ())):
        listener.heard(message)


async def _publish(group: str, message: Message) -> None:
    sealed = {"type": "hub.hint", "from": PROCESS, "group": group, "message": message}
    for _ in range(2):
        if await _reach_layer("publish", lambda: get_channel_layer().group_send(group, sealed)):
            return


async def _subscribe(group: str) -> bool:
    if _channel is None and not await _reach_layer("open_channel", _open_channel):
        return False
    done = await _reach_layer("subscribe", lambda: get_channel_layer().group_add(group, _channel))
    if done and group in _listeners:
        _subscribed.add(group)
    elif done:  # everybody left while it was being done
        await _reach_layer("unsubscribe", lambda: get_channel_layer().group_discard(group, _channel))
    return done


async def _open_channel() -> None:
    global _channel  # noqa: PLW0603
    name = await get_channel_layer().new_channel()
    if _channel is None:
        _channel = name
        _in_background(_read())


async def _read() -> None:
    """Hand on what other processes hint, for as long as the process lives."""
    while True:
        try:
            sealed = await get_channel_layer().receive(_channel)
        except Exception as error:
            counts["failed"] += 1
            log.warning("layer_unreachable", step="receive", error=type(error).__name__)
            await asyncio.sleep(LAYER_TIMEOUT_S)
            continue
        if sealed.get("from") != PROCESS:
            _tell_here(sealed["group"], sealed["message"])


async def _reach_layer(step: str, call: Callable[[], Awaitable[None]]) -> bool:
    try:
        async with asyncio.timeout(LAYER_TIMEOUT_S):
            await call()
    except Exception as error:
        counts["failed"] += 1
        log.warning("layer_unreachable", step=step, error=type(error).__name__)
        return False
    counts[step] += 1
    return True


def _in_background(work: Any) -> None:
    task = asyncio.ensure_future(work)
    _tasks.add(task)  # the loop itself keeps only weak references
    task.add_done_callback(_tasks.discard)
