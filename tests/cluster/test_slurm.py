"""cluster/slurm on a real Slurm of two nodes; the record of one such run is committed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RECORD = ROOT / "tests" / "benchmarks" / "records" / "cluster_slurm.json"
SHARDS = 24


def check(record: dict[str, Any]) -> None:
    """What must hold of all that tests/cluster/slurm/scenarios.py did."""
    whole = {"state": "COMPLETED", "exit_code": "0:0", "shards": SHARDS}

    first = record["uninterrupted"]
    assert first.items() >= whole.items()
    assert (first["restarts"], first["hosts"], first["complete"]) == (0, ["n1", "n2"], True)
    assert first["verified"].startswith(f"{SHARDS} shards: every file is as it was")
    assert first["modes_of_token_and_folder"] == ["600 root", "700 root"]
    assert first["token_length"] == 64
    assert not first["token_in_arguments"]
    assert not first["token_in_log_or_results"]
    told = first["told_to_who_has"]
    assert told["the token"] == "2 nodes"
    assert "InvalidAuthToken" in told["another token"]
    assert "InvalidAuthToken" in told["no token"]

    assert record["again"].items() >= (whole | {"restarts": 0, "unchanged": True}).items()

    resumed = record["interrupted"]
    assert resumed.items() >= (whole | {"restarts": 3}).items()
    assert len(resumed["events"]) == 3
    assert all(0 < event["shards_before"] < SHARDS for event in resumed["events"])
    assert resumed["committed_shards_changed"] == []
    assert resumed["same_bits_as_uninterrupted"]

    stopped = record["cancelled"]
    assert (stopped["state"], stopped["restarts"]) == ("CANCELLED", 0)
    assert 0 < stopped["shards"] < SHARDS

    assert record["alone"].items() >= (whole | {"restarts": 1, "hosts": ["n1"]}).items()

    refused = record["bad_input"]
    assert refused.items() >= {"state": "FAILED", "exit_code": "2:0", "restarts": 0}.items()
    assert record["left_behind"] == []


def test_committed_record_holds() -> None:
    check(json.loads(RECORD.read_text()))


@pytest.mark.long
def test_sweeps_survive_slurm(tmp_path: Path) -> None:
    sys.path.insert(0, str(HERE / "slurm"))
    try:
        import two_nodes
    finally:
        sys.path.pop(0)
    if why := two_nodes.missing():
        pytest.skip(why)
    if not os.access(ROOT / ".venv" / "bin" / "sweep-engine", os.X_OK):
        pytest.skip("the jobs use .venv, as users do: ./run makes it")
    record = tmp_path / "record.json"
    done = subprocess.run(
        [sys.executable, HERE / "slurm" / "scenarios.py", record],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    check(json.loads(record.read_text()))
