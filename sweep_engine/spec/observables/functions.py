"""Observables of the function: the outputs on the probe inputs."""

from typing import Literal

from sweep_engine.spec.observables.kind import Bare


class Function(Bare):
    """The labels of the probe inputs of a task with two labels, and how many are 1."""

    kind: Literal["function"] = "function"


class Complexity(Bare):
    """The Lempel-Ziv complexity of the labels of the probe inputs."""

    kind: Literal["complexity"] = "complexity"


class Compression(Bare):
    """The size of these labels under two compressors: a control of the complexity."""

    kind: Literal["compression"] = "compression"


class Spectrum(Bare):
    """The Walsh-Hadamard spectrum of a function of Boolean inputs, and its sensitivity."""

    kind: Literal["spectrum"] = "spectrum"
