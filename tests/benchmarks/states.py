"""The density of states of an example, as a record: ln P of each training error, and means there.

sweep-engine run sweep_engine/examples/states.yaml --out DIR
python -m tests.benchmarks.states DIR    writes records/states.json

Intervals are of 95 %, each by itself, over the repetitions of the source. Beside them stand the
medians of the trained networks that have the same training error.
"""

import json
import sys
from pathlib import Path

from sweep_engine.densities import Study
from sweep_engine.densities.stored.states import density_of_states
from tests.benchmarks.effects import rounded

RECORD = Path(__file__).parent / "records" / "states.json"
COLUMNS = ("l2_norm", "complexity_lz", "test_error")


def rows_of(study):
    """Give one row a training error."""
    (setting,) = (each for each in study.plan.settings.values() if each.spec.weighs_law)
    states = density_of_states(study, setting, COLUMNS)
    trained = study.results.runs(["source", "train_error", *COLUMNS]).to_pandas()
    trained = trained[trained["source"] != setting.source]
    for i, error in enumerate(states.errors):
        row = {"train_error": error} | ends("ln_p", states.log_p, i)
        for name in COLUMNS:
            row |= ends(name, states.means[name], i)
        alike = trained[trained["train_error"] == error]
        row["trained_networks"] = len(alike)
        if len(alike):
            row |= {f"{name}_of_trained": alike[name].median() for name in COLUMNS}
        yield row


def ends(name, curve, i):
    """Name a value and its interval."""
    return {name: curve.value[i], f"{name}_low": curve.low[i], f"{name}_high": curve.high[i]}


if __name__ == "__main__":
    rows = [{k: rounded(v) for k, v in row.items()} for row in rows_of(Study.open(sys.argv[1]))]
    text = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
    RECORD.write_text(f"[\n{text}\n]\n")
