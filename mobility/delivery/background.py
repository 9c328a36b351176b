"""What may happen a moment later, beside the answer to whoever caused it.

In the server it runs on the workers of the sockets' database pool, so that nobody waits for it; elsewhere (a command, a
test) at once. It may be lost with the process: only what the dispatcher's sweep would find anyway is done so.
"""

from collections.abc import Callable
from typing import Any

_run: Callable[..., Any] | None = None


def attach(run: Callable[..., Any]) -> None:
    """Name the function that runs `work(*args)` later, from any thread, without waiting."""
    global _run  # noqa: PLW0603 (one per process, like the server's loop)
    _run = run


def later(work: Callable[..., Any], *args: Any) -> None:
    """Have `work(*args)` run soon."""
    if _run is None:
        work(*args)
    else:
        _run(work, *args)
