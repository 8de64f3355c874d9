"""A user's own law, given in Python."""

import dataclasses
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import ndtr
from pydantic import ValidationError

from sweep_engine.execution import run
from sweep_engine.laws import Independent, Standard
from sweep_engine.planning import plan
from sweep_engine.report import write_report
from sweep_engine.spec import Sweep
from sweep_engine.spec.laws import CustomLaw
from sweep_engine.spec.load import dump_sweep, restore, spec_id
from sweep_engine.store import open_results

SCALE = "sources.box.law.scale"
SCALES = [0.5, 2.0]
DRAWS = 200


class StandardCauchy(Standard):
    """The law of tan(pi (U - 1/2))."""

    std = float("inf")

    def from_normals(self, z):
        return jnp.tan(jnp.pi * (ndtr(z[0]) - 0.5))

    def log_density(self, x):
        return -jnp.log(jnp.pi * (1 + x**2))


@dataclasses.dataclass(frozen=True)
class Cauchy:
    """Independent Cauchy parameters."""

    scale: float = 1.0
    shared: bool = False

    def distribution(self, layout):
        return Independent(StandardCauchy(), self.scale, layout.num_params)


def sweep_of(law, axes=None):
    return Sweep(
        name="own",
        seed=3,
        task={"kind": "boolean", "bits": 2, "target": "x1", "train": 2},
        model={"kind": "mlp", "widths": [3], "activation": "tanh"},
        sources={
            "box": {"kind": "prior", "law": law, "draws": DRAWS},
            "rare": {"kind": "splitting", "law": law, "particles": 32, "moves": 4},
            "sgd": {"kind": "train", "init": law, "stop": {"max_steps": 2}, "runs": 4},
        },
        axes=axes or {},
        store={"params": "all"},
        execution={"lanes": 8, "implementation": "xla"},
    )


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    out = tmp_path_factory.mktemp("own")
    summary = run(sweep_of(Cauchy(), {SCALE: SCALES}), out)
    assert summary.is_complete
    return summary.plan, out


def test_a_float_is_traced_and_draws_have_each_settings_own(swept):
    """Half of all parameters are smaller than the scale, to within 4 standard errors."""
    found, out = swept
    assert len(found.buckets) == len(plan(sweep_of(Cauchy())).buckets)
    assert len([s for s in found.settings.values() if s.source == "box"]) == len(SCALES)
    results = open_results(out)
    runs = results.runs(["run_id", SCALE, "source"]).to_pylist()
    scale_of = {row["run_id"]: row[SCALE] for row in runs if row["source"] == "box"}
    (stored,) = results.params("box")
    for scale in SCALES:
        chosen = np.isclose([scale_of[run] for run in stored.run_id.tolist()], scale)
        values = np.abs(stored.theta[chosen])
        error = 0.5 / values.size**0.5
        assert values.size == DRAWS * 13
        assert abs((values < scale).mean() - 0.5) < 4 * error
        assert abs((values < 1.5 * scale).mean() - 0.5) > 4 * error


def test_every_command_knows_it(swept):
    found, out = swept
    assert run(found.sweep, out).computed == 0
    assert Path(write_report(out)).exists()
    assert found.sweep.sources["sgd"].sentence == "trained by sgd from the law Cauchy"
    stored = restore(dump_sweep(found.sweep), found.sweep.folder)
    assert spec_id(stored) == spec_id(found.sweep)


def test_shared_is_what_it_is_of_every_law():
    assert CustomLaw.wrap(Cauchy(shared=True)).shared
    assert not CustomLaw.wrap(Cauchy()).shared


@pytest.mark.parametrize("law", ["box", 3, Cauchy])
def test_what_is_no_law_is_refused(law):
    with pytest.raises((ValidationError, ValueError), match=r"distribution\(layout\)|dataclass"):
        sweep_of(law)


def test_it_cannot_be_named_in_a_file():
    named = {"kind": "custom", "target": "os:system", "fields": {}}
    with pytest.raises(ValidationError, match="in Python only"):
        sweep_of(named)
    assert plan(sweep_of(Cauchy())).sweep.sources["box"].law.title == "Cauchy"
