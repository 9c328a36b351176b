"""The ORM from an asynchronous test: on a thread of its own, whose connection is closed after."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection

_thread = ThreadPoolExecutor(1)


async def in_thread(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run `work` there and give its result."""

    def run() -> Any:
        try:
            return work(*args, **kwargs)
        finally:
            connection.close()

    return await asyncio.get_running_loop().run_in_executor(_thread, run)
