"""Laws: distributions over theta. Each is a function of one network's key.

All functions take the law's specification (its traced fields may be tracers) and the layout
of theta. Every law is also the image of independent standard normals, so that one move of
normals leaves any of them unchanged.
"""

from sweep_engine.laws.distribution import Distribution
from sweep_engine.laws.element_wise import Independent, Standard
from sweep_engine.laws.laws import (
    check,
    enumerate_support,
    from_normals,
    images,
    log_density,
    num_normals,
    recipe,
    sample,
    scaled_normals,
    std,
    support,
)
from sweep_engine.laws.scaled_normals import ScaledNormals

__all__ = [
    "Distribution",
    "Independent",
    "ScaledNormals",
    "Standard",
    "check",
    "enumerate_support",
    "from_normals",
    "images",
    "log_density",
    "num_normals",
    "recipe",
    "sample",
    "scaled_normals",
    "std",
    "support",
]
