"""The Walsh-Hadamard spectrum of a Boolean function, exactly."""

import numpy as np
from jaxtyping import Float, Int64, UInt8

from sweep_engine.columns import Column
from sweep_engine.observables.function import Functions
from sweep_engine.observables.observable import Observable

_CHUNK_INPUTS = 2**20
"""How many labels are transformed at once: 8 MB of integers, and a few copies."""


def walsh_hadamard(labels: UInt8[np.ndarray, "F N"]) -> Int64[np.ndarray, "F N"]:
    """Sum +-f(x) over all inputs x for every set S of bits, N times the coefficient of S.

    f is -1 where the label is 1, and the sign is that of the parity of x's bits in S. Entry s has
    the bits of S as its binary digits, as input x has its own.

    Source:
        O'Donnell (2014), Analysis of Boolean Functions, section 1.2.
    """
    sums = 1 - 2 * labels.astype(np.int64)
    span = 1
    while span < labels.shape[1]:
        pairs = sums.reshape(len(sums), -1, 2, span)
        zero, one = pairs[:, :, 0], pairs[:, :, 1]
        sums = np.stack([zero + one, zero - one], axis=2).reshape(len(sums), -1)
        span *= 2
    return sums


def sensitivity(labels: UInt8[np.ndarray, "F N"]) -> Float[np.ndarray, " F"]:
    """Count the bits of an input whose flip flips the label; the mean over all inputs."""
    inputs = np.arange(labels.shape[1])
    flips = np.zeros(len(labels))
    for bit in range(_num_bits(labels)):
        flips += np.mean(labels != labels[:, inputs ^ (1 << bit)], axis=1)
    return flips


def _num_bits(labels: UInt8[np.ndarray, "F N"]) -> int:
    return labels.shape[1].bit_length() - 1


def _describe(functions: Functions) -> dict[str, np.ndarray]:
    rows = max(1, _CHUNK_INPUTS // functions.num_inputs)
    labels = functions.labels
    parts = [_spectrum(labels[i : i + rows]) for i in range(0, max(1, len(labels)), rows)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _spectrum(labels: UInt8[np.ndarray, "F N"]) -> dict[str, np.ndarray]:
    num_inputs, num_bits = labels.shape[1], _num_bits(labels)
    weights = (walsh_hadamard(labels) / num_inputs) ** 2
    of_degree = np.bitwise_count(np.arange(num_inputs)) == np.arange(num_bits + 1)[:, None]
    by_degree = weights @ of_degree.T
    varying = by_degree[:, 1:].sum(axis=1)
    logs = np.log2(weights, out=np.zeros_like(weights), where=weights > 0)
    with np.errstate(invalid="ignore"):  # 0 / 0 of a constant function, which has no degree
        mean_degree = by_degree @ np.arange(num_bits + 1) / varying
    return {
        "walsh_weights": by_degree.astype(np.float32),
        "mean_degree": mean_degree,
        "average_sensitivity": sensitivity(labels),
        "spectral_entropy": 0.0 - np.sum(weights * logs, axis=1),
    }


SPECTRUM = Observable(
    columns=(
        Column("walsh_weights", "list<float32>", "", "sum of squared Walsh coefficients by degree"),
        Column("mean_degree", "float64", "", "by these weights, degree 0 apart; NaN: constant"),
        Column("average_sensitivity", "float64", "inputs",
               "bits of an input whose flip flips the label, mean over all inputs"),
        Column("spectral_entropy", "float64", "bits", "entropy of the squared Walsh coefficients"),
    ),
    describe=_describe,
    needs=("binary", "boolean_inputs"),
)  # fmt: skip
