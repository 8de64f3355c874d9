"""Models: what a network is."""

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from sweep_engine.spec.base import Count, Flag, Growing
from sweep_engine.spec.custom import Custom


class ModelKind(Growing):
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
    def is_linear(self) -> bool:
        """Whether f(x) - f(0) is linear in x, so that it has an end-to-end matrix."""

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
    widths: Annotated[tuple[Count, ...], Field(min_length=1)] = Field(
        default=(40, 40), description="units of each hidden layer, input side first"
    )
    activation: Literal["relu", "tanh", "gelu", "sin", "linear"] = Field(
        default="relu", description="what every hidden unit applies to its sum; linear: nothing"
    )
    bias: Flag = Field(default=True, description="whether every layer adds a bias")

    @property
    def is_linear(self) -> bool:
        return self.activation == "linear"


class Linear(ModelKind):
    """One dense layer from inputs to outputs."""

    is_dense: ClassVar[bool] = True
    takes_rows: ClassVar[bool] = True
    is_linear: ClassVar[bool] = True
    is_scalar_product: ClassVar[bool] = False

    kind: Literal["linear"] = "linear"
    bias: Flag = Field(default=True, description="whether the layer adds a bias")


class DeepLinear(ModelKind):
    """A deep linear network, f(x) = W_L ... W_1 x, without biases."""

    is_dense: ClassVar[bool] = True
    takes_rows: ClassVar[bool] = True
    is_linear: ClassVar[bool] = True
    is_scalar_product: ClassVar[bool] = False

    kind: Literal["deep_linear"] = "deep_linear"
    depth: Count = Field(description="L, the number of layers; at 1 there is no hidden one")
    width: Count = Field(description="of every hidden layer")


class Diagonal(ModelKind):
    """The diagonal linear network beta = w_plus^L - w_minus^L, f = beta . x."""

    is_dense: ClassVar[bool] = False
    takes_rows: ClassVar[bool] = True
    is_linear: ClassVar[bool] = True
    is_scalar_product: ClassVar[bool] = False
    later_keys: ClassVar[tuple[str, ...]] = ("depth",)

    kind: Literal["diagonal"] = "diagonal"
    depth: Count | None = Field(default=None, description="L; left out, 2")


class ScalarFactorisation(ModelKind):
    """Two parameters, f = a b x."""

    is_dense: ClassVar[bool] = False
    takes_rows: ClassVar[bool] = True
    is_linear: ClassVar[bool] = True
    is_scalar_product: ClassVar[bool] = True

    kind: Literal["scalar_factorisation"] = "scalar_factorisation"


class MatrixFactorisation(ModelKind):
    """A matrix M = W_L ... W_1 as the product of its factors, f(A) = <A, M>.

    Inputs are matrices of M's shape, as those of the task `matrix_sensing`.
    """

    is_dense: ClassVar[bool] = False
    takes_rows: ClassVar[bool] = False
    is_linear: ClassVar[bool] = True
    is_scalar_product: ClassVar[bool] = False

    kind: Literal["matrix_factorisation"] = "matrix_factorisation"
    depth: Count = Field(description="L, the number of factors")
    width: Count = Field(description="what two neighbouring factors share: the side between them")


def _power_of_two(count: int) -> int:
    if count & (count - 1):
        raise ValueError("give a power of 2, so that the grid can be refined by halving")
    return count


class InfinitelyDeepLinear(ModelKind):
    """A linear neural ODE, dZ/ds = A(s) Z for s from 0 to 1 from Z = I: f(x) = Z(1) x.

    A is constant on each of `cells` equal cells of s. The parameters are theta_j = A_j /
    sqrt(cells), so that |theta|^2 is the integral of |A|^2, gradient flow does not depend on
    the grid, and parameters N(0, std^2) make a Brownian motion on matrices as it is refined.
    It is the limit of L residual layers I + A(l / L) / L, with time divided by L.

    Z has as many sides as there are inputs or outputs, whichever are more: inputs are filled up
    with zeros, outputs are the first entries. Of square matrices it is f(A) = <A, Z(1)>.
    """

    is_dense: ClassVar[bool] = False
    takes_rows: ClassVar[bool] = False
    is_linear: ClassVar[bool] = True
    is_scalar_product: ClassVar[bool] = False

    kind: Literal["infinitely_deep_linear"] = "infinitely_deep_linear"
    cells: Annotated[Count, AfterValidator(_power_of_two)] = Field(
        default=16,
        description="a power of 2. Double it until the answer stops moving: the error falls "
        "with its square",
    )


class CustomModel(Custom, ModelKind):
    """A flax module of the user's own: of what it is made is not known."""

    is_dense: ClassVar[bool] = False
    takes_rows: ClassVar[bool] = False
    is_linear: ClassVar[bool] = False
    is_scalar_product: ClassVar[bool] = False


ModelSpec = Annotated[
    Mlp
    | Linear
    | DeepLinear
    | Diagonal
    | ScalarFactorisation
    | MatrixFactorisation
    | InfinitelyDeepLinear
    | CustomModel,
    Field(discriminator="kind"),
    BeforeValidator(CustomModel.wrap_object),
]
"""The models that may stand in a sweep; `models.MODULES` has the module of each."""
