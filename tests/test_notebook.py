"""The notebook that ships with the examples: it runs as it is, on results of its sweep's form."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sweep_engine as se

NOTEBOOK = Path(se.__file__).parent / "examples" / "from_parquet.ipynb"
LAW = {"kind": "lecun_normal"}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results of the form of boolean.yaml, smaller."""
    sweep = se.Sweep(
        name="boolean",
        task={"kind": "boolean", "bits": 7, "train": 4},
        model={"kind": "mlp", "widths": [8]},
        accept={"train_error": 0.0},
        sources={
            "sgd": {
                "kind": "train",
                "init": LAW,
                "optimizer": {"kind": "sgd", "learning_rate": 0.1},
                "stop": {"max_steps": 500},
                "runs": 128,
            },
            "guess": {"kind": "guess_and_check", "law": LAW, "accepted": 128},
            "init": {"kind": "prior", "law": LAW, "draws": 512},
        },
        axes={"task.target": ["x1", "x1 | (x2 & x3)"]},
        observables=["norms", "function", "complexity"],
    )
    out = tmp_path_factory.mktemp("notebook") / "boolean"
    se.run(sweep, out)
    return out


def cells(path):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_runs_as_it_stands(results, tmp_path):
    done = tmp_path / "done.ipynb"
    jupyter = Path(sys.executable).parent / "jupyter-execute"
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")
    subprocess.run(
        [jupyter, NOTEBOOK, f"--output={done}"],
        env=os.environ | dict.fromkeys(places, str(tmp_path)) | {"SWEEP_RESULTS": str(results)},
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    outputs = json.dumps([cell["outputs"] for cell in cells(done)])
    assert "P(fit) = " in outputs
    assert "image/png" in outputs
    assert "mean_difference" in outputs
    assert "ks_distance" in outputs


def test_it_is_stored_without_outputs_and_its_first_half_without_the_engine():
    sources = ["".join(cell["source"]) for cell in cells(NOTEBOOK)]
    with_engine = [i for i, text in enumerate(sources) if re.search(r"(import|from) sweep_", text)]
    assert with_engine[0] >= len(sources) // 2
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells(NOTEBOOK))
