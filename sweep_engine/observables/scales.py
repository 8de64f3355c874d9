"""How large a network's outputs can be: products of norms, path norm, slope at given inputs.

Outputs divided by one of these can be compared between networks of different size.
"""

from typing import assert_never

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from sweep_engine.models import Layout, Network
from sweep_engine.spec.scales import OutputScale

SQUARINGS = 15


def weight_matrices(layout: Layout, theta: Float[Array, " P"]) -> list[Array]:
    """Cut the weights out of theta, input side first, shape (fan_in, fan_out) each."""
    return [
        theta[leaf.offset : leaf.offset + leaf.size].reshape(-1, (leaf.shape or (1,))[-1])
        for leaf in layout.leaves
        if not leaf.is_bias
    ]


def spectral_norm(weights: Float[Array, "H K"]) -> Float[Array, ""]:
    """Compute the largest singular value, by matrix products alone.

    G = W'W (or WW', whichever is smaller) is squared 15 times, and scaled to trace 1 each
    time, to Q; tr(G Q), the mean of G's eigenvalues with their 2^15-th powers as weights, is
    sigma^2. A vmapped SVD would call LAPACK once a network. Sums of few terms are avoided:
    side by side they are rounded otherwise in a block's last lanes (`lanes.STEADY`).

    Source:
        Golub & Van Loan (2013), Matrix Computations, section 7.3 (power iteration).
    """
    rows, columns = weights.shape
    gram = weights.T @ weights if columns <= rows else weights @ weights.T
    return jnp.sqrt(jnp.trace(gram @ top_projector(gram)))


def top_projector(gram: Float[Array, "H H"]) -> Float[Array, "H H"]:
    """Compute Q of trace 1 that projects on the top eigenvector of W'W, by squaring it.

    Of eigenvalues that agree to one part in 10^4 it has a share each; it is 0 where all are.
    """
    tiny = float(np.finfo(np.float32).tiny)
    power = gram / jnp.maximum(jnp.trace(gram), tiny)
    for _ in range(SQUARINGS):
        power = power @ power
        power = power / jnp.maximum(jnp.trace(power), tiny)
    return power


def frobenius_product(layout: Layout, theta: Float[Array, " P"]) -> Float[Array, ""]:
    """Multiply the layers' Frobenius norms; biases are left out."""
    return jnp.prod(jnp.stack([jnp.linalg.norm(w) for w in weight_matrices(layout, theta)]))


def spectral_product(layout: Layout, theta: Float[Array, " P"]) -> Float[Array, ""]:
    """Multiply the layers' spectral norms; biases are left out."""
    return jnp.prod(jnp.stack([spectral_norm(w) for w in weight_matrices(layout, theta)]))


def path_norm(layout: Layout, theta: Float[Array, " P"]) -> Float[Array, ""]:
    """Sum |product of the weights| over all paths to an output of a chain of dense layers.

    A path starts at an input or at a bias. Under relu, whose units can be rescaled, the
    sum stays as it is when one unit's incoming weights and bias are multiplied by a factor
    and its outgoing weights divided by it, and |f(x)| <= path norm · max(1, |x|_inf). It is
    what the network of absolute values gives for the input (1, ..., 1) without activations.

    Source:
        Neyshabur, Tomioka & Srebro (2015), COLT, section 2 (l1 path norm); with biases
        Gonon, Brisebarre, Riccietti & Gribonval (2024), ICLR, definition 3.
    """
    reached = jnp.ones(layout.leaves[0].shape[0], theta.dtype)
    for leaf in layout.leaves:
        values = jnp.abs(theta[leaf.offset : leaf.offset + leaf.size].reshape(leaf.shape))
        reached = reached + values if leaf.is_bias else reached @ values
    return jnp.sum(reached)


def largest_slope(
    network: Network, params: object, inputs: Float[Array, "N ..."]
) -> Float[Array, ""]:
    """Compute the largest spectral norm of the outputs' Jacobian over the given inputs.

    With one output that is the largest |gradient|. It estimates the function's Lipschitz
    constant in the Euclidean norm from below, and depends on the function alone: no
    rescaling or permutation of units changes it.

    Source:
        Sokolic, Giryes, Sapiro & Rodrigues (2017), IEEE Trans. Signal Process. 65(16): the
        Jacobian's spectral norm at the training inputs; Weng et al. (2018), ICLR: the
        largest gradient over sampled points as an estimate of the Lipschitz constant.
    """

    def outputs(x: Array) -> Array:
        return network.apply(params, x[None])[0]

    jacobians = jax.vmap(jax.jacrev(outputs))(inputs)
    jacobians = jacobians.reshape(*jacobians.shape[:2], -1)
    return jnp.max(jax.vmap(spectral_norm)(jacobians))


def scale_of(
    scale: OutputScale, network: Network, params: object, inputs: Float[Array, "N ..."]
) -> Float[Array, ""]:
    """Compute what a network's outputs are divided by; `inputs` are the training inputs."""
    layout = network.layout
    match scale:
        case "frobenius":
            return frobenius_product(layout, layout.flatten(params))
        case "spectral":
            return spectral_product(layout, layout.flatten(params))
        case "path":
            return path_norm(layout, layout.flatten(params))
        case "lipschitz":
            return largest_slope(network, params, inputs)
        case _:
            assert_never(scale)
