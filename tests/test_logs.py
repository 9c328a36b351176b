"""How log lines get out of a server: in order, whole, without holding up whoever logs."""

import io
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from config.logs import WrittenOutside
from tests.environment import ROOT


def eventually(holds):
    end = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


class Halting(io.StringIO):
    """A file whose reader has stopped."""

    def __init__(self):
        super().__init__()
        self.go_on = threading.Event()

    def write(self, text):
        self.go_on.wait(10)
        return super().write(text)


@pytest.fixture
def halting():
    stream = Halting()
    yield stream
    stream.go_on.set()


def test_lines_are_written_in_order():
    stream = io.StringIO()
    outside = WrittenOutside(stream)
    for n in range(500):
        outside.write(f"{n}\n")
    outside.close()
    assert stream.getvalue().split() == [str(n) for n in range(500)]


def test_whoever_logs_does_not_wait_for_the_writing(halting):
    outside = WrittenOutside(halting)
    for n in range(100):
        outside.write(f"{n}\n")
    assert halting.getvalue() == ""
    halting.go_on.set()
    eventually(lambda: halting.getvalue().count("\n") == 100)
    outside.close()


def test_where_nobody_reads_for_long_whoever_logs_waits_in_the_end(halting, monkeypatch):
    monkeypatch.setattr(WrittenOutside, "AT_MOST", 10)
    outside, written = WrittenOutside(halting), []

    def log():
        for n in range(40):
            outside.write(f"{n}\n")
            written.append(n)

    logging = threading.Thread(target=log)
    logging.start()
    eventually(lambda: len(written) >= 10)
    time.sleep(0.1)
    assert len(written) <= 12  # ten wait, one is being written
    halting.go_on.set()
    logging.join(5)
    outside.close()
    assert halting.getvalue().split() == [str(n) for n in range(40)]


def test_a_text_that_cannot_be_written_costs_no_other():
    raw = io.BytesIO()
    outside = WrittenOutside(io.TextIOWrapper(raw, encoding="ascii"))
    for text in ("before\n", "é\n", "after\n"):
        outside.write(text)
    outside.close()
    assert raw.getvalue() == b"before\nafter\n"


def test_once_closed_it_writes_where_text_comes_from():
    stream = io.StringIO()
    outside = WrittenOutside(stream)
    outside.write("before\n")
    outside.close()
    outside.write("after\n")
    outside.flush()
    assert stream.getvalue() == "before\nafter\n"


def test_what_a_process_logs_last_is_written_before_it_ends():
    code = (
        "import logging, logging.config\n"
        "from config.logs import logging_config, write_outside\n"
        "logging.config.dictConfig(logging_config(level='INFO', json_lines=True))\n"
        "write_outside()\n"
        "for n in range(2_000): logging.info('%s', n)\n"
    )
    env = dict(os.environ) | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True, cwd=ROOT)
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == [str(n) for n in range(2_000)]
