"""Pruning by magnitude: which parameters a lottery ticket keeps."""

import numpy as np
from jaxtyping import Bool, Float

from sweep_engine.models import Layout
from sweep_engine.spec.starts import Mask


def kept_parameters(
    layout: Layout, theta: Float[np.ndarray, "R P"], mask: Mask
) -> Bool[np.ndarray, "R P"]:
    """Say which parameters stay: all biases, and the weights that are largest in `theta`.

    Of W weights that are not 0, round(keep W) stay, but one at least; of equals the first.

    Args:
        layout: What is a weight, and of which array.
        theta: One network a row.
        mask: The share, and whether it is one of all weights or of every array of them.

    Source:
        Frankle & Carbin (2019), The lottery ticket hypothesis, section 2.
    """
    groups = [np.arange(leaf.offset, leaf.offset + leaf.size) for leaf in layout.leaves
              if not leaf.is_bias]  # fmt: skip
    if mask.scope == "global":
        groups = [np.concatenate(groups)]
    kept = np.ones(theta.shape, bool)
    for columns in groups:
        kept[:, columns] = _largest(np.abs(theta[:, columns]), mask.keep)
    return kept


def _largest(sizes: Float[np.ndarray, "R W"], share: float) -> Bool[np.ndarray, "R W"]:
    alive = np.sum(sizes > 0, axis=1)
    count = np.maximum(np.rint(share * alive), 1)
    order = np.argsort(-sizes, axis=1, kind="stable")
    rank = np.argsort(order, axis=1, kind="stable")
    return (rank < count[:, None]) & (sizes > 0)
