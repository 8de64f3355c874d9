"""The notebooks of the examples: they run as they are, on results of their sweep's form."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pytest

import sweep_engine as se

EXAMPLES = Path(se.__file__).parent / "examples"
NOTEBOOK = EXAMPLES / "from_parquet.ipynb"
FIGURE = EXAMPLES / "figure_of_a_paper.ipynb"

LAW = {"kind": "fan_in", "weight_std": 1.0, "bias_std": 1.0}
FOUR_INPUTS = {
    "name": "four_inputs",
    "task": {"kind": "boolean", "bits": 3, "target": "x3", "train": 4},
    "model": {"kind": "mlp", "widths": [4]},
    "accept": {"train_error": 0.0},
    "sources": {
        "sgd": {
            "kind": "train",
            "init": LAW,
            "optimizer": {"kind": "sgd", "learning_rate": 0.2},
            "stop": {"max_steps": 200},
            "runs": 64,
        },
        "guess": {"kind": "guess_and_check", "law": LAW, "draws": 2048},
    },
    "axes": {"task.seed": [0, 1]},
    "observables": ["function"],
}
"""Of the form of sixty_four_inputs.yaml, in a second."""


def cells(path):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def outputs(notebook, results, folder):
    """Run a notebook on results, and give all that its cells put out."""
    done = folder / "done.ipynb"
    jupyter = Path(sys.executable).parent / "jupyter-execute"
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")
    own = dict.fromkeys(places, str(folder))
    subprocess.run(
        [jupyter, notebook, f"--output={done}"],
        env=os.environ | own | {"SWEEP_RESULTS": str(results)},
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    return json.dumps([cell["outputs"] for cell in cells(done)])


def test_the_notebook_runs_as_it_stands(boolean_results, tmp_path):
    put_out = outputs(NOTEBOOK, boolean_results, tmp_path)
    assert "P(fit) = " in put_out
    assert "image/png" in put_out
    assert "mean_difference" in put_out
    assert "ks_distance" in put_out


def test_the_figure_of_a_paper_shows_the_shares_of_the_target(tmp_path):
    """Counted again by the engine: a fit without a test error is the target."""
    out = tmp_path / "out"
    assert se.run(se.Sweep(**FOUR_INPUTS), out).is_complete
    put_out = outputs(FIGURE, out, tmp_path)
    assert "image/png" in put_out
    runs = se.open_results(out).runs(["source", "task.seed", "test_error"], pc.field("fit"))
    frame = runs.to_pandas()
    shares = (frame["test_error"] == 0).groupby([frame["source"], frame["task.seed"]]).mean()
    for side, source in (("guesses", "guess"), ("trained", "sgd")):
        assert 0 < shares[source].mean() < 1
        assert f"{side}: the target is {shares[source].mean():.3f} of them" in put_out


@pytest.mark.parametrize("path", [NOTEBOOK, FIGURE], ids=lambda path: path.stem)
def test_it_is_stored_without_outputs_and_reads_without_the_engine(path):
    """In its first half, or altogether."""
    sources = ["".join(cell["source"]) for cell in cells(path)]
    with_engine = [i for i, text in enumerate(sources) if re.search(r"(import|from) sweep_", text)]
    assert min(with_engine, default=len(sources)) >= len(sources) // 2
    assert not with_engine or path == NOTEBOOK
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells(path))
