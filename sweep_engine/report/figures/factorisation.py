"""Exact laws along the curve ab = y of the scalar factorisation, in u = ln|a/b| / 2.

Each density is normalised over both branches together. Gradient flow conserves
c = a^2 - b^2 = 2 y sinh 2u, so it lands where the law of c puts it.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import k0, k0e

Points = Float[np.ndarray, " n"]


def gradient_flow_density(u: Points, target: float, std: float) -> Points:
    """Density of u where gradient flow lands from a, b ~ N(0, std^2).

    p(u) = (2 y cosh 2u / (pi s^2)) K_0(y |sinh 2u| / s^2); it diverges logarithmically at
    u = 0, integrably.

    Example:
        >>> round(float(gradient_flow_density(np.array([0.5]), 1.0, 1.0)[0]), 4)
        0.3237

    Args:
        u: Where.
        target: y, positive.
        std: s.
    """
    s2 = std**2
    tiny = np.finfo(float).tiny
    kernel = k0(np.maximum(target * np.abs(np.sinh(2 * u)) / s2, tiny))
    density: Points = 2 * target * np.cosh(2 * u) / (np.pi * s2) * kernel
    return density


def box_density(u: Points, target: float, half_width: float) -> Points:
    """Density of u for a uniform box given ab = y: uniform on +-ln(B / sqrt y).

    Example:
        >>> box_density(np.array([0.0, 9.0]), 1.0, np.e).tolist()
        [0.5, 0.0]

    Args:
        u: Where.
        target: y, positive.
        half_width: B, above sqrt y.
    """
    end = np.log(half_width / np.sqrt(target))
    return np.where(np.abs(u) <= end, 1 / (2 * end), 0.0)


def gaussian_density(u: Points, target: float, std: float) -> Points:
    """Density of u for a Gaussian prior given ab = y: exp(-y cosh 2u / s^2) / K_0(y / s^2).

    Example:
        >>> round(float(gaussian_density(np.array([0.0]), 1.0, 1.0)[0]), 4)
        0.8738

    Args:
        u: Where.
        target: y, positive.
        std: s.
    """
    ratio = target / std**2
    density: Points = np.exp(-ratio * (np.cosh(2 * u) - 1)) / k0e(ratio)
    return density


def kl_divergence(p: Points, q: Points, u: Points) -> float:
    """Integrate p ln(p / q) over a grid, conditional on where q is positive, in nats.

    Example:
        >>> grid = np.linspace(0, 1, 11)
        >>> kl_divergence(np.ones(11), np.ones(11), grid)
        0.0

    Args:
        p: Density on the grid.
        q: Density on the grid.
        u: The grid.
    """
    inside = (q > 0) & (p > 0)
    p, q, u = p[inside], q[inside], u[inside]
    p, q = p / np.trapezoid(p, u), q / np.trapezoid(q, u)
    return float(np.trapezoid(p * np.log(p / q), u))
