"""The ORM from an asynchronous test: on a thread of its own, which keeps its connection."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.warm import at_rest, usable

_thread = ThreadPoolExecutor(1)


async def in_thread(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run `work` there and give its result."""

    def run() -> Any:
        usable()
        try:
            return work(*args, **kwargs)
        finally:
            at_rest()

    return await asyncio.get_running_loop().run_in_executor(_thread, run)
