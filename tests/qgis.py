"""QGIS without a screen: a script runs in its own Python, which is the system's, and tells what it found as JSON."""

import json
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

# Debian's PyQGIS is built for Debian's Python, not for the one of .venv.
SYSTEM_PYTHON = "/usr/bin/python3"
WITHIN_S = 180
_BEGIN = """
import json, os, sys
from qgis.core import *
from qgis.PyQt.QtCore import QCoreApplication

QgsApplication.setPrefixPath("/usr", True)
app = QgsApplication([], False)
app.initQgis()
GIVEN = json.loads(sys.argv[1])
said = []
QgsApplication.messageLog().messageReceived.connect(lambda text, tag, level: said.append(f"{tag}: {text}"))


def told(found):
    with open(os.environ["TOLD"], "w") as out:
        json.dump({"found": found, "said": said}, out)
    sys.stdout.flush()
    os._exit(0)  # PyQGIS may crash while Python takes it apart


"""


@cache
def why_not() -> str:
    """Why there is no QGIS here; empty where there is one."""
    if not Path(SYSTEM_PYTHON).exists():
        return f"there is no {SYSTEM_PYTHON}"
    tried = subprocess.run(
        [SYSTEM_PYTHON, "-c", "import os, qgis.core; os._exit(0)"],
        env=_environment("/tmp"), capture_output=True, text=True, timeout=WITHIN_S, check=False,
    )  # fmt: skip
    return "" if tried.returncode == 0 else tried.stderr.strip().splitlines()[-1]


def qgis(script: str, **given: Any) -> Any:
    """Run a PyQGIS script and return what it gives to `told(...)`; the test is skipped where there is no QGIS.

    The script finds `qgis.core` imported, an application that is running, and `given` as GIVEN["name"]. What QGIS wrote
    into its log is in the message of a script that fails.
    """
    if reason := why_not():
        pytest.skip(f"needs QGIS ({reason}): apt-get install --no-install-recommends python3-qgis")
    with tempfile.TemporaryDirectory() as home:
        out = Path(home) / "told.json"
        done = subprocess.run(
            [SYSTEM_PYTHON, "-c", _BEGIN + script, json.dumps(given)],
            env=_environment(home) | {"TOLD": str(out)},
            capture_output=True, text=True, timeout=WITHIN_S, check=False,
        )  # fmt: skip
        assert out.exists(), f"the script told nothing (exit {done.returncode}):\n{done.stderr}{done.stdout}"
        answer = json.loads(out.read_text())
    assert answer["found"] is not None, answer["said"]
    return answer["found"]


def _environment(home: str) -> dict[str, str]:
    """As little as there must be: no virtual environment, no settings of whoever runs this, no screen, no proxy."""
    return {
        "PATH": "/usr/bin:/bin", "HOME": home, "XDG_RUNTIME_DIR": home, "LANG": "C.UTF-8",
        "QT_QPA_PLATFORM": "offscreen", "QGIS_AUTH_DB_DIR_PATH": home, "QGIS_CUSTOM_CONFIG_PATH": home,
    } | {name: os.environ[name] for name in ("TMPDIR",) if name in os.environ}  # fmt: skip
