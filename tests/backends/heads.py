"""A Ray head with its job server, on loopback, in processes of its own."""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from sweep_engine.backends.ray.security import LOOPBACK_ONLY

ROOT = Path(__file__).parents[2]
DEADLINE = 180.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(home, mode="token"):
    """What a user of the cluster has set; the token is in the home."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    return kept | LOOPBACK_ONLY | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "RAY_AUTH_MODE": mode,
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }  # fmt: skip


def put_token(home):
    """A token file as a careful user makes it; returns the token."""
    token = secrets.token_hex(32)
    (home / ".ray").mkdir(mode=0o700, parents=True)
    (home / ".ray" / "auth_token").touch(mode=0o600)
    (home / ".ray" / "auth_token").write_text(token)
    return token


@contextmanager
def head(folder, home, mode="token"):
    """A head; gives the addresses of the cluster and of its job server."""
    gcs, dashboard, log = free_port(), free_port(), folder / "head.log"
    temporary = Path("/tmp") / f"r{secrets.token_hex(4)}"  # sockets want a short path
    command = ["ray", "start", "--head", "--block", f"--port={gcs}", "--num-cpus=2"]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"]
    # These two are fixed by default, and another Ray of this machine may have them.
    command += [f"--dashboard-agent-listen-port={free_port()}"]
    command += [f"--ray-client-server-port={free_port()}"]
    command += ["--object-store-memory=100000000", f"--temp-dir={temporary}"]
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, env=environment(home, mode), stdout=stream, stderr=stream,
            start_new_session=True, cwd=folder,
        )  # fmt: skip
    try:
        end = time.monotonic() + DEADLINE
        while "Ray runtime started" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}", temporary
    finally:
        end_all(process.pid, str(temporary))
        process.wait()


def end_all(leader, mark):
    """End a head and whatever of it has its temporary folder on its command line."""
    with suppress(ProcessLookupError):
        os.kill(leader, signal.SIGTERM)
    end = time.monotonic() + DEADLINE
    while (left := marked(mark)) and time.monotonic() < end:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
    subprocess.run(["rm", "-rf", mark], check=False)


def marked(mark):
    found = []
    for entry in Path("/proc").iterdir():
        if re.fullmatch(r"\d+", entry.name) and int(entry.name) != os.getpid():
            with suppress(OSError):
                if mark in (entry / "cmdline").read_bytes().decode(errors="replace"):
                    found.append(int(entry.name))
    return found
