"""Low-dimensional coordinates of theta, or of its canonical form.

Every estimator of sections 1-D and 2-D then applies to where networks lie in parameter space.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int64

from sweep_engine.columns import Column
from sweep_engine.models import Network, canonicalise
from sweep_engine.observables.observable import Basis, FittedObservable, Observable, Outcome
from sweep_engine.spec.observables import Coordinates


def coordinates(spec: Coordinates) -> Observable:
    """Make the observable; `pca` is computed only once its basis has been fitted."""
    if spec.method == "random":
        return Observable(_columns(spec), partial(_on_random_directions, spec), needs=_needs(spec))
    return FittedObservable(
        _columns(spec),
        needs=_needs(spec),
        is_late=True,
        components=spec.components,
        point=partial(point_of, spec),
        on_basis=lambda basis: Observable(
            _columns(spec), partial(_on_basis, spec, basis), needs=_needs(spec), is_late=True
        ),
    )


def _columns(spec: Coordinates) -> tuple[Column, ...]:
    of = f"{spec.method} of {'canonical ' if spec.canonical else ''}theta"
    of += " with scales divided out" if spec.scaling else ""
    where = f", fitted on {spec.fitted_on}" if spec.fitted_on else ""
    return tuple(
        Column(name, "float32", "", f"coordinate {i} of {of}{where}")
        for i, name in enumerate(spec.column_names, start=1)
    )


def _needs(spec: Coordinates) -> tuple[str, ...]:
    return ("dense",) if spec.canonical else ()


def point_of(spec: Coordinates, network: Network, theta: Float[Array, " P"]) -> Float[Array, " P"]:
    """What is projected: theta, or its canonical form."""
    if not spec.canonical:
        return theta
    return canonicalise(network, theta, scaling=spec.scaling).theta


def is_fitted_on(run_id: Int64[np.ndarray, " R"], unit_size: int) -> Bool[np.ndarray, " R"]:
    """Say which runs of a source a basis is fitted on: every other unit.

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


def _on_random_directions(spec: Coordinates, outcome: Outcome) -> dict[str, Array]:
    return _on_basis(spec, random_basis(len(outcome.theta), spec.components), outcome)


def _on_basis(spec: Coordinates, basis: Basis, outcome: Outcome) -> dict[str, Array]:
    point = point_of(spec, outcome.network, outcome.theta)
    offset = point - jnp.asarray(basis.mean, point.dtype)
    components = jnp.asarray(basis.components, point.dtype)
    values = jnp.dot(components, offset, precision=jax.lax.Precision.HIGHEST)
    return dict(zip(spec.column_names, values, strict=True))
