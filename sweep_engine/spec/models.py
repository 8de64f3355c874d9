"""Models: what a network is."""

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from sweep_engine.spec.base import Count, Flag, Growing, Index, Titled
from sweep_engine.spec.custom import Custom


class ModelKind(Titled, Growing):
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
        """Say whether f(x) - f(0) is linear in x, so that it has an end-to-end matrix."""

    @property
    @abstractmethod
    def is_scalar_product(self) -> bool:
        """Whether it is f = a b x, whose solutions of f(1) = y are the curve ab = y."""

    @property
    @abstractmethod
    def num_tokens(self) -> int | None:
        """Count the tokens, where the numbers of an input name tokens."""


Nonlinearity = Literal["relu", "tanh", "gelu", "sin"]
Norm = Literal["layer", "rms"]
NORM_WORDS = (
    "layer norm or RMS norm with a gain, layer norm with a bias too. The gain is stored less 1. "
    "Laws of all parameters alike (box, gaussian, ball, ...) draw gain - 1 and bias as they draw "
    "weights, fan_in as it draws biases; the others start them at 0"
)


class Nonlinear(ModelKind):
    """Base of models that are no chain of dense layers and not linear in their inputs."""

    is_dense: ClassVar[bool] = False
    is_linear: ClassVar[bool] = False
    is_scalar_product: ClassVar[bool] = False


class Mlp(ModelKind):
    """Dense layers; with `activation: linear` a deep linear network.

    With `norm`, what a hidden layer gives is normalised before its activation.
    """

    takes_rows: ClassVar[bool] = True
    num_tokens: ClassVar[None] = None
    is_scalar_product: ClassVar[bool] = False
    later_keys: ClassVar[tuple[str, ...]] = ("norm",)

    kind: Literal["mlp"] = "mlp"
    widths: Annotated[tuple[Count, ...], Field(min_length=1)] = Field(
        default=(40, 40), description="units of each hidden layer, input side first"
    )
    activation: Literal["relu", "tanh", "gelu", "sin", "linear"] = Field(
        default="relu", description="what every hidden unit applies to its sum; linear: nothing"
    )
    bias: Flag = Field(default=True, description="whether every layer adds a bias")
    norm: Norm | None = Field(default=None, description=NORM_WORDS)

    @property
    def is_dense(self) -> bool:
        return self.norm is None

    @property
    def is_linear(self) -> bool:
        return self.activation == "linear" and self.norm is None

    @property
    def title(self) -> str:
        return "mlp" if self.norm is None else "mlp with a norm"


class Residual(Nonlinear):
    """A residual network of dense layers, f(x) = V n(h_B).

    h_0 = U_0 x and h_b = h_{b-1} + W_b phi(U_b n(h_{b-1})) with the activation phi and the norm
    n; without one n(h) = h. Layers have biases unless `bias` says otherwise.

    Source:
        He, Zhang, Ren & Sun (2016), Identity mappings in deep residual networks, ECCV.
    """

    takes_rows: ClassVar[bool] = True
    num_tokens: ClassVar[None] = None

    kind: Literal["residual"] = "residual"
    blocks: Count = Field(default=2, description="B, of two layers each")
    width: Count = Field(description="of every hidden layer")
    activation: Nonlinearity = Field(
        default="relu", description="what every hidden unit applies to its sum"
    )
    bias: Flag = Field(default=True, description="whether layers have biases")
    norm: Norm | None = Field(default=None, description=NORM_WORDS)


class Linear(ModelKind):
    """One dense layer from inputs to outputs."""

    is_dense: ClassVar[bool] = True
    takes_rows: ClassVar[bool] = True
    num_tokens: ClassVar[None] = None
    is_linear: ClassVar[bool] = True
    is_scalar_product: ClassVar[bool] = False

    kind: Literal["linear"] = "linear"
    bias: Flag = Field(default=True, description="whether the layer adds a bias")


