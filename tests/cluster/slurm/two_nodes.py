"""Run a command beside a real Slurm of two nodes, in namespaces that end with it.

    python tests/cluster/slurm/two_nodes.py FOLDER COMMAND [ARGUMENTS]

The controller and both nodes have network, PID, mount and UTS namespaces of their own, so that
each node is a machine to Slurm and to Ray: an address, a host name, processes. Nothing reaches
the network outside, and nothing outlives the command. It needs root, and Debian's packages
slurm-wlm and munge. FOLDER takes Slurm's state and logs; it and the repository are the same on
both nodes.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = (
    "unshare",
    "nsenter",
    "ip",
    "munged",
    "slurmctld",
    "slurmd",
    "sbatch",
    "srun",
    "scontrol",
)
NODES = {"n1": "10.77.0.11", "n2": "10.77.0.12"}
CONTROLLER = "10.77.0.1"
INSIDE = "inside"
# A node: a /tmp and a host name of its own; what is shared stays the same on both. The shell is
# the namespace's first process and buries the dead, as slurmd would not.
NODE = """
name=$1 configuration=$2
shift 2
number=0
for shared; do
    number=$((number + 1))
    mkdir -p "/run/$name/$number"
    mount --bind "$shared" "/run/$name/$number"
done
mount -t tmpfs tmpfs /tmp
number=0
for shared; do
    number=$((number + 1))
    mkdir -p "$shared"
    mount --move "/run/$name/$number" "$shared"
done
hostname "$name"
slurmd -D -f "$configuration" -N "$name" &
wait
"""
UNSHARE = ("unshare", "--pid", "--mount", "--uts", "--fork", "--kill-child", "--mount-proc")


def missing() -> str:
    """Say why this cannot run here; nothing where it can."""
    if os.geteuid() != 0:
        return "needs root, for namespaces"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)} (Debian: slurm-wlm munge)" if absent else ""


def command(folder: Path, *words: str | Path) -> list[str | Path]:
    """Tell how to run these words beside the two nodes."""
    me = Path(__file__).resolve()
    return [*UNSHARE, "--net", "--ipc", sys.executable, me, INSIDE, folder.resolve(), *words]


def run_inside(folder: Path, words: list[str]) -> int:
    """Start all of it, run the command, stop all of it."""
    network(folder)
    configuration = folder / "slurm.conf"
    template = Path(__file__).with_name("slurm.conf").read_text()
    configuration.write_text(template.replace("@DIR@", str(folder)))
    for name in ("log", "ctld", *NODES):
        (folder / name).mkdir(exist_ok=True)
    os.environ["SLURM_CONF"] = str(configuration)
    start_munge(folder)
    start(folder, ["slurmctld", "-D", "-f", str(configuration)])
    for node in NODES:
        enter = ["nsenter", f"--net=/run/netns/{node}", *UNSHARE]
        shared = [str(folder), str(ROOT)]
        start(folder, [*enter, "sh", "-ec", NODE, "sh", node, str(configuration), *shared])
    wait_for_nodes()
    # This is the namespace's first process: the kernel ends all others with it.
    return subprocess.run(words, check=False).returncode


def network(folder: Path) -> None:
    """Join the controller's and the nodes' network namespaces by a bridge, with names."""
    hosts = {"localhost": "127.0.0.1", "ctl": CONTROLLER} | NODES
    (folder / "hosts").write_text("".join(f"{at} {name}\n" for name, at in hosts.items()))
    script = [
        "mount -t tmpfs tmpfs /run",
        f"mount --bind '{folder}/hosts' /etc/hosts",
        "hostname ctl",
        "ip link set lo up",
        "ip link add bridge0 type bridge",
        f"ip addr add {CONTROLLER}/24 dev bridge0",
        "ip link set bridge0 up",
    ]
    for node, address in NODES.items():
        script += [
            f"ip netns add {node}",
            f"ip link add {node}-out type veth peer name eth0 netns {node}",
            f"ip link set {node}-out master bridge0 up",
            f"ip -n {node} addr add {address}/24 dev eth0",
            f"ip -n {node} link set eth0 up",
            f"ip -n {node} link set lo up",
        ]
    subprocess.run(["sh", "-ec", "\n".join(script)], check=True)


def start_munge(folder: Path) -> None:
    """Run munge with a key and a socket of our own."""
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(os.urandom(128))
    files = {
        "key-file": key,
        "socket": folder / "munge.socket",
        "pid-file": folder / "munge.pid",
        "seed-file": folder / "munge.seed",
        "log-file": folder / "log" / "munge.log",
    }
    options = [f"--{name}={file}" for name, file in files.items()]
    start(folder, ["munged", "--foreground", "--force", *options])


def start(folder: Path, words: list[str]) -> None:
    with (folder / "log" / "daemons.txt").open("a") as log:
        subprocess.Popen(words, stdout=log, stderr=log)


def wait_for_nodes(seconds: float = 60) -> None:
    """Wait until both nodes are idle."""
    end = time.monotonic() + seconds
    states = ""
    while states.split() != ["idle"] * len(NODES):
        if time.monotonic() > end:
            sys.exit(f"the nodes are not ready after {seconds} s: {states}")
        time.sleep(0.2)
        query = ["sinfo", "--noheader", "--Node", "--partition=main", "--format=%t"]
        states = subprocess.run(query, capture_output=True, text=True, check=False).stdout


if __name__ == "__main__":
    if sys.argv[1] == INSIDE:
        sys.exit(run_inside(Path(sys.argv[2]), sys.argv[3:]))
    if why := missing():
        sys.exit(why)
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    words = command(Path(sys.argv[1]), *sys.argv[2:])
    os.execvp(words[0], words)
