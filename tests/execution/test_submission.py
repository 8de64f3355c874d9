"""`sweep-engine submit` against a real head with its job server and a token."""

import contextlib
import json
import re
import signal
import stat
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from sweep_engine.store import open_results
from tests.backends import heads

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


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A head, and the home and token of its user."""
    folder = tmp_path_factory.mktemp("submit")
    home = folder / "home"
    token = heads.put_token(home)
    with heads.head(folder, home) as (address, server, temporary):
        yield {"gcs": address, "server": server, "home": home, "token": token, "tmp": temporary}


@pytest.fixture
def spec(tmp_path):
    folder = tmp_path / "mine"
    (folder / "data").mkdir(parents=True)
    x = np.linspace(-1, 1, 8)[:, None]
    np.savez(folder / "data" / "points.npz", x=x, y=2 * x[:, 0])
    (folder / "sweep.yaml").write_text(json.dumps(SPEC))
    return folder / "sweep.yaml"


def start(cluster, *words, **popen):
    environment = heads.environment(cluster["home"])
    command = ["sweep-engine", "submit", *map(str, words), "--address", cluster["server"]]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **popen
    )


def submit(cluster, *words):
    process = start(cluster, *words)
    out, err = process.communicate(timeout=DEADLINE)
    return process.returncode, out, err


def test_a_submitted_sweep_runs_on_the_cluster_and_is_followed(cluster, spec, tmp_path):
    code, out, err = submit(cluster, spec, "--out", tmp_path / "out")
    assert code == 0, out + err
    assert "submitted as" in err
    assert "1 shards done" in out, "the job's own output"
    assert len(open_results(tmp_path / "out").runs()) == 40
    job = re.search(r"submitted as (\S+)", err)[1]
    again, out_again, _ = submit(cluster, "--attach", job)
    assert (again, out_again) == (0, out), "from the beginning, with the same exit code"


def test_exit_code_of_a_sweep_that_the_cluster_refuses(cluster, spec, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("not a sweep")
    code, out, err = submit(cluster, spec, "--out", tmp_path / "out")
    assert code == 2
    assert "not empty" in out
    assert "exit code 2" in err


def test_ctrl_c_detaches_and_attach_follows_again(cluster, spec, tmp_path):
    spec.write_text(json.dumps(SPEC | {"sources": {"sgd": ENDLESS}}))
    process = start(cluster, spec, "--out", tmp_path / "out", start_new_session=True)
    await_file(tmp_path / "out" / "logs" / "progress.json", process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 3
    hint = err.strip().splitlines()[-1]
    job = hint.split("--attach ")[1].split()[0]
    assert f"sweep-engine submit --attach {job}" in hint
    assert json.loads((tmp_path / "out/logs/progress.json").read_text())["state"] == "running"
    following = start(cluster, "--attach", job)
    environment = heads.environment(cluster["home"])
    stop = ["ray", "job", "stop", job, "--address", cluster["server"]]
    subprocess.run(stop, env=environment, check=True, capture_output=True)
    following.communicate(timeout=DEADLINE)
    assert following.returncode != 0, "it did not complete"


def await_file(path, process):
    end = time.monotonic() + DEADLINE
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.2)


# --- at the door --------------------------------------------------------------------------


def test_no_token_no_job(cluster, spec, tmp_path):
    other = cluster | {"home": tmp_path / "nobody"}
    code, _, err = submit(other, spec, "--out", tmp_path / "out")
    assert code == 2
    assert "no token for the Ray cluster" in err


def test_a_wrong_token_is_refused(cluster, spec, tmp_path):
    heads.put_token(tmp_path / "stranger")
    code, _, err = submit(cluster | {"home": tmp_path / "stranger"}, spec, "--out", tmp_path / "o")
    assert code == 2
    assert "Traceback" not in err
    assert not (tmp_path / "o").exists()


def test_a_relative_output_directory_is_refused(cluster, spec):
    code, _, err = submit(cluster, spec, "--out", "somewhere")
    assert code == 2
    assert "from the root" in err


def test_the_token_is_in_its_file_and_nowhere_else(cluster, spec, tmp_path):
    """Not in a log of Ray's or ours, not on a command line, not in what is written."""
    code, out, err = submit(cluster, spec, "--out", tmp_path / "out")
    assert code == 0, out + err
    token = cluster["token"].encode()
    home = cluster["home"] / ".ray" / "auth_token"
    assert stat.S_IMODE(home.stat().st_mode) == 0o600
    folders = [cluster["tmp"], tmp_path, cluster["home"].parent]
    files = [p for f in folders for p in f.rglob("*") if p.is_file() and not p.is_symlink()]
    assert len(files) > 20
    assert [p for p in files if token in p.read_bytes()] == [home]
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            assert token not in line.read_bytes()
