"""Drawing runs' parameters from their law, block by block."""

import numpy as np
from jaxtyping import Float

from sweep_engine.sources.bucket import Bucket
from sweep_engine.sources.work import Runs


def draw_rows(bucket: Bucket, runs: Runs) -> Float[np.ndarray, "R P"]:
    """Draw theta of each run from its law; the same for a run whenever it is asked for."""
    theta = np.empty((len(runs), bucket.network.layout.num_params), np.float32)
    for first in range(0, len(runs), bucket.lanes):
        index = np.arange(first, min(first + bucket.lanes, len(runs)))
        block = runs.take(index).padded(bucket.lanes)
        drawn = bucket.draw(block.words, block.hyper, bucket.root)
        theta[index] = np.asarray(drawn)[: len(index)]
    return theta
