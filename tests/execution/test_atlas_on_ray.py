"""The atlas for a cluster in miniature: `atlas_large.yaml` with fewer levels, here and on Ray."""

from pathlib import Path

import yaml

import sweep_engine as se
from sweep_engine.execution import run
from sweep_engine.spec import Sweep
from sweep_engine.store import open_results

EXAMPLE = Path(se.__file__).parent / "examples" / "atlas_large.yaml"
LEVELS = {"target": ["dictator"], "model": ["40", "40-40"]}
"""That are kept of these factors, besides both levels of the start and of the rate."""


def miniature():
    """The file with small networks on four bits, a few draws and fewer levels."""
    sweep = yaml.safe_load(EXAMPLE.read_text())
    sweep["task"] |= {"bits": 4, "train": 6}
    sweep["sources"]["sgd"] |= {"runs": 16, "stop": {"max_steps": 300}}
    sweep["sources"]["prior"] |= {"particles": 16, "repetitions": 2}
    design = sweep["design"]
    factors = {name: design["factors"][name] for name in (*LEVELS, "start", "rate")}
    for name, kept in LEVELS.items():
        factors[name] = {level: factors[name][level] for level in kept}
    factors["model"] = {
        name: {"model.widths": [4] * len(level["model.widths"])}
        for name, level in factors["model"].items()
    }
    base = {name: design["base"][name] for name in ("model", "start", "rate")}
    sweep["design"] = {"kind": "full", "base": base, "factors": factors}
    return Sweep.model_validate(sweep)


def test_the_rows_and_the_effects_are_the_same_on_ray(local_ray, tmp_path):
    from sweep_engine.backends.ray.backend import RayBackend

    sweep, here, there = miniature(), tmp_path / "here", tmp_path / "there"
    assert run(sweep, here).is_complete
    assert run(sweep, there, make_backend=RayBackend).is_complete
    one, two = (open_results(out).runs().sort_by("run_id") for out in (here, there))
    differ = [name for name in one.column_names if not one[name].equals(two[name])]
    assert differ == []
    (of_here,), (of_there,) = se.effects(here), se.effects(there)
    assert len(of_here.rows) == 2 * 2 * 2
    assert {row.levels["model"] for row in of_here.rows} == set(LEVELS["model"])
    assert of_here.to_dict() == of_there.to_dict()
