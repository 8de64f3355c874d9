"""Normalizing flows: densities of two samples in several columns, for bounds of KL and TV.

The difference of two fitted log densities, E_P[ln p̂ - ln q̂] over fresh draws, is no bound of
KL(P ‖ Q): it lacks KL(P ‖ p̂) and has E_P ln(q / q̂) too much, which can be of either sign. So both
densities serve as a witness T = ln p̂ - ln q̂ on draws that they were not fitted to: a lower bound
whatever they missed (`witness`).
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from sweep_engine.densities.draws import Draws
from sweep_engine.densities.estimator import Estimator, Takes
from sweep_engine.densities.points.classifier import platt
from sweep_engine.densities.points.independent import Points, points
from sweep_engine.densities.points.witness import Witness, witness_quantities
from sweep_engine.densities.trust import Trust
from sweep_engine.errors import IncomparableSources

BLUR = 0.05
"""Standard deviation of the noise that both samples get, in spreads of their column."""

LAYERS, WIDTH, EPOCHS, PATIENCE, BATCH, RATE = 3, 32, 40, 5, 128, 2e-3
MAX_DRAWS = 10_000

Cloud = Float[np.ndarray, "n D"]
Logs = Float[np.ndarray, " n"]


class Flow(Estimator[Draws]):
    """Bounds TV and KL from below by flows fitted to one half, measured on the other.

    Both halves take both parts, and so do halves of them for the ratio's calibration. Solutions
    lie on sets of fewer dimensions, where a likelihood diverges: use columns that are
    coordinates of the set. What is left of atoms and flat directions is taken by noise of 0.05
    spreads of each column, the same law on both sides, under which a divergence can only fall.

    Source:
        Papamakarios, Pavlakou & Murray (2017), NeurIPS: masked autoregressive flows, by
        flowjax. Donsker & Varadhan, as in `witness`.
    """

    name = "flow"
    takes = Takes.TWO_COLUMNS_OR_MORE
    trust = Trust(name, 500, max_dimension=4, max_nats=2.0, beyond="a lower bound, and far below")
    seconds = 30.0
    quantities = witness_quantities(name)

    def look(self, source: Draws, reference: Draws, seed: int) -> Witness:
        """Fit the flows.

        Raises:
            IncomparableSources: One column, the extra `flows` is not installed, or the flows give
                no density at some of the draws.
        """
        self.takes.check(self.name, source)
        rng = np.random.default_rng([seed, 11])
        sample = points(source, reference, self.trust, rng, max_draws=MAX_DRAWS)
        _require_extra()
        method = (
            "autoregressive flows on one half, calibrated and measured on the other, under noise "
            f"of {BLUR:g} spreads"
        )
        halves = _log_ratios(sample, rng)
        return Witness(self.name, self.trust, sample, halves, seed=seed, method=method)


def _log_ratios(sample: Points, rng: np.random.Generator) -> list[tuple[Logs, Logs]]:
    """Ln(p / q) at every point, by flows that did not see it."""
    blurred = [
        cloud + BLUR * rng.normal(size=cloud.shape) for cloud in (sample.source, sample.reference)
    ]
    halves = [(cloud[::2], cloud[1::2]) for cloud in blurred]
    ratios = []
    for part in (0, 1):
        ln_p, ln_q = (fit_log_density(half[part], int(rng.integers(2**31))) for half in halves)
        learnt = (_difference(ln_p(half[1 - part]), ln_q(half[1 - part])) for half in halves)
        ratios.append(_calibrated(*learnt))
    return ratios


def _difference(p: Logs, q: Logs) -> Logs:
    """Ln(p / q) of log densities, all of which have to be known."""
    lost = int((~np.isfinite(p) | ~np.isfinite(q)).sum())
    if lost:
        raise IncomparableSources(
            f"flows: no density was found at {lost:,} of {len(p):,} held-out draws; use "
            "`knn` or `c2st`"
        )
    return p - q


def _calibrated(p: Logs, q: Logs) -> tuple[Logs, Logs]:
    """Scale and shift held-out log ratios, by what fits the other half of them (Platt).

    Flows of many columns are too sure of themselves: their ratio is right but for a factor.
    """
    calibrated = np.zeros_like(p), np.zeros_like(q)
    for part in (0, 1):
        chosen = p[part::2], q[part::2]
        is_source = np.arange(len(chosen[0]) + len(chosen[1])) < len(chosen[0])
        slope, shift, _ = platt(np.concatenate(chosen), is_source)
        for ratio, t in zip(calibrated, (p, q), strict=True):
            ratio[1 - part :: 2] = slope * t[1 - part :: 2] + shift
    return calibrated


def fit_log_density(cloud: Cloud, seed: int) -> Callable[[Cloud], Logs]:
    """Fit a flow by maximum likelihood, stopped by a tenth of the points that it does not see.

    Args:
        cloud: One point a row.
        seed: Of minibatches and the points left out.

    Returns:
        From points to ln density, in nats.
    """
    import jax
    import jax.numpy as jnp
    from flowjax.train import fit_to_data

    # Whitened first, so that what is Gaussian need not be learnt.
    centre, root = cloud.mean(axis=0), np.linalg.cholesky(np.cov(cloud.T))
    white = np.linalg.inv(root).T
    untrained, optimizer, evaluate = _programs(cloud.shape[1])
    fitted, _ = fit_to_data(
        jax.random.key(seed), untrained, jnp.asarray((cloud - centre) @ white, jnp.float32),
        optimizer=optimizer, max_epochs=EPOCHS, max_patience=PATIENCE, batch_size=BATCH,
        show_progress=False,
    )  # fmt: skip
    log_volume = float(np.log(np.diag(root)).sum())

    def log_density(at: Cloud) -> Logs:
        whitened = jnp.asarray((at - centre) @ white, jnp.float32)
        return np.asarray(evaluate(fitted, whitened), float) - log_volume

    return log_density


@functools.cache
def _programs(dimension: int) -> tuple[Any, Any, Any]:
    """The flow that all fits start from, the optimiser, and the density: each compiled once.

    Made anew, they would be other objects to JAX, and every fit would be compiled again.
    """
    import equinox
    import jax
    import jax.numpy as jnp
    import optax
    from flowjax.distributions import Normal
    from flowjax.flows import masked_autoregressive_flow

    untrained = masked_autoregressive_flow(
        jax.random.key(0), base_dist=Normal(jnp.zeros(dimension)), flow_layers=LAYERS,
        nn_width=WIDTH,
    )  # fmt: skip
    optimizer = optax.chain(optax.clip_by_global_norm(5.0), optax.adam(RATE))
    return untrained, optimizer, equinox.filter_jit(lambda flow, at: flow.log_prob(at))


def _require_extra() -> None:
    try:
        import flowjax  # noqa: F401  # only whether it is there
    except ModuleNotFoundError:
        raise IncomparableSources(
            "flow needs an extra that is not installed: pip install 'sweep-engine[flows]'"
        ) from None
