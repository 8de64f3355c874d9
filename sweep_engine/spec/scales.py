"""What a network's outputs may be divided by, so that networks of different size compare."""

from typing import Literal

OutputScale = Literal["frobenius", "spectral", "path", "lipschitz"]
"""The product of the layers' Frobenius or spectral norms, the path norm, or the largest slope.

The slope is that of the outputs at a training input, which needs no layers.
"""
