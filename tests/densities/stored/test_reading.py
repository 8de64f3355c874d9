"""What is opened to answer about some settings."""

from sweep_engine.densities import Study
from sweep_engine.execution import run
from sweep_engine.spec import Sweep
from sweep_engine.store import scan

SWEEP = Sweep(
    name="reading",
    task={"kind": "boolean", "bits": 3, "target": "x1", "train": 4},
    model={"kind": "mlp"},
    sources={"prior": {"kind": "prior", "law": {"kind": "gaussian"}, "draws": 8}},
    axes={"model.widths": [[2], [3], [4]]},
    observables=["norms", "function"],
)


def test_files_of_other_buckets_are_left_alone(tmp_path, monkeypatch):
    """A sweep of thousands of programs has as many files, of which a setting needs its own."""
    assert run(SWEEP, tmp_path).is_complete
    study = Study.open(tmp_path)
    first, *_ = study.plan.settings
    _ = study.results.table("runs").schema, study.results.table("tallies").schema
    opened = []
    check = scan.check_footers

    def counting(files, records):
        opened.extend(record.path for record in records)
        check(files, records)

    monkeypatch.setattr(scan, "check_footers", counting)
    draws = study.draws("prior", [first], ["l2_norm"], "all")
    names, counts = study.function_counts("prior", [first], "all")
    study.fit_probability([study.plan.settings[first]])
    assert len(draws) == counts.sum() == 8
    assert len(names) > 1
    (bucket,) = (name for name, ids in study.plan.buckets.items() if first in ids)
    assert {path.split("/")[0] for path in opened} == {"runs", "tallies"}
    assert all(f"bucket={bucket}/" in path for path in opened)
    assert len(opened) == 3
    assert len(study.draws("prior", list(study.plan.settings), ["l2_norm"], "all")) == 24
