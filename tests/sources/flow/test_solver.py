"""The solver's step and its sizes against diffrax, which it is written out for speed from."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep_engine.sources.flow import solver

RTOL, ATOL = 1e-3, 1e-5


def field(params):
    """A nonlinear one, of leaves of two shapes."""
    a, b = params["a"], params["b"]
    return {"a": jnp.sin(b) - a**3, "b": -b * jnp.sum(a)}


PARAMS = {"a": jnp.array([0.3, -1.2, 0.8]), "b": jnp.array(0.7)}


def test_the_coefficients_are_those_of_tsitouras():
    tableau = diffrax.Tsit5.tableau
    for ours, theirs in zip(solver.STAGES, tableau.a_lower, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(solver.ERROR, tableau.b_error)
    assert tableau.ssal  # the last stage is the step
    assert tableau.fsal  # and its slope the next step's first


@pytest.mark.parametrize("size", [0.1, 0.5])
def test_a_step_and_its_error_are_those_of_diffrax(size):
    tsit5, term = diffrax.Tsit5(), diffrax.ODETerm(lambda t, params, _: field(params))
    end = jnp.float32(size)
    state = tsit5.init(term, 0.0, end, PARAMS, None)
    expected = tsit5.step(term, jnp.float32(0), end, PARAMS, None, state, False)[:2]
    found, slope, error = solver.attempt(field, PARAMS, field(PARAMS), end)
    for ours, theirs, atol in zip((found, error), expected, (1e-6, 1e-6 * size), strict=True):
        jax.tree.map(lambda a, b, atol=atol: np.testing.assert_allclose(a, b, atol=atol), ours,
                     theirs)  # fmt: skip
    jax.tree.map(np.testing.assert_array_equal, slope, field(found))
    assert max(abs(leaf).max() for leaf in jax.tree.leaves(error)) > 1e-9


@pytest.mark.parametrize("scale", [0.0, 0.01, 0.5, 1.5, 40.0, np.inf])
@pytest.mark.parametrize("margin", [0.6, 1.0, 30.0])
def test_sizes_are_those_of_diffrax(scale, margin):
    """An error of so many tolerances, after a step with such a margin: kept or not, what next."""
    controller = diffrax.PIDController(
        rtol=RTOL, atol=ATOL, pcoeff=solver.PROPORTIONAL, icoeff=solver.INTEGRAL
    )
    before, after = jnp.array([1.0, -2.0]), jnp.array([1.5, -1.0])
    error = scale * (ATOL + RTOL * jnp.array([1.5, 2.0]))
    start, size = jnp.float32(1.0), jnp.float32(0.25)
    state = (jnp.float32(margin), jnp.float32(1), False)
    kept, _, end, _, (new_margin, *_), _ = controller.adapt_step_size(
        start, start + size, before, after, None, error, 5, state
    )
    ratio = solver.error_ratio(error, before, after, RTOL, ATOL)
    wanted, told = solver.next_size(size, ratio, jnp.float32(margin))
    assert bool(kept) == bool(ratio < 1)
    np.testing.assert_allclose(wanted, end - (start + size if kept else start), rtol=1e-5)
    if kept:
        np.testing.assert_allclose(told, new_margin, rtol=1e-5)


def test_what_is_no_number_is_taken_back():
    ratio = solver.error_ratio(jnp.array([jnp.nan, 0.0]), jnp.ones(2), jnp.ones(2), RTOL, ATOL)
    size, _ = solver.next_size(jnp.float32(1), ratio, jnp.float32(1))
    assert ratio == jnp.inf
    assert size == solver.LEAST_FACTOR


@pytest.mark.parametrize(
    ("params", "slope"), [([0.0], [1.0]), ([1.0], [0.0]), ([1.0], [np.nan]), ([1e30], [1.0])]
)
def test_the_first_step_is_finite(params, slope):
    size = solver.first_size(jnp.array(params), jnp.array(slope), RTOL, ATOL)
    assert 0 < size < np.inf
