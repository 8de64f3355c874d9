"""Rank and sparsity: of weights, of the end-to-end product, of features and hidden units."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from sweep_engine.columns import Column
from sweep_engine.models import (
    DenseLayers,
    dense_layers,
    end_to_end,
    is_dense,
    is_linear,
    slope,
)
from sweep_engine.observables.factorisations import factorisation
from sweep_engine.observables.factorisations.factorisation import norm
from sweep_engine.observables.observable import Observable, Outcome
from sweep_engine.observables.scales import weight_matrices
from sweep_engine.singular_values import singular_values
from sweep_engine.spec.observables import Rank

FLAT = 0.1
"""A unit is saturated where the slope of its activation is below this on all training inputs."""

SAME_ANGLE = 0.01
"""Units whose activations span a smaller angle, in radians, are duplicates: above rounding."""


class Ranks(NamedTuple):
    """What is said of a matrix's singular values s_1 >= s_2 >= ...

    Attributes:
        effective: exp of the entropy of s_i / sum s; NaN where all are 0.
        stable: sum s^2 / s_1^2; NaN where all are 0.
        numerical: How many exceed a share of s_1.
        nuclear: sum s.
        converged: Whether they were found.
    """

    effective: Float[Array, ""]
    stable: Float[Array, ""]
    numerical: Float[Array, ""]
    nuclear: Float[Array, ""]
    converged: Bool[Array, ""]


def ranks(matrix: Float[Array, "m n"], tolerance: float) -> Ranks:
    """Compute four ranks of a matrix.

    Source:
        Roy & Vetterli (2007), EUSIPCO, definition 2 (effective rank);
        Rudelson & Vershynin (2007), J. ACM 54(4) (stable rank).
    """
    values, converged = singular_values(matrix)
    nuclear = jnp.sum(values)
    shares = values / nuclear
    entropy = -jnp.sum(jnp.where(shares > 0, shares * jnp.log(shares), 0.0))
    count = jnp.sum(values > tolerance * values[0]).astype(values.dtype)
    return Ranks(
        effective=jnp.where(nuclear > 0, jnp.exp(entropy), jnp.nan),
        stable=jnp.sum((values / values[0]) ** 2),
        numerical=jnp.where(jnp.isfinite(nuclear), count, jnp.nan),
        nuclear=nuclear,
        converged=converged,
    )


def rank(spec: Rank) -> Observable:
    """Make the observable."""
    return Observable(_columns(spec), compute=lambda outcome: _compute(spec, outcome))


def _columns(spec: Rank) -> tuple[Column, ...]:
    features = "each hidden layer's activations on training inputs"
    hidden, linear = "null without hidden dense layers", "null unless layers are linear"
    return (
        *_rank_columns(spec, "layer", "each layer's weights"),
        Column("mean_effective_rank", "float32", "", "mean of layer_effective_ranks"),
        *_rank_columns(spec, "feature", features, hidden),
        Column("last_feature_rank", "float32", "", "the last of feature_effective_ranks"),
        *_rank_columns(spec, "product", "the product of all weights", linear),
        Column("ranks_converged", "bool", "", "all singular values were found to rounding"),
        Column("dead_units", "int32", "units",
               f"activation 0 on all training inputs; {hidden}"),
        Column("saturated_units", "int32", "units",
               f"slope of the activation below {FLAT:g} on all training inputs; {hidden}"),
        Column("duplicate_units", "int32", "units",
               "activations on the training inputs are a multiple of another unit's, to "
               f"{SAME_ANGLE:g} radians; {hidden}"),
        Column("near_zero_share", "float32", "",
               f"share of weights of at most {spec.near_zero:g} of their layer's root mean square"),
        Column("layer_near_zero_shares", "list<float32>", "", "the same of each layer's weights"),
        Column("layer_gradient_norms", "list<float32>", "",
               "|gradient of the training loss| by each layer's weights"),
        Column("layer_balances", "list<float32>", "",
               "per hidden layer: linear, Frobenius norm of W2'W2 - W1 W1' - b1 b1'; relu, of its "
               "diagonal; null for others"),
        Column("unit_balances", "list<float32>", "",
               "relu: |in|^2 - |out|^2 of every unit, bias with in, sorted within a layer"),
    )  # fmt: skip


def _rank_columns(spec: Rank, of: str, what: str, null: str = "") -> Iterator[Column]:
    """Yield the columns of four ranks, of one matrix or of a list of them."""
    is_one = of == "product"
    end = f" of {what}" + (f"; {null}" if null else "")
    for name, meaning in (
        ("effective_rank", "exp of the entropy of s / sum s"),
        ("stable_rank", "sum of s^2 over the largest s^2"),
        ("numerical_rank", f"number of s above {spec.tolerance:g} of the largest"),
        ("nuclear_norm", "sum of the singular values s"),
    ):
        column = f"{of}_{name}" if is_one else f"{of}_{name}s"
        yield Column(column, "float32" if is_one else "list<float32>", "", meaning + end)


def _compute(spec: Rank, outcome: Outcome) -> dict[str, Array]:
    weights = outcome.weights()
    of_layers = [ranks(matrix, spec.tolerance) for matrix in weights]
    found = _listed("layer", of_layers) | _near_zero(spec, weights)
    found["mean_effective_rank"] = jnp.mean(found["layer_effective_ranks"])
    found["layer_gradient_norms"] = _gradient_norms(outcome)
    others: list[Ranks] = []
    if is_dense(outcome.network):
        layers = dense_layers(outcome.network, outcome.theta)
        if len(layers.kernels) > 1:
            hidden = layers.hidden(outcome.train_inputs)
            others += [ranks(after, spec.tolerance) for _, after in hidden]
            found |= _listed("feature", others) | _units(layers, hidden) | _balances(outcome)
            found["last_feature_rank"] = others[-1].effective
        if layers.activation == "linear":
            product = layers.kernels[0]
            for kernel in layers.kernels[1:]:
                product = product @ kernel
            others.append(ranks(product, spec.tolerance))
            found |= {f"product_{name}": value for name, value in _named(others[-1])}
    elif is_linear(outcome.network):
        product = end_to_end(outcome.network, outcome.theta)
        if min(product.shape) > 1:  # a vector has no rank to speak of
            others.append(ranks(product, spec.tolerance))
            found |= {f"product_{name}": value for name, value in _named(others[-1])}
    found["ranks_converged"] = jnp.all(jnp.stack([r.converged for r in (*of_layers, *others)]))
    return found


def _named(one: Ranks) -> tuple[tuple[str, Array], ...]:
    return (
        ("effective_rank", one.effective),
        ("stable_rank", one.stable),
        ("numerical_rank", one.numerical),
        ("nuclear_norm", one.nuclear),
    )


def _listed(of: str, several: Sequence[Ranks]) -> dict[str, Array]:
    by_name = zip(*map(_named, several), strict=True)
    return {f"{of}_{each[0][0]}s": jnp.stack([value for _, value in each]) for each in by_name}


def _near_zero(spec: Rank, weights: Sequence[Array]) -> dict[str, Array]:
    counts, sizes = [], jnp.asarray([matrix.size for matrix in weights], jnp.float32)
    for matrix in weights:
        typical = jnp.sqrt(jnp.mean(matrix * matrix))
        is_small = jnp.sum(jnp.abs(matrix) <= spec.near_zero * typical).astype(jnp.float32)
        counts.append(jnp.where(jnp.isfinite(typical), is_small, jnp.nan))
    return {
        "layer_near_zero_shares": jnp.stack(counts) / sizes,
        "near_zero_share": jnp.sum(jnp.stack(counts)) / jnp.sum(sizes),
    }


def _gradient_norms(outcome: Outcome) -> Float[Array, " L"]:
    loss, gradient = jax.value_and_grad(outcome.train_loss)(outcome.theta)
    of_layers = weight_matrices(outcome.layout, gradient)
    norms = jnp.stack([jnp.sqrt(jnp.sum(matrix * matrix)) for matrix in of_layers])
    return jnp.where(jnp.isfinite(loss), norms, jnp.nan)  # relu has slope 0 at NaN


def _units(layers: DenseLayers, hidden: Sequence[tuple[Array, Array]]) -> dict[str, Array]:
    """Count hidden units that do nothing, or what another does, on the training inputs."""
    slopes = [slope(layers.activation, before) for before, _ in hidden]
    return {
        "dead_units": _count(*(jnp.all(after == 0, axis=0) for _, after in hidden)),
        "saturated_units": _count(*(jnp.all(jnp.abs(s) < FLAT, axis=0) for s in slopes)),
        "duplicate_units": _count(*(_has_twin(after) for _, after in hidden)),
    }


def _count(*chosen: Bool[Array, " H"]) -> Int[Array, ""]:
    return jnp.sum(jnp.concatenate(chosen), dtype=jnp.int32)


def _has_twin(activations: Float[Array, "N H"]) -> Bool[Array, " H"]:
    """Say which units' activations are a multiple of another's, and not 0."""
    norms = jnp.sqrt(jnp.sum(activations * activations, axis=0))
    directions = activations / jnp.where(norms > 0, norms, 1.0)
    cosines = jnp.abs(directions.T @ directions)
    is_twin = (cosines > jnp.cos(SAME_ANGLE)) & ~jnp.eye(len(norms), dtype=bool)
    return jnp.any(is_twin, axis=1)


def _balances(outcome: Outcome) -> dict[str, Array]:
    """Compute what gradient flow conserves: a matrix a linear layer, a number a relu unit."""
    known = factorisation(outcome.network)
    if known is None:
        return {}
    layers = known.conserved(outcome.theta)
    found = {"layer_balances": jnp.stack([norm([layer]) for layer in layers])}
    units = [jnp.sort(layer) for layer in layers if layer.ndim == 1]
    return found | ({"unit_balances": jnp.concatenate(units)} if units else {})
