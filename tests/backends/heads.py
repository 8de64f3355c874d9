"""A Ray head with its job server, on loopback, in processes of its own."""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sweep_engine.backends.ray.security import LOOPBACK_ONLY
from tests.compiling import IN_A_PROCESS
from tests.once import alone

ROOT = Path(__file__).parents[2]
DEADLINE = 180.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


QUIET = {
    "LOG_NAME_UPDATE_INTERVAL_S": "60",
    "RAY_DASHBOARD_AGENT_LOOP_MONITOR_INTERVAL_S": "60",
    "REPORTER_UPDATE_INTERVAL_MS": "600000",
    "SCAN_EVENT_DIR_INTERVAL_SECONDS": "600",
}
"""Has Ray look at its processes and logs seldom, which took a tenth of a processor."""


def unprepared(home):
    """What a process starts with that has nothing of Ray's set, and this home."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    return kept | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(home)}


def environment(home):
    """What a user of the cluster has set; the token is in the home."""
    return unprepared(home) | LOOPBACK_ONLY | IN_A_PROCESS | QUIET | {
        "RAY_AUTH_MODE": "token",
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


@dataclass(frozen=True)
class Head:
    """A head that is up.

    Attributes:
        home: Its user's, with the token.
        gcs: The cluster's address.
        server: The job server's.
        temporary: Its folder; the mark of its processes, too.
    """

    home: Path
    gcs: str
    server: str
    temporary: Path

    @staticmethod
    def of(record):
        home, temporary = Path(record["home"]), Path(record["temporary"])
        return Head(home, record["gcs"], record["server"], temporary)

    def record(self):
        return {name: str(value) for name, value in vars(self).items()}

    @property
    def token(self):
        return (self.home / ".ray" / "auth_token").read_text()

    def turn(self):
        """Have it alone among the tests' workers: it has no more than two places."""
        return alone(self.home.parent / "turn")

    def end(self):
        end_all(str(self.temporary))

    def end_with(self, pid):
        """See to it that it ends when a process does, however that ends."""
        subprocess.run(
            ["setsid", "--fork", sys.executable, __file__, str(pid), *self.temporary.parts[-1:]],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd="/", check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


def start_head(folder, home):
    """Start a head with its job server, and wait until it is up."""
    gcs, dashboard, log = free_port(), free_port(), folder / "head.log"
    temporary = Path("/tmp") / f"r{secrets.token_hex(4)}"  # sockets want a short path
    command = ["ray", "start", "--head", "--block", f"--port={gcs}", "--num-cpus=2"]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"]
    # These two are fixed by default, and another Ray of this machine may have them.
    command += [f"--dashboard-agent-listen-port={free_port()}"]
    command += [f"--ray-client-server-port={free_port()}"]
    temporary.mkdir(mode=0o700)  # Ray opens its own folders to all users
    command += ["--object-store-memory=100000000", f"--temp-dir={temporary}/r"]
    command += ["--include-log-monitor=False"]  # no driver of ours asks for its workers' logs
    # It outlives the process that starts it, which is one of several workers.
    with log.open("w") as stream:
        subprocess.run(
            ["setsid", "--fork", *command],
            env=environment(home), stdout=stream, stderr=stream, cwd=folder, check=True,
        )  # fmt: skip
    started = Head(home, f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}", temporary)
    end = time.monotonic() + DEADLINE
    while "Ray runtime started" not in log.read_text():
        if time.monotonic() > end or not marked(str(temporary)):
            started.end()
            raise RuntimeError(log.read_text())
        time.sleep(0.1)
    return started


def end_all(mark):
    """End all processes that have a mark on their command line, and remove the folder it names."""
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


def started_at(pid):
    """When a process was started, which tells it from a later one of its number; None if over."""
    with suppress(OSError):
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if state == "Z" else rest[18]
    return None


def watch(pid, name):
    """Wait until a process is over, or the head is; then see to it that the head is."""
    born, folder = started_at(pid), Path("/tmp") / name
    while folder.exists() and born is not None and started_at(pid) == born:
        time.sleep(0.5)
    end_all(str(folder))


if __name__ == "__main__":
    watch(int(sys.argv[1]), sys.argv[2])
