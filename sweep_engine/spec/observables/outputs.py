"""Observables of the outputs on training and test inputs."""

from typing import Literal

from sweep_engine.spec.observables.kind import Bare


class Margin(Bare):
    """The smallest margin over the training set, also over products of norms."""

    kind: Literal["margin"] = "margin"


class Confidence(Bare):
    """Mean probability of the chosen label, and Brier score, on the test set."""

    kind: Literal["confidence"] = "confidence"
