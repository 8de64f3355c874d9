"""Lifting: phi(theta), the coordinates through which a network's function depends on theta."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep_engine.columns import Column
from sweep_engine.observables.factorisations import Factorisation, factorisation
from sweep_engine.observables.observable import Observable, Outcome
from sweep_engine.spec.observables import Lifting


def lifting(spec: Lifting) -> Observable:
    """Make the observable."""
    short = () if spec.projections else ("short_lifting",)
    return Observable(
        _columns(spec),
        compute=lambda outcome: _compute(spec, outcome),
        needs=("factorisation", *short, "start_if_known"),
    )


def _columns(spec: Lifting) -> tuple[Column, ...]:
    phi = "phi: relu, the product of weights along every path from an input or a bias to an "
    phi += "output; linear, the end-to-end product; diagonal, beta; scalar, ab"
    listed = Column("lifting", "list<float32>", "", phi)
    projected = [
        Column(name, "float32", "", f"random projection {i} of {spec.projections} of {phi}")
        for i, name in enumerate(spec.column_names, start=1)
    ]
    return (
        *(projected or [listed]),
        Column("lifting_norm", "float32", "", "|phi|, over all coordinates"),
        Column("lifting_distance", "float32", "", "|phi - phi of the start|; null for a draw"),
        Column("relative_lifting_distance", "float32", "", "the same over |phi of the start|"),
    )


def _compute(spec: Lifting, outcome: Outcome) -> dict[str, Array]:
    known = factorisation(outcome.network)
    assert known is not None
    theta, zero = outcome.theta, jnp.zeros_like(outcome.theta)
    values = {"lifting_norm": known.distance(theta, zero)}
    if spec.projections:
        values |= zip(spec.column_names, projections(known, theta, spec), strict=True)
    else:
        values["lifting"] = known.lift(theta)
    if outcome.start is None:
        return values
    distance = known.distance(theta, outcome.start)
    return values | {
        "lifting_distance": distance,
        "relative_lifting_distance": distance / known.distance(outcome.start, zero),
    }


def projections(
    known: Factorisation, theta: Float[Array, " P"], spec: Lifting
) -> Float[Array, " k"]:
    """Project phi on random signs, over the root of k: their scalar products are phi's on average.

    Source:
        Achlioptas (2003), J. Comput. Syst. Sci. 66, 671 (random signs).
    """
    assert spec.projections is not None
    keys = jax.random.split(jax.random.key(spec.seed), spec.projections)
    projected: Array = jax.lax.map(lambda key: known.project(theta, key), keys)
    return projected / spec.projections**0.5