class DeepLinear(ModelKind):
    """A deep linear network, f(x) = W_L ... W_1 x, without biases."""

    is_dense: ClassVar[bool] = True
    takes_rows: ClassVar[bool] = True
    num_tokens: ClassVar[None] = None
    is_linear: ClassVar[bool] = True
    is_scalar_product: ClassVar[bool] = False

    kind: Literal["deep_linear"] = "deep_linear"
    depth: Count = Field(description="L, the number of layers; at 1 there is no hidden one")
    width: Count = Field(description="of every hidden layer")


class Diagonal(ModelKind):
    """The diagonal linear network beta = w_plus^L - w_minus^L, f = beta . x."""

    is_dense: ClassVar[bool] = False
    takes_rows: ClassVar[bool] = True
    num_tokens: ClassVar[None] = None
    is_linear: ClassVar[bool] = True
    is_scalar_product: ClassVar[bool] = False
    later_keys: ClassVar[tuple[str, ...]] = ("depth",)

    kind: Literal["diagonal"] = "diagonal"
    depth: Count | None = Field(default=None, description="L; left out, 2")


class ScalarFactorisation(ModelKind):
    """Two parameters, f = a b x."""

    is_dense: ClassVar[bool] = False
    takes_rows: ClassVar[bool] = True
    num_tokens: ClassVar[None] = None
    is_linear: ClassVar[bool] = True
    is_scalar_product: ClassVar[bool] = True

    kind: Literal["scalar_factorisation"] = "scalar_factorisation"


class MatrixFactorisation(ModelKind):
    """A matrix M = W_L ... W_1 as the product of its factors, f(A) = <A, M>.

    Inputs are matrices of M's shape, as those of the task `matrix_sensing`.
    """

    is_dense: ClassVar[bool] = False
    takes_rows: ClassVar[bool] = False
    num_tokens: ClassVar[None] = None
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
    num_tokens: ClassVar[None] = None
    is_linear: ClassVar[bool] = True
    is_scalar_product: ClassVar[bool] = False

    kind: Literal["infinitely_deep_linear"] = "infinitely_deep_linear"
    cells: Annotated[Count, AfterValidator(_power_of_two)] = Field(
        default=16,
        description="a power of 2. Double it until the answer stops moving: the error falls "
        "with its square",
    )


Image = Annotated[tuple[Count, ...], Field(min_length=2, max_length=3)]
IMAGE_WORDS = (
    "[H, W] or [H, W, channels] of the image that a row of numbers is, row by row; left out, "
    "inputs are taken as they are"
)
Padding = Literal["same"] | Index
PerLayer = Count | Annotated[tuple[Count, ...], Field(min_length=1)]


class Cnn(Nonlinear):
    """Convolutions, each with its activation and then pooling, and dense layers behind them.

    An input is a signal (L,), an image (H, W) or an image of several channels (H, W, channels).
    What differs from convolution to convolution is a list, else one number for all.

    Source:
        LeCun, Bottou, Bengio & Haffner (1998), Proc. IEEE 86(11).
    """

    takes_rows: ClassVar[bool] = False
    num_tokens: ClassVar[None] = None
    PER_LAYER: ClassVar[tuple[str, ...]] = (
        "kernel",
        "stride",
        "padding",
        "max_pool",
        "mean_pool",
    )

    kind: Literal["cnn"] = "cnn"
    channels: Annotated[tuple[Count, ...], Field(min_length=1)] = Field(
        description="of each convolution, the input side first"
    )
    kernel: PerLayer = Field(default=3, description="side of a convolution's window")
    stride: PerLayer = Field(default=1, description="from one window to the next")
    padding: Padding | Annotated[tuple[Padding, ...], Field(min_length=1)] = Field(
        default=0,
        description="zeros at both ends of every axis, or same: as many as it takes "
        "for one position a stride",
    )
    max_pool: PerLayer = Field(
        default=1,
        description="side of the windows, which do not overlap, of which the largest value stays",
    )
    mean_pool: PerLayer = Field(
        default=1, description="side of the windows, after these, of which the mean stays"
    )
    dense: tuple[Count, ...] = Field(default=(), description="widths of hidden dense layers")
    activation: Nonlinearity = Field(
        default="relu", description="what every hidden unit applies to its sum"
    )
    bias: Flag = Field(default=True, description="whether layers have biases")
    image: Image | None = Field(default=None, description=IMAGE_WORDS, examples=[[8, 8]])

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        for name in self.PER_LAYER:
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != len(self.channels):
                raise ValueError(
                    f"{name}: give one number for all convolutions, or one for each: "
                    f"{len(self.channels)} have channels, got {len(value)}"
                )
        return self

    @staticmethod
    def of_layer(value: Any, index: int) -> Any:
        """Read of a field that may be a list what it says of one convolution."""
        return value[index] if isinstance(value, tuple) else value


