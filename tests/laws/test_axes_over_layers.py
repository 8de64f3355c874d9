"""Sweeping the members of a law of layers: their scales are traced under their index."""

import jax
import numpy as np
import pytest

from sweep_engine import laws
from sweep_engine.errors import SpecError
from sweep_engine.models import build
from sweep_engine.spec import Sweep, settings
from sweep_engine.spec.base import static_part, traced_fields, with_traced
from sweep_engine.spec.models import Mlp

LAW = {"kind": "layers", "layers": [{"kind": "gaussian", "std": 0.5}, {"kind": "sphere"}]}


def _settings(axes):
    return settings(
        Sweep(
            name="layers",
            task={"kind": "boolean", "bits": 3, "train": 4},
            model={"kind": "mlp", "widths": [4]},
            sources={"prior": {"kind": "prior", "law": LAW, "draws": 10}},
            axes=axes,
        )
    )


def test_scales_of_members_are_traced_under_their_index():
    found = _settings({"sources.prior.law.layers.1.radius": {"log_grid": [1.0, 4.0], "points": 2}})
    assert [dict(traced_fields(s.spec)) for s in found] == [
        {"law.layers.0.std": 0.5, "law.layers.1.radius": radius} for radius in (1.0, 4.0)
    ]
    assert static_part(found[0].spec) == static_part(found[1].spec)
    assert found[0].id != found[1].id


def test_every_lane_draws_with_its_own_scales():
    layout = build(Mlp(widths=(4,)), (3,), 1).layout
    (setting,) = _settings({})

    def draw(key, radius):
        spec = with_traced(setting.spec, {"law.layers.1.radius": radius})
        return laws.sample(spec.law, layout, key)

    keys = jax.random.split(jax.random.key(0), 2)
    theta = jax.jit(jax.vmap(draw))(keys, np.float32([2, 3]))
    np.testing.assert_allclose(np.linalg.norm(theta[:, 16:], axis=1), [2, 3], rtol=1e-6)


def test_a_member_can_be_swept_as_a_whole():
    path = "sources.prior.law.layers.0"
    found = _settings({path: [{"kind": "box", "half_width": 2}, {"kind": "laplace"}]})
    assert [s.spec.law.layers[0].kind for s in found] == ["box", "laplace"]
    assert [s.spec.law.layers[1].kind for s in found] == ["sphere", "sphere"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("layers.2.radius", r"no field named '2' here.*allowed: 0, 1"),
        ("layers.1.std", r"no field named 'std' here"),
        ("layers.1.per_layer.x", r"no field named 'x' here"),
    ],
)
def test_wrong_paths(path, message):
    with pytest.raises(SpecError, match=message):
        _settings({f"sources.prior.law.{path}": [1.0]})


def test_values_that_do_not_fit():
    with pytest.raises(SpecError, match=r"-1\.0 does not fit"):
        _settings({"sources.prior.law.layers.0.std": [-1.0]})
