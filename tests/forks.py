"""Server processes forked from one that has imported the libraries: 1.5 s of CPU less for each of some hundred starts.

The fork runs what bin/serve would: the same arguments, its own environment, and everything of the project's own is
imported anew. The library modules that it finds are those that nobody configures by importing them.

Run as a program, this is the process that forks.
"""

import functools
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
# Of other people, without threads and without a look at Django's settings on import.
LIBRARIES = (
    "uvicorn.main", "uvicorn.protocols.http.httptools_impl", "uvicorn.protocols.websockets.websockets_sansio_impl",
    "uvicorn.lifespan.on", "django.core.asgi", "django.core.mail", "django.views.debug", "django.contrib.gis.admin",
    "django.contrib.gis.db.models", "django.contrib.staticfiles.finders", "django.db.migrations.executor",
    "django.test.signals", "channels.auth", "channels.layers", "channels.routing", "channels_redis.pubsub", "environ",
    "geopy.geocoders", "httpx", "jsonschema", "psycopg", "psycopg_pool", "pydantic.main", "pydantic.types",
    "rest_framework.serializers", "structlog.dev", "uritemplate", "yaml",
)  # fmt: skip
_BUFFER = 1 << 20


class Fork:
    """A process like one of subprocess.Popen: `pid`, `returncode`, poll, wait and the signals."""

    def __init__(self, parent: "_Parent", pid: int) -> None:
        self._parent, self.pid = parent, pid
        self.returncode: int | None = None
        self._ended = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        if self.returncode is None and select.select([self._ended], [], [], 0)[0]:
            self.returncode = self._parent.ask({"status_of": self.pid})
            os.close(self._ended)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status; subprocess.TimeoutExpired when it has none within so many seconds."""
        if self.returncode is None and not select.select([self._ended], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("uvicorn", timeout or 0)
        status = self.poll()
        assert status is not None
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class _Parent:
    """The process that forks, and how it is spoken to."""

    def __init__(self) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)  # an environment is one packet
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forks", str(its.fileno())], cwd=ROOT, pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]},
            )  # fmt: skip
        self._socket, self._one_at_a_time = ours, threading.Lock()

    def ask(self, what: dict[str, object], *files: int) -> int:
        with self._one_at_a_time:
            socket.send_fds(self._socket, [json.dumps(what).encode()], list(files))
            return int(self._socket.recv(64))


@functools.cache
def _parent(_of: int) -> _Parent:
    return _Parent()


def serve(environment: dict[str, str], out: IO[bytes]) -> Fork:
    """bin/serve in this environment, printing to `out`."""
    command = subprocess.run(
        [ROOT / "bin" / "serve"], env=environment | {"PYTHON": "echo"}, capture_output=True, text=True, check=True
    )
    return _fork(shlex.split(command.stdout), environment, out)


def manage(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`manage.py` with these arguments in this environment, to its end; what it says is all in `stdout`."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        status = _fork(["-m", "manage", *arguments], environment, out).wait(60)
        out.seek(0)
        return subprocess.CompletedProcess(arguments, status, out.read())


def _fork(command: list[str], environment: dict[str, str], out: IO[Any]) -> Fork:
    parent = _parent(os.getpid())
    return Fork(parent, parent.ask({"run": command, "in": environment}, out.fileno()))


# --- the process that forks --------------------------------------------------------------------------------------


def _next_command(tests: socket.socket) -> list[str]:
    """Answer what is asked; returns in every fork, with what it is to run."""
    while True:
        asked, files, *_ = socket.recv_fds(tests, _BUFFER, 1)
        if not asked:
            sys.exit()
        what = json.loads(asked)
        if "status_of" in what:
            answer = os.waitstatus_to_exitcode(os.waitpid(what["status_of"], 0)[1])
        else:
            answer = os.fork()
            if not answer:
                tests.close()
                os.environ.clear()
                os.environ.update(what["in"])
                os.dup2(files[0], 1)
                os.dup2(files[0], 2)
                os.close(files[0])
                return what["run"]
            os.close(files[0])
        tests.send(b"%d" % answer)


def _main() -> None:
    import importlib
    import runpy

    for name in LIBRARIES:
        importlib.import_module(name)
    assert threading.active_count() == 1, threading.enumerate()
    own = [name for name in sys.modules if name.split(".")[0] in {"config", "geo", "mobility"}]
    assert not own, own
    option, module, *arguments = _next_command(socket.socket(fileno=int(sys.argv[1])))
    assert option == "-m"
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
