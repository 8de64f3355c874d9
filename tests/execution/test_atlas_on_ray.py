"""The atlas for a cluster in miniature: `atlas_large.yaml` with fewer levels, here and on Ray."""

from pathlib import Path

import yaml

import sweep_engine as se
from sweep_engine.execution import run
from sweep_engine.spec import Sweep
from sweep_engine.store import open_results

EXAMPLE = Path(se.__file__).parent / "examples" / "atlas_large.yaml"
MODELS = {"40": [4], "40-40": [4, 4]}
"""The levels that are kept of this factor, besides both of the start and of the rate."""


def miniature():
    """The file with small networks on four bits, a few draws and fewer levels."""
    sweep = yaml.safe_load(EXAMPLE.read_text())
    sweep["task"] |= {"bits": 4, "train": 4}
    sweep["sources"]["sgd"] |= {"runs": 16, "stop": {"max_steps": 300}}
    sweep["sources"]["prior"] |= {"particles": 64, "repetitions": 2}
    design = sweep["design"]
    factors = {name: design["factors"][name] for name in ("start", "rate")}
    factors["model"] = {name: {"model.widths": widths} for name, widths in MODELS.items()}
    base = {name: design["base"][name] for name in ("model", "start", "rate")}
    sweep["design"] = {"kind": "full", "base": base, "factors": factors}
    return Sweep.model_validate(sweep)


def test_the_rows_and_the_effects_are_the_same_on_ray(local_ray, tmp_path):
    from sweep_engine.backends.ray.backend import RayBackend

    sweep, here, there = miniature(), tmp_path / "here", tmp_path / "there"
    assert run(sweep, here).is_complete
    assert run(sweep, there, make_backend=RayBackend).is_complete
    one, two = (open_results(out).runs().sort_by("run_id") for out in (here, there))
    for name in one.column_names:  # NaN is equal to NaN here
        assert repr(one[name].to_pylist()) == repr(two[name].to_pylist()), name
    (of_here,), (of_there,) = se.effects(here), se.effects(there)
    assert len(of_here.rows) == 2 * 2 * 2
    assert {row.levels["model"] for row in of_here.rows} == set(MODELS)
    assert of_here.to_dict() == of_there.to_dict()
