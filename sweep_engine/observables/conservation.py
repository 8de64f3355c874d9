"""Conservation: what gradient flow conserves, and how far it has drifted from the start's."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from sweep_engine.columns import Column
from sweep_engine.observables.factorisations import factorisation
from sweep_engine.observables.factorisations.factorisation import norm
from sweep_engine.observables.observable import Observable, Outcome
from sweep_engine.singular_values import symmetric_eigenvalues


def _spectrum(conserved: Array) -> tuple[Float[Array, " n"], Bool[Array, ""]]:
    """Return numbers, or the eigenvalues of a matrix, largest first; and whether they are found."""
    if conserved.ndim == 1:
        return -jnp.sort(-conserved), jnp.all(jnp.isfinite(conserved))
    return symmetric_eigenvalues(conserved)


def _compute(outcome: Outcome) -> dict[str, Array]:
    known = factorisation(outcome.network)
    assert known is not None
    layers = known.conserved(outcome.theta)
    spectra, found = zip(*map(_spectrum, layers), strict=True)
    values = {
        "imbalance": norm(layers),
        "layer_imbalances": jnp.stack([norm([layer]) for layer in layers]),
        "layer_imbalance_means": jnp.stack([jnp.mean(s) for s in spectra]),
        "layer_relaxed_imbalances": jnp.stack([norm([s - jnp.mean(s)]) for s in spectra]),
        "layer_imbalance_mins": jnp.stack([s[-1] for s in spectra]),
        "layer_imbalance_maxs": jnp.stack([s[0] for s in spectra]),
        "imbalance_converged": jnp.all(jnp.stack(found)),
    }
    if outcome.start is None:
        return values
    drifts = [a - b for a, b in zip(layers, known.conserved(outcome.start), strict=True)]
    return values | {
        "conserved_drift": norm(drifts),
        "layer_conserved_drifts": jnp.stack([norm([drift]) for drift in drifts]),
    }


CONSERVATION = Observable(
    columns=(
        Column("imbalance", "float32", "",
               "root of the sum of squares of what gradient flow conserves; 0: balanced. Linear "
               "layers: W2'W2 - W1W1' - b1b1' per hidden layer; relu: |in|^2 - |out|^2 per unit, "
               "bias with in; diagonal: w_plus w_minus; ab: a^2 - b^2"),
        Column("layer_imbalances", "list<float32>", "", "the same of every hidden layer alone"),
        Column("layer_imbalance_means", "list<float32>", "",
               "mean eigenvalue of the matrix, or mean over units: the nearest lambda"),
        Column("layer_relaxed_imbalances", "list<float32>", "",
               "Frobenius distance from that lambda times I; 0: relaxed balanced"),
        Column("layer_imbalance_mins", "list<float32>", "", "smallest eigenvalue, or unit"),
        Column("layer_imbalance_maxs", "list<float32>", "", "largest eigenvalue, or unit"),
        Column("imbalance_converged", "bool", "", "all eigenvalues were found to rounding"),
        Column("conserved_drift", "float32", "",
               "imbalance of the difference from the start's conserved quantities: what finite "
               "steps add to gradient flow; null where no start is known"),
        Column("layer_conserved_drifts", "list<float32>", "",
               "the same of every hidden layer alone"),
    ),
    compute=_compute,
    needs=("factorisation", "start_if_known"),
)  # fmt: skip
