"""Activations of one example: what a block's width is chosen by."""

import pytest

from sweep_engine.models import build
from sweep_engine.sources.lane_widths import values_per_example
from sweep_engine.spec.models import (
    Cnn,
    DeepLinear,
    Diagonal,
    InfinitelyDeepLinear,
    MatrixFactorisation,
    Mlp,
    Transformer,
)


@pytest.mark.parametrize(
    ("spec", "shape", "outputs", "values"),
    [
        (Mlp(widths=(5, 4)), (3,), 2, 5 + 4 + 2),
        (Mlp(widths=(1,)), (3,), 1, 2),
        (Mlp(widths=(5, 4), norm="layer"), (3,), 2, 5 + 4 + 2),
        (DeepLinear(depth=3, width=4), (3,), 2, 4 + 4 + 2),
        (Diagonal(), (3,), 1, 6),
        (MatrixFactorisation(depth=2, width=4), (3, 2), 1, 4 + 3),
        (InfinitelyDeepLinear(cells=4), (3,), 3, 12),
        # 6 x 6 positions, patches of 3 x 3 and 4 channels; 36 pools of 4; 2 outputs
        (Cnn(channels=(4,), kernel=3), (8, 8), 2, 36 * (9 + 4) + 2),
        # query, key, value, what attention finds, its output; scores; a hidden layer and back
        (
            Transformer(vocabulary=5, width=4, heads=2, hidden=7),
            (3,),
            5,
            3 * 4 + 3 * 5 * 4 + 2 * 9 + 3 * (7 + 4) + 5,
        ),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_layers_count_at_every_position(spec, shape, outputs, values):
    assert values_per_example(build(spec, shape, outputs)) == values
