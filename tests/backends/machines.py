"""Machines in miniature: each has its own network, processes and temporary files.

Only the output directory and the home, where the token is, are the same for all, as on a cluster
with a shared disk. Making them needs root; a plain user's tests are skipped.
"""

import contextlib
import functools
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.backends.heads import QUIET
from tests.compiling import IN_A_PROCESS

ROOT = Path(__file__).parents[2]
NETWORK = "10.77.0"
PORT = 6379
HEAD = f"{NETWORK}.1:{PORT}"
DEADLINE = 240.0

# The first process of a machine: it buries the orphans, and with it everything ends.
_INIT = """
mkdir -p /tmp/ray
mount -t tmpfs -o size=256m tmpfs /tmp/ray
mount -t tmpfs -o size=256m tmpfs /dev/shm
ip link set lo up
echo ready
while :; do sleep 1000 & wait $!; done
"""


@functools.cache
def why_not():
    """Why machines cannot be made here; empty if they can."""
    tools = [tool for tool in ("unshare", "nsenter", "ip") if shutil.which(tool) is None]
    if tools:
        return f"there is no {tools[0]}"
    script = (
        "mount -t tmpfs tmpfs /mnt && ip link add sw0 type bridge && "
        "ip link add swa type veth peer name swb"
    )
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if tried.returncode == 0 else f"no namespaces for this user: {tried.stderr.strip()}"


def wait_until(condition, what, seconds=DEADLINE):
    """Wait for something to become true, and return it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)
    return found


class Switch:
    """The network between the machines: a bridge in a namespace of its own."""

    def __init__(self):
        self.ports = itertools.count()
        self._process = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        wait_until(self._has_left_our_network, "a network namespace")
        self.ip("link", "add", "sw0", "type", "bridge")
        self.ip("link", "set", "sw0", "up")

    def _has_left_our_network(self):
        return inode("self", "net") != inode(self._process.pid, "net")

    def ip(self, *words):
        enter = ["nsenter", "--target", str(self._process.pid), "--net"]
        subprocess.run([*enter, "ip", *words], check=True)

    def close(self):
        self._process.kill()
        self._process.wait()


class Machine:
    """One machine.

    Attributes:
        number: From 1.
        address: Its IP address.
    """

    def __init__(self, switch, number, home):
        self.number, self.address = number, f"{NETWORK}.{number}"
        self._home = home
        self._started = []
        spaces = ["--net", "--pid", "--mount", "--uts", "--fork", "--mount-proc"]
        spaces += ["--kill-child=SIGKILL"]
        self._process = subprocess.Popen(
            ["unshare", *spaces, "sh", "-c", f"hostname machine{number}\n{_INIT}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout.readline() == "ready\n"
        (self._init,) = children(self._process.pid)
        try:
            self._join(switch)
        except BaseException:
            self.kill()
            raise

    def _join(self, switch):
        """Put a cable between the machine and the switch."""
        port = f"port{next(switch.ports)}"  # those of the dead go away in their own time
        cable = ["link", "add", port, "type", "veth", "peer", "name", "eth0", "netns"]
        switch.ip(*cable, str(self._init))
        switch.ip("link", "set", port, "master", "sw0", "up")
        self.run("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")

    def _command(self, words):
        enter = ["nsenter", "--target", str(self._init), "--net", "--pid", "--mount", "--uts"]
        return [*enter, *map(str, words)]

    def _environment(self):
        kept = {"XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"]}
        return (
            kept
            | IN_A_PROCESS
            | QUIET
            | {
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HOME": str(self._home),
                "PYTHONPATH": str(ROOT),
                "RAY_AUTH_MODE": "token",
                "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
                "RAY_USAGE_STATS_ENABLED": "0",
                "LANG": "C.UTF-8",
            }
        )

    def run(self, *words):
        """Run a command here and wait for it."""
        subprocess.run(
            self._command(words), check=True, env=self._environment(), stdout=subprocess.DEVNULL
        )

    def start(self, *words, log):
        """Start a command here."""
        with Path(log).open("ab") as stream:
            process = subprocess.Popen(
                self._command(words),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=ROOT,
            )
        self._started.append(process)
        return process

    def processes(self, *words):
        """The processes here whose command line has all these words, by their ids outside."""
        space, found = inode(self._init, "pid"), []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and inode(entry.name, "pid") == space:
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if all(word in line for word in words):
                        found.append(int(entry.name))
        return sorted(found)

    def freeze(self):
        """Stop every process, as when a machine hangs."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self):
        # nsenter stops with what it has started, and does not go on with it.
        for pid in [*self.processes(), *(process.pid for process in self._started)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def kill(self):
        """Pull the plug."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._init, signal.SIGKILL)
        self._process.kill()
        for process in (self._process, *self._started):
            process.wait()
        self._process.stdout.close()


class Machines:
    """A few machines on one network, with a token in their common home."""

    def __init__(self, folder, number):
        self.folder = Path(folder)
        self.home = self.folder / "home"
        (self.home / ".ray").mkdir(parents=True, mode=0o700)
        token = self.home / ".ray" / "auth_token"
        token.touch(mode=0o600)
        token.write_text(os.urandom(32).hex())
        self.switch = Switch()
        self.all = {}
        for index in range(1, number + 1):
            self.boot(index)

    def boot(self, number):
        """Start a machine, anew if there was one of this number."""
        self.all[number] = Machine(self.switch, number, self.home)
        return self.all[number]

    def symmetric_run(self, *words):
        """Run a command on the first machine with a Ray over all; returns its process."""
        started = []
        for machine in self.all.values():
            ray = ["ray", "symmetric-run", "--address", HEAD]
            ray += ["--min-nodes", len(self.all), *RAY_OPTIONS, "--", *words]
            log = self.folder / f"machine{machine.number}.log"
            started.append(machine.start(*ray, log=log))
        return started

    def start_ray(self, *numbers, mode="token"):
        """Start Ray on machines, the first of all being the head; returns the processes."""
        started = []
        for number in numbers or self.all:
            role = ["--head", f"--port={PORT}"] if number == 1 else [f"--address={HEAD}"]
            own = f"--node-ip-address={NETWORK}.{number}"
            log = self.folder / f"machine{number}.log"
            ray = ["ray", "start", *role, own, "--block", *RAY_OPTIONS]
            with_mode = ["env", f"RAY_AUTH_MODE={mode}"]
            started.append(self.all[number].start(*with_mode, *ray, log=log))
            if number == 1:
                wait_until(lambda log=log: "runtime started" in log.read_text(), "the head")
        return started

    def logs(self):
        """What all machines wrote, for a test that fails."""
        files = sorted(self.folder.glob("machine*.log"))
        return "\n".join(f"--- {file.name}\n{file.read_text()}" for file in files)

    def close(self):
        for machine in self.all.values():
            machine.kill()
        self.switch.close()


RAY_OPTIONS = ("--num-cpus=1", "--object-store-memory=100000000")


def children(pid):
    tasks = wait_until(
        lambda: Path(f"/proc/{pid}/task/{pid}/children").read_text().split(), "a child"
    )
    return [int(child) for child in tasks]


def inode(process, kind):
    """What tells a process's namespace of a kind from others."""
    return Path(f"/proc/{process}/ns/{kind}").stat().st_ino
