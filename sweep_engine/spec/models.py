"""Models: what a network is."""

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from sweep_engine.spec.base import Count, Flag, Spec
from sweep_engine.spec.custom import Custom


class ModelKind(Spec):
    """Base of all models: what others must know of one, without a default."""

    @property
    @abstractmethod
    def is_dense(self) -> bool:
        """Whether it is one chain of dense layers, which has a path norm and a canonical form."""

    @property
    @abstractmethod
    def takes_rows(self) -> bool:
        """Whether an input must be a row of numbers; else it may have any shape."""

    @property
    @abstractmethod
    def is_scalar_product(self) -> bool:
        """Whether it is f = a b x, whose solutions of f(1) = y are the curve ab = y."""


class Mlp(ModelKind):
    """Dense layers; with `activation: linear` a deep linear network."""

    is_dense: ClassVar[bool] = True
    takes_rows: ClassVar[bool] = True
    is_scalar_product: ClassVar[bool] = False

    kind: Literal["mlp"] = "mlp"
    widths: Annotated[tuple[Count, ...], Field(min_length=1)] = (40, 40)
    activation: Literal["relu", "tanh", "gelu", "sin", "linear"] = "relu"
    bias: Flag = True


class Linear(ModelKind):
    """One dense layer from inputs to outputs."""

    is_dense: ClassVar[bool] = True
    takes_rows: ClassVar[bool] = True
    is_scalar_product: ClassVar[bool] = False

    kind: Literal["linear"] = "linear"
    bias: Flag = True


class Diagonal(ModelKind):
    """The diagonal linear network beta = w_plus^2 - w_minus^2, f = beta . x."""

    is_dense: ClassVar[bool] = False
    takes_rows: ClassVar[bool] = True
    is_scalar_product: ClassVar[bool] = False

    kind: Literal["diagonal"] = "diagonal"


class ScalarFactorisation(ModelKind):
    """Two parameters, f = a b x."""

    is_dense: ClassVar[bool] = False
    takes_rows: ClassVar[bool] = True
    is_scalar_product: ClassVar[bool] = True

    kind: Literal["scalar_factorisation"] = "scalar_factorisation"


class CustomModel(Custom, ModelKind):
    """A flax module of the user's own: of what it is made is not known."""

    is_dense: ClassVar[bool] = False
    takes_rows: ClassVar[bool] = False
    is_scalar_product: ClassVar[bool] = False


ModelSpec = Annotated[
    Mlp | Linear | Diagonal | ScalarFactorisation | CustomModel,
    Field(discriminator="kind"),
    BeforeValidator(CustomModel.wrap_object),
]
"""The models that may stand in a sweep; `models.MODULES` has the module of each."""
