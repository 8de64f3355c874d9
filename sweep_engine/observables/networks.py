"""Observables of the parameters and the outputs: norms, distance, margins, confidence."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from sweep_engine.columns import Column
from sweep_engine.observables.observable import Observable, Outcome
from sweep_engine.observables.scales import path_norm, spectral_norm


def _norms(outcome: Outcome) -> dict[str, Array]:
    weights = outcome.weights()
    frobenius = jnp.stack([jnp.linalg.norm(w) for w in weights])
    spectral = jnp.stack([spectral_norm(w) for w in weights])
    return {
        "l2_norm": jnp.linalg.norm(outcome.theta),
        "layer_norms": frobenius,
        "layer_spectral_norms": spectral,
        "frobenius_product": jnp.prod(frobenius),
        "spectral_product": jnp.prod(spectral),
    }


NORMS = Observable(
    columns=(
        Column("l2_norm", "float32", "", "|theta|, all parameters"),
        Column("layer_norms", "list<float32>", "", "Frobenius norm of each layer's weights"),
        Column("layer_spectral_norms", "list<float32>", "", "largest singular value per layer"),
        Column("frobenius_product", "float32", "", "product of the layers' Frobenius norms"),
        Column("spectral_product", "float32", "", "product of the layers' spectral norms"),
    ),
    compute=_norms,
)


def _distance(outcome: Outcome) -> dict[str, Array]:
    assert outcome.start is not None
    distance = jnp.linalg.norm(outcome.theta - outcome.start)
    return {
        "distance_from_init": distance,
        "relative_distance": distance / jnp.linalg.norm(outcome.start),
    }


DISTANCE = Observable(
    columns=(
        Column("distance_from_init", "float32", "", "|theta - theta_0|; null for a draw"),
        Column("relative_distance", "float32", "", "|theta - theta_0| / |theta_0|"),
    ),
    compute=_distance,
    needs=("start",),
)


def _smallest_margin(outcome: Outcome) -> Array:
    assert outcome.loss.margins is not None
    return jnp.min(outcome.loss.margins(outcome.train_outputs, outcome.train_targets))


def _margin(outcome: Outcome) -> dict[str, Array]:
    margin, norms = _smallest_margin(outcome), _norms(outcome)
    return {
        "margin": margin,
        "margin_frobenius": margin / norms["frobenius_product"],
        "margin_spectral": margin / norms["spectral_product"],
    }


MARGIN = Observable(
    columns=(
        Column("margin", "float32", "", "smallest margin over the training set"),
        Column("margin_frobenius", "float32", "", "margin over frobenius_product"),
        Column("margin_spectral", "float32", "", "margin over spectral_product"),
    ),
    compute=_margin,
    needs=("labels",),
)


def _path(outcome: Outcome) -> dict[str, Array]:
    norm = path_norm(outcome.layout, outcome.theta)
    if outcome.loss.margins is None:
        return {"path_norm": norm}
    return {"path_norm": norm, "margin_path": _smallest_margin(outcome) / norm}


PATH = Observable(
    columns=(
        Column("path_norm", "float32", "", "sum over paths of |product of weights|, biases too"),
        Column("margin_path", "float32", "", "margin over path_norm; null without labels"),
    ),
    compute=_path,
    needs=("dense",),
)


def _confidence(outcome: Outcome) -> dict[str, Array]:
    assert outcome.test_outputs is not None
    assert outcome.test_targets is not None
    outputs = outcome.test_outputs
    if outputs.shape[-1] == 1:
        outputs = jnp.concatenate([jnp.zeros_like(outputs), outputs], axis=-1)
    probabilities = jax.nn.softmax(outputs)
    truth = jax.nn.one_hot(outcome.test_targets, outputs.shape[-1])
    return {
        "test_confidence": jnp.mean(jnp.max(probabilities, axis=-1)),
        "test_brier": jnp.mean(jnp.sum((probabilities - truth) ** 2, axis=-1)),
    }


CONFIDENCE = Observable(
    columns=(
        Column("test_confidence", "float32", "", "mean probability of the chosen label, test set"),
        Column("test_brier", "float32", "", "mean squared error of the probabilities, test set"),
    ),
    compute=_confidence,
    needs=("labels", "test"),
)


def _balance(outcome: Outcome) -> dict[str, Array]:
    a, b = outcome.params["a"][0], outcome.params["b"][0]
    return {
        "balance_u": 0.5 * (jnp.log(jnp.abs(a)) - jnp.log(jnp.abs(b))),
        "balance_c": (a - b) * (a + b),
    }


BALANCE = Observable(
    columns=(
        Column("balance_u", "float32", "", "u = ln|a/b| / 2, where on the curve ab = y"),
        Column("balance_c", "float32", "", "c = a^2 - b^2, conserved by gradient flow"),
    ),
    compute=_balance,
    needs=("scalar_factorisation",),
)
