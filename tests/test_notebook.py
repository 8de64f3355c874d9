"""The notebook that ships with the examples: it runs as it is, on results of its sweep's form."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import sweep_engine as se

NOTEBOOK = Path(se.__file__).parent / "examples" / "from_parquet.ipynb"


def cells(path):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_runs_as_it_stands(boolean_results, tmp_path):
    done = tmp_path / "done.ipynb"
    jupyter = Path(sys.executable).parent / "jupyter-execute"
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")
    own = dict.fromkeys(places, str(tmp_path))
    subprocess.run(
        [jupyter, NOTEBOOK, f"--output={done}"],
        env=os.environ | own | {"SWEEP_RESULTS": str(boolean_results)},
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
