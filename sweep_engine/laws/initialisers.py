"""Laws whose scale follows each array's fans: the initialisations people use."""

import math
from collections.abc import Sequence

from sweep_engine.laws.distribution import Distribution, FloatLike
from sweep_engine.laws.element_wise import (
    Independent,
    Normal,
    TruncatedNormal,
    Uniform,
    Zeros,
)
from sweep_engine.laws.orthogonal import SemiOrthogonal
from sweep_engine.models import Leaf
from sweep_engine.spec.laws import FanIn, Initialiser, Orthogonal

VARIANCE_FACTOR = {"lecun": 1.0, "he": 2.0, "glorot": 1.0}
SHAPES: dict[str, Normal | Uniform | TruncatedNormal] = {
    "normal": Normal(),
    "uniform": Uniform(),
    "truncated_normal": TruncatedNormal(),
}


def law_of_array(law: FanIn | Initialiser | Orthogonal, leaf: Leaf) -> Distribution:
    """Give the law of one array of parameters."""
    if isinstance(law, FanIn):
        fan_in, _ = leaf.fans
        std = law.bias_std if leaf.is_bias else law.weight_std / math.sqrt(fan_in)
        return Independent(Normal(), std, leaf.size)
    if leaf.is_bias:
        return Zeros(leaf.size)
    if isinstance(law, Orthogonal):
        num_columns = leaf.shape[-1] if leaf.shape else 1
        return SemiOrthogonal(leaf.size // num_columns, num_columns, law.scale)
    family, _, shape = law.kind.partition("_")
    standard = SHAPES[shape]
    return Independent(standard, _std(law.scale, family, leaf), leaf.size, 1 / standard.std)


def torch_default(scale: FloatLike, layer: Sequence[Leaf], leaf: Leaf) -> Distribution:
    """Give PyTorch's default law of one array of a layer, whose weights decide the fan-in.

    Raises:
        ValueError: the layer is a bias alone.
    """
    if any(one.path[-1] == "gain" for one in layer):  # a norm's, less 1
        return Zeros(leaf.size)
    weights = [one for one in layer if not one.is_bias]
    if not weights:
        raise ValueError(f"torch: {leaf.name} has no weights beside it that give it a fan-in")
    if leaf.is_embedding:
        return Independent(Normal(), scale, leaf.size)
    fan_in = max(one.fans[0] for one in weights)
    return Independent(Uniform(), scale / math.sqrt(fan_in), leaf.size)


def _std(scale: FloatLike, family: str, leaf: Leaf) -> FloatLike:
    fan_in, fan_out = leaf.fans
    fan = (fan_in + fan_out) / 2 if family == "glorot" else fan_in
    return scale * math.sqrt(VARIANCE_FACTOR[family] / fan)
