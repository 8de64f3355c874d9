"""The estimates of an example's results, as a record.

sweep-engine run sweep_engine/examples/NAME.yaml --out DIR
python -m tests.benchmarks.compared DIR    after `report`; writes records/NAME.json
"""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq

RECORDS = Path(__file__).parent / "records"
SHOWN = ("source", "reference", "observable", "at", "name", "value", "low", "high", "unit")

if __name__ == "__main__":
    out = Path(sys.argv[1])
    name = json.loads((out / "sweep.json").read_text())["sweep"]["name"]
    rows = pq.read_table(out / "comparisons.parquet").select(SHOWN).to_pylist()
    kept = [{k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows]
    text = ",\n".join(json.dumps(row) for row in kept)
    (RECORDS / f"{name}.json").write_text(f"[\n{text}\n]\n")
