"""What the scripts in this folder share: the project's settings and its private PostgreSQL cluster."""

import contextlib
import os
import re
import secrets
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = str(ROOT / ".venv" / "bin" / "python")
CLUSTER_DIR = ROOT / "var" / "postgres"
SECRET_KEY_FILE = ROOT / "var" / "secret-key"
SERVER_PID_FILE = ROOT / "var" / "run" / "server.pid"
LAUNCHER_PID_FILE = ROOT / "var" / "run" / "launcher.pid"


class ScriptError(Exception):
    """Ends a script with exit code 1 and this sentence."""


def say(text):
    """Tell the person at the terminal what happens next."""
    with contextlib.suppress(OSError):  # the terminal may be gone; the orderly end goes on without it
        print(f"==> {text}", flush=True)


def read_env_file(path):
    """KEY=VALUE lines. Values are taken as they stand: nothing is expanded or run; one pair of quotes is removed."""
    values = {}
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return values
    for number, line in enumerate((line.strip() for line in lines), 1):
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)", line)
        if not match:
            raise ScriptError(f"line {number} of {path.name} is not KEY=VALUE.")
        name, value = match.groups()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        elif value[:1] not in ("'", '"'):
            value = re.sub(r"\s+#.*", "", value)
        values[name] = value
    return values


def load_settings():
    """The environment, completed from .env. An empty value counts as not set."""
    env = {**read_env_file(ROOT / ".env"), **os.environ}
    return {name: value for name, value in env.items() if value != "" or name not in ("DATABASE_URL", "PORT", "HOST")}


def secret_key():
    """A key of this checkout, made once. Sessions survive a restart because it stays the same."""
    with contextlib.suppress(FileNotFoundError):
        if key := SECRET_KEY_FILE.read_text().strip():
            return key
    SECRET_KEY_FILE.parent.mkdir(parents=True, exist_ok=True)
    key = secrets.token_urlsafe(48)
    handle = os.open(SECRET_KEY_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(key + "\n")
    return key


def cluster(command, **options):
    """Run bin/cluster on the private cluster."""
    return subprocess.run([sys.executable, ROOT / "bin" / "cluster", command, CLUSTER_DIR], check=False, **options)


def cluster_runs():
    """Is the private cluster running already?"""
    return cluster("status", capture_output=True).returncode == 0


def private_settings(env):
    """Settings for the private cluster, which must be running. The superuser's URL stays out of them."""
    connection = read_env_file(CLUSTER_DIR / "connection.env")
    env = {name: value for name, value in env.items() if name != "DATABASE_ADMIN_URL"}
    env["DATABASE_URL"] = connection["DATABASE_URL"]
    env["DATABASE_OWNER_URL"] = connection["DATABASE_OWNER_URL"]
    env.setdefault("CARECONNECT_ENV", "demo")
    if not env.get("DJANGO_SECRET_KEY"):
        env["DJANGO_SECRET_KEY"] = secret_key()
    return env


@contextlib.contextmanager
def database_settings():
    """Settings with a reachable database, for one command: yours, or the private cluster, started when it is down."""
    env = load_settings()
    if "DATABASE_URL" in env:
        yield env
        return
    started_here = not cluster_runs()
    if started_here and cluster("start", stdout=subprocess.DEVNULL).returncode != 0:
        raise ScriptError("the private database did not start.")
    try:
        yield private_settings(env)
    finally:
        if started_here:
            cluster("stop", stdout=subprocess.DEVNULL, start_new_session=True)


# Process ids in files: a number alone may belong to another program by now.


def our_process(pid_file, word):
    """The process id in the file, if that process lives, works in this checkout and has `word` in its command line."""
    try:
        pid = int(pid_file.read_text())
        here = Path(f"/proc/{pid}/cwd").samefile(ROOT)
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if here and word.encode() in command else None


def ended_within(seconds, pid_file, word):
    """Wait for the end of the process in the file; False when it takes longer."""
    deadline = time.monotonic() + seconds
    while our_process(pid_file, word):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def run_main(main):
    """Run a script's main() and turn what it returns or raises into an exit code."""
    try:
        sys.exit(main())
    except ScriptError as failure:
        print(f"{Path(sys.argv[0]).name}: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
