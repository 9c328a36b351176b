"""A server that is no routing engine: it says whatever a test wants, as slowly as it wants."""

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any


class Hostile:
    """Where it listens, and what it heard."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.heard: list[bytes] = []
        self.over = threading.Event()


Behaviour = Callable[[socket.socket, Hostile], None]


@contextlib.contextmanager
def hostile(behave: Behaviour) -> Iterator[Hostile]:
    """Serve connections with `behave`, which is called with each one after its request was read."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                while head := self._request():
                    told.heard.append(head)
                    behave(self.request, told)

        def _request(self) -> bytes:
            head = b""
            while b"\r\n\r\n" not in head and (chunk := self.request.recv(65_536)):
                head += chunk
            return head

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as server:
        told = Hostile(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield told
        finally:
            told.over.set()
            server.shutdown()
            thread.join()


def says(body: bytes, status: str = "200 OK", *headers: str) -> Behaviour:
    """Answers every request with this."""
    head = "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: application/json", *headers])
    answer = f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    return lambda connection, _told: connection.sendall(answer)


def says_raw(data: bytes) -> Behaviour:
    """Sends these bytes and closes."""

    def behave(connection: socket.socket, _told: Hostile) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_RDWR)

    return behave


def drips(start: bytes, drop: bytes, every_s: float = 0.02) -> Behaviour:
    """Begins with `start` and goes on with `drop` for ever: no single read ever waits long."""

    def behave(connection: socket.socket, told: Hostile) -> None:
        connection.sendall(start)
        while not told.over.is_set():
            connection.sendall(drop)
            time.sleep(every_s)

    return behave


def is_silent(_connection: Any, told: Hostile) -> None:
    """Says nothing at all."""
    told.over.wait()
