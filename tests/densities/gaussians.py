"""Two unit Gaussians, one shifted: what every estimator must see of them is known."""

import math

import numpy as np
from scipy import special

from sweep_engine.densities import Draws


def shifted(rng, num, dimension, distance, num_reference=None):
    """Draws of N(m, I) and N(0, I), |m| = distance, the shift spread over all columns."""
    mean = np.full(dimension, distance / math.sqrt(dimension))
    source = rng.normal(size=(num, dimension)) + mean
    reference = rng.normal(size=(num_reference or num, dimension))
    both = source, reference
    return tuple(Draws.of(x[:, 0] if dimension == 1 else x) for x in both)


def kl(distance):
    return distance**2 / 2


def total_variation(distance):
    return 2 * bayes_accuracy(distance) - 1


def bayes_accuracy(distance):
    """SCIENCE: Phi(distance / 2)."""
    return float(special.ndtr(distance / 2))


def mmd_squared(distance, dimension, bandwidth):
    """Gaussian kernel of that bandwidth, N(0, I) against N(m, I)."""
    square = bandwidth**2
    closeness = (square / (square + 2)) ** (dimension / 2)
    return 2 * closeness * -math.expm1(-(distance**2) / (2 * (square + 2)))


def energy_distance(distance):
    """One dimension: 2 E|X-Y| - E|X-X'| - E|Y-Y'|, X - Y normal of variance 2."""

    def mean_abs(shift):
        phi = math.exp(-(shift**2) / 4) * 2 / math.sqrt(math.pi)
        return phi + shift * (2 * float(special.ndtr(shift / math.sqrt(2))) - 1)

    return 2 * mean_abs(distance) - 2 * mean_abs(0.0)