class Lenet(Nonlinear):
    """LeNet-5: convolutions of 5 x 5, each pooled by 2 x 2, then three dense layers.

    The first convolution has padding 2, so that an image of 28 x 28 is read as it was: inside
    32 x 32. LeCun et al. have tanh, and means with a learnt gain as pooling; the third
    convolution and the radial basis functions of the output are dense layers in all copies.

    Source:
        LeCun, Bottou, Bengio & Haffner (1998), Proc. IEEE 86(11), section II B.
    """

    takes_rows: ClassVar[bool] = False
    num_tokens: ClassVar[None] = None

    kind: Literal["lenet"] = "lenet"
    channels: tuple[Count, Count] = Field(default=(6, 16), description="of the two convolutions")
    dense: tuple[Count, Count] = Field(
        default=(120, 84), description="widths of the two hidden dense layers"
    )
    activation: Nonlinearity = Field(
        default="relu", description="what every hidden unit applies to its sum"
    )
    pooling: Literal["max", "mean"] = Field(
        default="max", description="what stays of a window: its largest value, or its mean"
    )
    image: Image | None = Field(default=None, description=IMAGE_WORDS, examples=[[8, 8]])


class Transformer(Nonlinear):
    """A small transformer, as for modular arithmetic: the answer is read at the last token.

    An input is a row of tokens: whole numbers from 0 to `vocabulary` - 1, all rows of one
    length. Tokens and places have learnt embeddings. A block is attention, then a hidden layer
    with biases, each behind the norm and added to what it was given; a last norm and the
    unembedding have no bias, nor has attention. Nothing is dropped out.

    Source:
        Vaswani et al. (2017), NeurIPS; Nanda, Chan, Lieberum, Smith & Steinhardt (2023),
        Progress measures for grokking via mechanistic interpretability, ICLR (without norm).
    """

    takes_rows: ClassVar[bool] = True

    kind: Literal["transformer"] = "transformer"
    vocabulary: Count = Field(description="how many tokens there are")
    blocks: Count = Field(default=1, description="of attention and a hidden layer each")
    width: Count = Field(default=32, description="of embeddings and of the residual stream")
    heads: Count = Field(default=4, description="of attention; the width is a multiple of them")
    hidden: Count = Field(default=128, description="width of a block's hidden layer")
    activation: Nonlinearity = Field(
        default="relu", description="what every hidden unit applies to its sum"
    )
    norm: Norm | None = Field(default=None, description=NORM_WORDS)
    causal: Flag = Field(default=True, description="whether a token sees those before it alone")

    @property
    def num_tokens(self) -> int:
        return self.vocabulary

    @model_validator(mode="after")
    def _whole_heads(self) -> Self:
        if self.width % self.heads:
            raise ValueError(
                f"heads: the width, {self.width}, is shared by the heads: {self.heads} do not "
                "divide it"
            )
        return self


class CustomModel(Custom, Nonlinear):
    """A flax module of the user's own: of what it is made is not known."""

    takes_rows: ClassVar[bool] = False
    num_tokens: ClassVar[None] = None


ModelSpec = Annotated[
    Mlp
    | Residual
    | Linear
    | DeepLinear
    | Diagonal
    | ScalarFactorisation
    | MatrixFactorisation
    | InfinitelyDeepLinear
    | Cnn
    | Lenet
    | Transformer
    | CustomModel,
    Field(discriminator="kind"),
    BeforeValidator(CustomModel.wrap_object),
]
"""The models that may stand in a sweep; `models.MODULES` has the module of each."""
