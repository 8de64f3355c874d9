"""`sweep-engine submit` against a real head with its job server and a token."""

import contextlib
import json
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from sweep_engine.backends.ray import door
from sweep_engine.store import open_results
from tests.backends import heads
from tests.shell import Ended, call

# What Ray's client says of itself to aiohttp.
pytestmark = pytest.mark.filterwarnings("ignore:ssl=None:DeprecationWarning")

DEADLINE = 300.0

SPEC = {
    "name": "submitted",
    "seed": 1,
    "task": {"kind": "file", "path": "data/points.npz", "train": 6, "loss": "squared"},
    "model": {"kind": "linear"},
    "accept": {"train_loss": 10.0},
    "sources": {"init": {"kind": "prior", "law": {"kind": "gaussian"}, "draws": 40}},
    "execution": {"lanes": 8},
}
ENDLESS = {
    "kind": "train",
    "optimizer": {"kind": "sgd", "learning_rate": 1e-9},
    "stop": {"max_steps": 10**9, "fit": False},
    "runs": 8,
}


@pytest.fixture
def cluster(joined_ray, local_ray):
    """The head, for this test alone."""
    return joined_ray


def write_spec(folder, **changes):
    """A sweep file with its data beside it."""
    (folder / "data").mkdir(parents=True)
    x = np.linspace(-1, 1, 8)[:, None]
    np.savez(folder / "data" / "points.npz", x=x, y=2 * x[:, 0])
    (folder / "sweep.yaml").write_text(json.dumps(SPEC | changes))
    return folder / "sweep.yaml"


@pytest.fixture
def spec(tmp_path):
    return write_spec(tmp_path / "mine")


def submit(cluster, *words):
    """What a shell would see, from this process, which has the token."""
    return call("submit", *words, "--address", cluster.server)


def start(cluster, home, *words, **popen):
    command = ["sweep-engine", "submit", *map(str, words), "--address", cluster.server]
    return subprocess.Popen(
        command, env=heads.environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True, **popen,
    )  # fmt: skip


def finish(process):
    out, err = process.communicate(timeout=DEADLINE)
    return Ended(process.returncode, out, err)


def test_a_submitted_sweep_runs_on_the_cluster_and_is_followed(cluster, tmp_path):
    """And the token is in its file and nowhere else: not in a log of Ray's or ours, not on a
    command line, not in what is written.
    """
    done = submit(cluster, write_spec(tmp_path / "mine"), "--out", tmp_path / "out")
    assert done.code == 0, done.out + done.err
    assert "submitted as" in done.err
    assert "1 shards done" in done.out, "the job's own output"
    assert len(open_results(tmp_path / "out").runs()) == 40
    job = re.search(r"submitted as (\S+)", done.err)[1]
    again = submit(cluster, "--attach", job)
    assert (again.code, again.out) == (0, done.out), "from the beginning, with the same exit code"
    assert submit(cluster, "--attach", "raysubmit_of_nobody").code == 2

    files = read_all(cluster.temporary, tmp_path, cluster.home.parent)
    assert len(files) > 20
    assert [path for path, data in files.items() if cluster.token.encode() in data] == [
        cluster.home / ".ray" / "auth_token"
    ]
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            assert cluster.token.encode() not in line.read_bytes()


def read_all(*folders):
    """The files below some folders; those that go away meanwhile are left out."""
    found = {}
    for path in (path for folder in folders for path in folder.rglob("*")):
        with contextlib.suppress(OSError):
            if path.is_file() and not path.is_symlink():
                found[path] = path.read_bytes()
    return found


def test_exit_code_of_a_sweep_that_the_cluster_refuses(cluster, spec, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("not a sweep")
    code, out, err = submit(cluster, spec, "--out", tmp_path / "out")
    assert code == 2
    assert "not empty" in out
    assert "exit code 2" in err


def test_ctrl_c_detaches_and_attach_follows_again(cluster, tmp_path):
    spec = write_spec(tmp_path / "mine", sources={"sgd": ENDLESS})
    process = start(cluster, cluster.home, spec, "--out", tmp_path / "out")
    await_file(tmp_path / "out" / "logs" / "progress.json", process)
    process.send_signal(signal.SIGINT)
    detached = finish(process)
    assert detached.code == 3
    hint = detached.err.strip().splitlines()[-1]
    job = hint.split("--attach ")[1].split()[0]
    assert f"sweep-engine submit --attach {job}" in hint
    assert json.loads((tmp_path / "out/logs/progress.json").read_text())["state"] == "running"
    stop = threading.Timer(1.0, door.job_client(cluster.server).stop_job, [job])
    stop.start()
    ended = submit(cluster, "--attach", job)
    stop.join()
    assert ended.code == 3, "it did not complete, and no shard failed"
    assert "ended from outside" in ended.err
    assert json.loads((tmp_path / "out/logs/progress.json").read_text())["state"] == "stopped"


def await_file(path, process):
    end = time.monotonic() + DEADLINE
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.2)


# --- at the door --------------------------------------------------------------------------


def test_no_token_no_job(joined_ray, spec, tmp_path):
    ended = finish(start(joined_ray, tmp_path / "nobody", spec, "--out", tmp_path / "out"))
    assert ended.code == 2
    assert "no token for the Ray cluster" in ended.err


def test_a_wrong_token_is_refused(joined_ray, spec, tmp_path):
    heads.put_token(tmp_path / "stranger")
    ended = finish(start(joined_ray, tmp_path / "stranger", spec, "--out", tmp_path / "o"))
    assert ended.code == 2
    assert "Traceback" not in ended.err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("job", ["", "../../api/version", "raysubmit_of_nobody", "a b"])
def test_what_is_no_job_is_refused(joined_ray, job):
    code, _, err = submit(joined_ray, "--attach", job)
    assert code == 2
    assert len(err.strip().splitlines()) == 1


def test_a_relative_output_directory_is_refused(joined_ray, spec):
    code, _, err = submit(joined_ray, spec, "--out", "somewhere")
    assert code == 2
    assert "from the root" in err
