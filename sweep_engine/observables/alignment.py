"""Alignment of the layers of a chain: does each read what the one before writes most strongly?"""

from itertools import pairwise

import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep_engine.columns import Column
from sweep_engine.models import dense_layers
from sweep_engine.observables.observable import Observable, Outcome
from sweep_engine.observables.scales import top_projector


def alignment(first: Float[Array, "F H"], second: Float[Array, "H G"]) -> Float[Array, ""]:
    """Compute |cos| between what a layer gives most strongly and what the next takes so.

    That is between the top singular vectors on the side of the hidden units, of which the
    projectors on them have the trace of the product cos^2. Where a largest singular value is not
    alone, the vector is any of several, and a mean over them is taken.

    Source:
        Ji & Telgarsky (2019), Gradient descent aligns the layers of deep linear networks, ICLR.
    """
    overlap = jnp.sum(top_projector(first.T @ first) * top_projector(second @ second.T))
    return jnp.sqrt(jnp.maximum(overlap, 0.0))  # rounding leaves a little below 0


def _compute(outcome: Outcome) -> dict[str, Array]:
    kernels = dense_layers(outcome.network, outcome.theta).kernels
    cosines = jnp.stack([alignment(first, second) for first, second in pairwise(kernels)])
    return {"layer_alignments": cosines, "mean_alignment": jnp.mean(cosines)}


ALIGNMENT = Observable(
    columns=(
        Column("layer_alignments", "list<float32>", "",
               "|cos| between the top left singular vector of each layer's matrix and the top "
               "right one of the next layer's"),
        Column("mean_alignment", "float32", "", "mean of layer_alignments"),
    ),
    compute=_compute,
    needs=("hidden_layers",),
)  # fmt: skip
