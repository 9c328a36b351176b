"""The benches still run against the service as it is. Their figures are not looked at: a machine may be busy."""

import json
import subprocess
import sys

import pytest

from tests.bench.__main__ import BENCHES
from tests.environment import ROOT

pytestmark = [pytest.mark.first, pytest.mark.slow, pytest.mark.timeout(1500)]


def test_every_bench_runs_to_its_end(tmp_path):
    command = [sys.executable, "-m", "tests.bench", "--trial", "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    # 0: all targets met, 1: some missed, or the run failed, which it says.
    assert done.returncode in {0, 1}, done.stderr[-2000:]
    assert "The run failed" not in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    for name in BENCHES:
        result = json.loads((tmp_path / f"{name}.json").read_text())
        assert result["quick"]
        assert result["rows"]
        assert result["targets"]
