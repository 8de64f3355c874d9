"""Intrinsic dynamics: does gradient flow of theta close on phi(theta), from this point?

Gradient flow moves phi by -M(theta) grad L, M = dphi dphi', and conserves h(theta). So phi moves
by itself where M is a function of phi and h. To first order: where the derivative of M vanishes
along every direction that changes neither phi nor h.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from sweep_engine.columns import Column
from sweep_engine.observables.factorisations import Factorisation, factorisation
from sweep_engine.observables.observable import Observable, Outcome
from sweep_engine.singular_values import singular_values
from sweep_engine.spec.observables import IntrinsicDynamics


def intrinsic_dynamics(spec: IntrinsicDynamics) -> Observable:
    """Make the observable."""
    return Observable(
        _columns(spec),
        compute=lambda outcome: _compute(spec, outcome),
        needs=("factorisation", "short_theta"),
    )


def _columns(spec: IntrinsicDynamics) -> tuple[Column, ...]:
    return (
        Column("is_intrinsic", "bool", "",
               f"intrinsic_defect is at most {spec.tolerance:g}; false where it is NaN"),
        Column("intrinsic_defect", "float32", "",
               "|theta| |DM| / |M| along directions that keep phi and what is conserved: M = dphi "
               "dphi' moves phi under gradient flow; 0: the flow of phi closes on itself"),
        Column("lifting_defect", "float32", "",
               "the same along all directions that keep phi: 0 needs no conserved quantity"),
        Column("free_directions", "int32", "",
               f"of those directions: singular values of d(phi, h) below {spec.rank_tolerance:g} "
               "of the largest, each part over its own norm"),
        Column("rank_gap", "float32", "",
               "the smallest other singular value, as a share of the largest: near "
               f"{spec.rank_tolerance:g} the number of directions is uncertain"),
        Column("lifting_rank", "int32", "", "rank of dphi"),
        Column("conserved_rank", "int32", "",
               "rank of dh: how many conserved quantities are independent here"),
        Column("conserved_count", "int32", "", "how many are at generic points, by theory"),
    )  # fmt: skip


def _compute(spec: IntrinsicDynamics, outcome: Outcome) -> dict[str, Array]:
    known, theta = factorisation(outcome.network), outcome.theta
    assert known is not None
    phi = _unit(jax.jacfwd(known.lift)(theta))
    conserved = _unit(jax.jacfwd(lambda theta: _flat(known, theta))(theta))
    basis, is_free, gap = _free(jnp.concatenate([phi, conserved]), spec.rank_tolerance)
    lifting_basis, keeps_phi, _ = _free(phi, spec.rank_tolerance)
    defect = _defect(known, theta, basis, is_free)
    return {
        "is_intrinsic": defect <= spec.tolerance,
        "intrinsic_defect": defect,
        "lifting_defect": _defect(known, theta, lifting_basis, keeps_phi),
        "free_directions": jnp.sum(is_free, dtype=jnp.int32),
        "rank_gap": gap,
        "lifting_rank": len(theta) - jnp.sum(keeps_phi, dtype=jnp.int32),
        "conserved_rank": _rank(conserved, spec.rank_tolerance),
        "conserved_count": jnp.int32(known.num_conserved),
    }


def _flat(known: Factorisation, theta: Float[Array, " P"]) -> Float[Array, " m"]:
    """Join the conserved quantities; of a symmetric matrix the lower triangle."""
    layers = known.conserved(theta)
    return jnp.concatenate([h if h.ndim == 1 else h[jnp.tril_indices(len(h))] for h in layers])


def _unit(jacobian: Float[Array, "d P"]) -> Float[Array, "d P"]:
    """Divide by the norm: phi and h have different units."""
    size = jnp.sqrt(jnp.sum(jacobian * jacobian))
    return jacobian / jnp.where(size > 0, size, 1.0)


def _free(
    jacobian: Float[Array, "d P"], tolerance: float
) -> tuple[Float[Array, "P P"], Bool[Array, " P"], Float[Array, ""]]:
    """Return orthonormal rows, which of them span the null space, and the least other value.

    An SVD, not the eigenvalues of the Gram matrix, in which half of the digits are lost.
    """
    num_params = jacobian.shape[1]
    _, values, rows = jnp.linalg.svd(jacobian, full_matrices=True)
    values = jnp.pad(values, (0, num_params - len(values)))
    shares = values / jnp.where(values[0] > 0, values[0], 1.0)
    is_free = shares <= tolerance
    return rows, is_free, jnp.min(jnp.where(is_free, jnp.inf, shares))


def _rank(jacobian: Float[Array, "d P"], tolerance: float) -> Int[Array, ""]:
    values, _ = singular_values(jacobian)
    return jnp.sum(values > tolerance * values[0], dtype=jnp.int32)


def _defect(
    known: Factorisation,
    theta: Float[Array, " P"],
    basis: Float[Array, "P P"],
    is_free: Bool[Array, " P"],
) -> Float[Array, ""]:
    """Compute |theta| sqrt(sum |D_v M|^2) / |M| over an orthonormal basis of the free directions.

    The sum of squares does not depend on the basis. The norm is Frobenius', and no scale of theta
    changes the number.
    """

    def metric(theta: Float[Array, " P"]) -> Float[Array, "d d"]:
        jacobian = jax.jacfwd(known.lift)(theta)
        return jacobian @ jacobian.T

    def square(direction: Float[Array, " P"]) -> Float[Array, ""]:
        change = jax.jvp(metric, (theta,), (direction,))[1]
        return jnp.sum(change * change)

    squares = jax.lax.map(square, basis)
    own = metric(theta)
    total = jnp.sum(jnp.where(is_free, squares, 0.0)) / jnp.sum(own * own)
    return jnp.sqrt(total) * jnp.linalg.norm(theta)
