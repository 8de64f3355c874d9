"""Models: what a network is."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from sweep_engine.spec.base import Count, Flag, Spec
from sweep_engine.spec.custom import Custom, wrap_custom


class Mlp(Spec):
    """Dense layers; with `activation: linear` a deep linear network."""

    kind: Literal["mlp"] = "mlp"
    widths: Annotated[tuple[Count, ...], Field(min_length=1)] = (40, 40)
    activation: Literal["relu", "tanh", "gelu", "sin", "linear"] = "relu"
    bias: Flag = True


class Linear(Spec):
    """One dense layer from inputs to outputs."""

    kind: Literal["linear"] = "linear"
    bias: Flag = True


class Diagonal(Spec):
    """The diagonal linear network beta = w_plus^2 - w_minus^2, f = beta . x."""

    kind: Literal["diagonal"] = "diagonal"


class ScalarFactorisation(Spec):
    """Two parameters, f = a b x."""

    kind: Literal["scalar_factorisation"] = "scalar_factorisation"


ModelSpec = Annotated[
    Mlp | Linear | Diagonal | ScalarFactorisation | Custom,
    Field(discriminator="kind"),
    BeforeValidator(wrap_custom),
]

DENSE_MODELS = ("mlp", "linear")
"""Kinds of models that are one chain of dense layers, so that they have a path norm."""
