"""Models beyond the mlp from a sweep file to the page: here and on Ray, resumed, observed later."""

from pathlib import Path

import pytest

from sweep_engine.backends.ray import roll
from sweep_engine.backends.ray.roll import places
from sweep_engine.errors import Interrupted
from sweep_engine.execution import observe, run
from sweep_engine.report import write_report
from sweep_engine.spec import Sweep
from sweep_engine.spec.sources import sizes
from sweep_engine.store import open_results
from tests.sources.conformance import stopping_after

BITS = {"kind": "boolean", "bits": 3, "target": "x1", "train": 4}
IMAGES = {
    "kind": "mnist", "classes": [0, 7], "train": 8, "test": 4, "shape": "image",
    "steps": [{"kind": "max_pool", "side": 2}],
}  # fmt: skip
SUMS = {"kind": "modular", "modulus": 3, "train": 6, "inputs": "tokens"}
PLACES = {
    "mlp with a norm": (BITS, {"kind": "mlp", "widths": [4], "norm": "layer"}),
    "residual": (BITS, {"kind": "residual", "blocks": 1, "width": 4, "norm": "rms"}),
    "cnn": (IMAGES, {"kind": "cnn", "channels": [2], "max_pool": 2}),
    "lenet": (IMAGES, {"kind": "lenet", "channels": [2, 2], "dense": [4, 3]}),
    "transformer": (
        SUMS,
        {"kind": "transformer", "vocabulary": 3, "width": 4, "heads": 1, "hidden": 4},
    ),
}
SWEEP = Sweep.model_validate(
    {
        "name": "models",
        "seed": 4,
        "task": BITS,
        "model": {"kind": "mlp"},
        "sources": {
            "sgd": {
                "kind": "train",
                "init": {"kind": "torch"},
                "stop": {"max_steps": 3, "fit": False},
                "runs": 5,
            },
            "prior": {"kind": "prior", "law": {"kind": "torch"}, "draws": 6},
        },
        "axes": {
            "zip": [
                {
                    "task": [task for task, _ in PLACES.values()],
                    "model": [model for _, model in PLACES.values()],
                }
            ]
        },
        "observables": ["norms"],
        "compare": [{"source": "sgd", "reference": "prior", "observable": "l2_norm"}],
        "execution": {"lanes": 4},
    }
)


def rows(out):
    return open_results(out).runs().sort_by("run_id").drop(["bucket", "source"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Stopped after the first shards and gone on with, in shards of two runs."""
    out = tmp_path_factory.mktemp("models") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "RUNS_PER_SHARD", 2)
        with pytest.raises(Interrupted):
            run(SWEEP, out, should_stop=stopping_after(8))
        assert run(SWEEP, out).is_complete
    return out


def test_every_one_has_its_rows_and_a_page(whole):
    found = rows(whole)
    assert len(found) == len(PLACES) * (5 + 6)
    assert len(set(found["setting"].to_pylist())) == 2 * len(PLACES)
    assert found["l2_norm"].null_count == found["train_loss"].null_count == 0
    page = Path(write_report(whole)).read_text()
    assert all(model["kind"] in page for _, model in PLACES.values())


def test_stored_networks_are_observed_later(whole):
    observe(whole, ["input_gradient"])
    assert rows(whole)["input_gradient_norm"].null_count == 0


def test_the_same_rows_on_ray_uncut(whole, local_ray, monkeypatch, tmp_path):
    from sweep_engine.backends.ray.backend import RayBackend

    monkeypatch.setattr(roll, "places", lambda nodes: places(nodes)[:1])
    assert run(SWEEP, tmp_path, make_backend=RayBackend).is_complete
    there, here = rows(tmp_path), rows(whole)
    differ = [name for name in there.column_names if not there[name].equals(here[name])]
    assert {name: (here[name].to_pylist(), there[name].to_pylist()) for name in differ} == {}
