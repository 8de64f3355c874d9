"""Parts of tests/benchmarks/step_by_xla.py: what they reckon and compute; nothing is timed."""

import numpy as np
import pytest

from tests.benchmarks import step_by_xla
from tests.benchmarks.step_by_xla import LONG, NETWORKS, SHORT


def test_steps_and_what_a_run_takes_beside_them_are_told_apart():
    """In two rounds, of which the host was half as fast in the second."""
    step, run, of_tile, host = 20.0, 100.0, 30.0, np.array([1.0, 2.0])

    def took(steps, a_step, a_run):
        return NETWORKS * (steps * a_step + a_run) * 1e-6 * host

    found = step_by_xla.parts(
        {f"engine {steps}": took(steps, step, run) for steps in (SHORT, LONG)}
        | {f"tile {steps}": took(steps, of_tile, 0) for steps in (SHORT, LONG)}
        | {"products": 20 * 16 * 15e-6 * host, "large": 2 * 1024**3 / 1e11 * host},
        lanes=16,
    )
    expected = {
        "step": step * host,
        "run": run * host,
        "step_of_tile": of_tile * host,
        "products": 15 * host,
        "products_at_best": 3 * 2 * 128 * 40 * 40 / 1e11 * 1e6 * host,
        "tile_over_engine": [1.5, 1.5],
        "tile_over_engine_in_short_runs": [30 * 64 / (20 * 64 + 100)] * 2,
    }
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(np.array(value), rel=1e-9), name


def test_products_keep_the_size_of_values_in_every_turn():
    """So no time is that of numbers which are 0, infinite or too small to be normal."""
    below, above, *to_weights = map(np.asarray, step_by_xla.products(2)())
    for values in (below, above):
        assert values.shape == (2, 40, 128)
        # A sum of 10,240 squares of standard normals, whose standard error is 1.4 %.
        assert np.mean(values**2) == pytest.approx(1, abs=5 * np.sqrt(2 / values.size))
    for first, second in zip(*to_weights, strict=True):
        assert np.linalg.norm(first) > 0
        assert not np.allclose(first, second)
