"""Low-dimensional coordinates of theta, or of its canonical form.

Every estimator of sections 1-D and 2-D then applies to where networks lie in parameter space.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int64

from sweep_engine.columns import Column
from sweep_engine.models import Network, canonicalise
from sweep_engine.observables.observable import Observable, Outcome
from sweep_engine.spec.observables import Coordinates


class Basis(NamedTuple):
    """What theta is projected on.

    Attributes:
        mean: The origin, shape (P,).
        components: Orthonormal rows, shape (k, P).
        variances: Of the reference along each, shape (k,); NaN for random directions.
    """

    mean: Float[np.ndarray, " P"]
    components: Float[np.ndarray, "k P"]
    variances: Float[np.ndarray, " k"]


def coordinates(spec: Coordinates, basis: Basis | None = None) -> Observable:
    """Make the observable; `pca` is computed only once its basis has been fitted."""
    of = f"{spec.method} of {'canonical ' if spec.canonical else ''}theta"
    of += " with scales divided out" if spec.scaling else ""
    where = f", fitted on {spec.reference}" if spec.reference else ""
    names = column_names(spec)
    compute = None
    if basis is not None or spec.method == "random":
        compute = lambda outcome: dict(zip(names, _project(spec, basis, outcome), strict=True))  # noqa: E731
    return Observable(
        columns=tuple(
            Column(name, "float32", "", f"coordinate {i} of {of}{where}")
            for i, name in enumerate(names, start=1)
        ),
        compute=compute,
        needs=("dense",) if spec.canonical else (),
        is_late=spec.method == "pca",
    )


def column_names(spec: Coordinates) -> list[str]:
    """The columns: what is projected, how, and the number of the coordinate, from 1."""
    what = ("scaled" if spec.scaling else "canonical") if spec.canonical else "theta"
    return [f"{what}_{spec.method}_{i}" for i in range(1, spec.components + 1)]


def point_of(spec: Coordinates, network: Network, theta: Float[Array, " P"]) -> Float[Array, " P"]:
    """What is projected: theta, or its canonical form."""
    if not spec.canonical:
        return theta
    return canonicalise(network, theta, scaling=spec.scaling).theta


def is_fitted_on(run_id: Int64[np.ndarray, " R"], unit_size: int) -> Bool[np.ndarray, " R"]:
    """Say which runs of the reference a basis is fitted on: every other unit.

    They get no coordinates: a law is always wider along axes that were fitted on its own draws,
    and so would differ from itself.

    Args:
        run_id: The last 32 bits are the index in the setting.
        unit_size: How many draws depend on one another.
    """
    return (run_id & 0xFFFFFFFF) // unit_size % 2 == 0


def fit_basis(points: Float[np.ndarray, "R P"], components: int) -> Basis:
    """Fit principal components; each one's largest entry is positive.

    Raises:
        ValueError: there are not more points than components, or a point is not finite.
    """
    rank = min(len(points) - 1, points.shape[1])
    if rank < components:
        raise ValueError(f"{components} components need more than {len(points)} points")
    if not np.all(np.isfinite(points)):
        raise ValueError("a point is not finite")
    mean = points.mean(axis=0, dtype=float)
    _, values, rows = np.linalg.svd(points - mean, full_matrices=False)
    rows, values = rows[:components], values[:components]
    largest = np.take_along_axis(rows, np.argmax(np.abs(rows), axis=1)[:, None], axis=1)
    return Basis(mean, rows * np.sign(largest), values**2 / (len(points) - 1))


def random_basis(num_params: int, components: int) -> Basis:
    """Orthonormal random directions, the same for every network with as many parameters.

    Raises:
        ValueError: there are fewer parameters than components.
    """
    if components > num_params:
        raise ValueError(f"{components} components of {num_params} parameters")
    gaussian = np.random.default_rng(num_params).normal(size=(num_params, components))
    rows = np.linalg.qr(gaussian)[0].T
    return Basis(np.zeros(num_params), rows, np.full(components, np.nan))


def _project(spec: Coordinates, basis: Basis | None, outcome: Outcome) -> Float[Array, " k"]:
    basis = basis or random_basis(len(outcome.theta), spec.components)
    point = point_of(spec, outcome.network, outcome.theta)
    offset = point - jnp.asarray(basis.mean, point.dtype)
    return jnp.dot(
        jnp.asarray(basis.components, point.dtype), offset, precision=jax.lax.Precision.HIGHEST
    )
