"""Laws over parameters: priors, and the initialisations people use.

Each says in `support` where its mass lies.
"""

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from sweep_engine.spec.base import (
    TRACED,
    Count,
    Flag,
    Fraction,
    NonNegative,
    Positive,
    Real,
    Spec,
    Titled,
)
from sweep_engine.spec.custom import TracedCustom


class Law(Titled):
    """Base of all laws.

    With `shared`, run i of every setting draws from the same stream, so that settings can
    be compared at the same initial parameters.
    """

    shared: Flag = Field(
        default=False,
        description="run i of every setting draws from the same stream, so that settings start "
        "alike",
    )

    @property
    @abstractmethod
    def support(self) -> str:
        """Where the law's mass lies, in words."""

    @property
    @abstractmethod
    def scales(self) -> tuple[str, ...]:
        """The fields that together multiply all of theta."""

    @property
    def parts(self) -> "tuple[Law, ...]":
        """The laws that it is made of."""
        return (self,)

    def scaled(self, factor: float) -> Self:
        """Return the law of `factor` times a draw."""
        update = {name: getattr(self, name) * factor for name in self.scales}
        return self.model_copy(update=update)


class Box(Law):
    """Every parameter uniform on [-half_width, half_width]."""

    scales: ClassVar[tuple[str, ...]] = ("half_width",)

    kind: Literal["box"] = "box"
    half_width: Annotated[Positive, TRACED] = Field(
        default=1.0, description="largest absolute value of a parameter"
    )

    @property
    def support(self) -> str:
        return f"[-{self.half_width}, {self.half_width}]^P"


class Ball(Law):
    """theta uniform in the ball of the given radius, all parameters together.

    With `per_layer`, every layer (the weights and the bias of one module) has a ball of its
    own of that radius.
    """

    scales: ClassVar[tuple[str, ...]] = ("radius",)

    kind: Literal["ball"] = "ball"
    radius: Annotated[Positive, TRACED] = Field(
        default=1.0, description="of the ball, in the norm |theta|"
    )
    per_layer: Flag = Field(default=False, description="a ball for every layer")

    @property
    def support(self) -> str:
        return f"ball of radius {self.radius}" + (" per layer" if self.per_layer else "")


class Sphere(Law):
    """theta uniform on the sphere of the given radius, all parameters together.

    With `per_layer`, every layer (the weights and the bias of one module) has a sphere of its
    own of that radius.
    """

    scales: ClassVar[tuple[str, ...]] = ("radius",)

    kind: Literal["sphere"] = "sphere"
    radius: Annotated[Positive, TRACED] = Field(
        default=1.0, description="of the sphere, in the norm |theta|"
    )
    per_layer: Flag = Field(default=False, description="a sphere for every layer")

    @property
    def support(self) -> str:
        return f"sphere of radius {self.radius}" + (" per layer" if self.per_layer else "")


class Gaussian(Law):
    """Every parameter N(0, std^2)."""

    scales: ClassVar[tuple[str, ...]] = ("std",)
    support: ClassVar[str] = "R^P"

    kind: Literal["gaussian"] = "gaussian"
    std: Annotated[Positive, TRACED] = Field(
        default=1.0, description="standard deviation of every parameter"
    )


class Laplace(Law):
    """Every parameter with density exp(-|x| / scale) / (2 scale)."""

    scales: ClassVar[tuple[str, ...]] = ("scale",)
    support: ClassVar[str] = "R^P"

    kind: Literal["laplace"] = "laplace"
    scale: Annotated[Positive, TRACED] = Field(
        default=1.0, description="mean absolute value of a parameter"
    )


class StudentT(Law):
    """Every parameter `scale` times Student's t with the given degrees of freedom."""

    scales: ClassVar[tuple[str, ...]] = ("scale",)
    support: ClassVar[str] = "R^P"

    kind: Literal["student_t"] = "student_t"
    degrees_of_freedom: Count = Field(
        description="fewer give heavier tails; the variance is infinite up to 2"
    )
    scale: Annotated[Positive, TRACED] = Field(default=1.0, description="multiplies Student's t")


class Binary(Law):
    """Every parameter `scale` or -`scale`, with equal probability."""

    scales: ClassVar[tuple[str, ...]] = ("scale",)

    kind: Literal["binary"] = "binary"
    scale: Annotated[Positive, TRACED] = Field(
        default=1.0, description="absolute value of every parameter"
    )

    @property
    def support(self) -> str:
        return f"{{-{self.scale}, {self.scale}}}^P"


class Ternary(Law):
    """Every parameter 0 with `zero_probability`, else `scale` or -`scale`, equally likely."""

    scales: ClassVar[tuple[str, ...]] = ("scale",)

    kind: Literal["ternary"] = "ternary"
    scale: Annotated[Positive, TRACED] = Field(
        default=1.0, description="absolute value of every parameter that is not 0"
    )
    zero_probability: Annotated[Fraction, TRACED] = Field(
        default=0.5, description="probability that a parameter is 0"
    )

    @property
    def support(self) -> str:
        return f"{{-{self.scale}, 0, {self.scale}}}^P"


class Constant(Law):
    """Every parameter `value`: the start of a norm's scale, or of a diagonal network."""

    scales: ClassVar[tuple[str, ...]] = ("value",)

    kind: Literal["constant"] = "constant"
    value: Annotated[Real, TRACED] = Field(default=1.0, description="of every parameter")

    @property
    def support(self) -> str:
        return f"the point {self.value}"


class FanIn(Law):
    """Weights N(0, weight_std^2 / fan_in), biases N(0, bias_std^2)."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"weight_std": 1.0, "bias_std": 0.1}]}
    )

    scales: ClassVar[tuple[str, ...]] = ("weight_std", "bias_std")

    kind: Literal["fan_in"] = "fan_in"
    weight_std: Annotated[Positive, TRACED] = Field(
        default=1.0,
        description="standard deviation of a weight, times the root of its number of inputs",
    )
    bias_std: Annotated[NonNegative, TRACED] = Field(
        default=0.0, description="standard deviation of a bias; 0: biases start at 0"
    )

    @property
    def support(self) -> str:
        return "R^P" if self.bias_std > 0 else "R^P with biases 0"


InitKind = Literal[
    "lecun_normal",
    "lecun_uniform",
    "lecun_truncated_normal",
    "glorot_normal",
    "glorot_uniform",
    "glorot_truncated_normal",
    "he_normal",
    "he_uniform",
    "he_truncated_normal",
]


class Initialiser(Law):
    """A standard initialisation law, weights times `scale`, biases zero.

    Truncated normals are cut at two deviations and rescaled to the variance of the normal.
    """

    scales: ClassVar[tuple[str, ...]] = ("scale",)

    kind: InitKind = "lecun_normal"
    scale: Annotated[Positive, TRACED] = Field(
        default=1.0, description="multiplies every weight; 1 is the standard initialisation"
    )

    @property
    def support(self) -> str:
        bounded = not self.kind.endswith("_normal") or "truncated" in self.kind
        return ("box per layer" if bounded else "R^P") + " with biases 0"


class Torch(Law):
    """PyTorch's default: weights and biases uniform on +-scale / sqrt(fan_in of the layer).

    So are its dense layers and convolutions. Its embeddings are N(0, scale^2), and its norms
    start with gain 1 and bias 0. A vector of weights has a fan-in of 1.

    Source:
        `torch.nn.Linear`, `torch.nn.modules.conv._ConvNd`: `kaiming_uniform_` with a = sqrt(5).
    """

    scales: ClassVar[tuple[str, ...]] = ("scale",)

    kind: Literal["torch"] = "torch"
    scale: Annotated[Positive, TRACED] = Field(
        default=1.0, description="multiplies weights and biases; 1 is PyTorch's own"
    )

    @property
    def support(self) -> str:
        return "box per layer; R^P of embeddings; norms fixed"


class Orthogonal(Law):
    """Every array of weights `scale` times a uniform semi-orthogonal matrix, biases zero.

    The matrix has one column an output, and one row for everything that an output is a sum
    over; its columns are orthonormal, or its rows where they are fewer. A vector of weights
    is uniform on the sphere.
    """

    scales: ClassVar[tuple[str, ...]] = ("scale",)

    kind: Literal["orthogonal"] = "orthogonal"
    scale: Annotated[Positive, TRACED] = Field(
        default=1.0,
        description="multiplies every matrix; the singular values of a layer at the start",
    )

    @property
    def support(self) -> str:
        return f"semi-orthogonal matrices times {self.scale} with biases 0"


class ModuleInit(Law):
    """The initialisers written in the flax module itself, times `scale`."""

    scales: ClassVar[tuple[str, ...]] = ("scale",)

    kind: Literal["module"] = "module"
    scale: Annotated[Positive, TRACED] = Field(
        default=1.0, description="multiplies every parameter that the module's initialisers draw"
    )

    @property
    def support(self) -> str:
        return "the module's own"


LayerLaw = (
    Box
    | Ball
    | Sphere
    | Gaussian
    | Laplace
    | StudentT
    | Binary
    | Ternary
    | Constant
    | FanIn
    | Initialiser
    | Torch
    | Orthogonal
)


class Layers(Law):
    """A law for every layer (the weights and the bias of one module), in the order of theta."""

    scales: ClassVar[tuple[str, ...]] = ("layers",)

    kind: Literal["layers"] = "layers"
    layers: tuple[Annotated[LayerLaw, Field(discriminator="kind")], ...] = Field(
        description="the laws, input side first: one for every layer of the model"
    )

    @field_validator("layers")
    @classmethod
    def _members(cls, layers: tuple[LayerLaw, ...]) -> tuple[LayerLaw, ...]:
        # Not as min_length, which is also reported where a member is wrong.
        if not layers:
            raise ValueError("give a law for every layer")
        if any(law.shared for law in layers):
            raise ValueError("shared is for the whole law: put it beside layers")
        return layers

    @property
    def support(self) -> str:
        return "; ".join(law.support for law in self.layers)

    @property
    def parts(self) -> tuple[Law, ...]:
        return self.layers

    def scaled(self, factor: float) -> Self:
        return self.model_copy(update={"layers": tuple(law.scaled(factor) for law in self.layers)})


class ArrayLaw(Spec):
    """The law of one array of parameters."""

    array: str = Field(description="its name, as in Dense_0/kernel", examples=["Dense_0/kernel"])
    law: Annotated[LayerLaw, Field(discriminator="kind")] = Field(
        description="what it is drawn from"
    )


class Arrays(Law):
    """A law for every array of parameters, by its name: for modules that have several."""

    scales: ClassVar[tuple[str, ...]] = ("arrays",)

    kind: Literal["arrays"] = "arrays"
    arrays: tuple[ArrayLaw, ...] = Field(description="all arrays, each with its law")

    @field_validator("arrays")
    @classmethod
    def _members(cls, arrays: tuple[ArrayLaw, ...]) -> tuple[ArrayLaw, ...]:
        if not arrays:
            raise ValueError("give a law for every array")
        names = [one.array for one in arrays]
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise ValueError(f"{', '.join(twice)}: give an array one law")
        if any(one.law.shared for one in arrays):
            raise ValueError("shared is for the whole law: put it beside arrays")
        return arrays

    @property
    def support(self) -> str:
        return "; ".join(f"{one.array}: {one.law.support}" for one in self.arrays)

    @property
    def parts(self) -> tuple[Law, ...]:
        return tuple(one.law for one in self.arrays)

    def scaled(self, factor: float) -> Self:
        scaled = (one.model_copy(update={"law": one.law.scaled(factor)}) for one in self.arrays)
        return self.model_copy(update={"arrays": tuple(scaled)})


class _OfAProduct(Law):
    """Base of laws of a deep linear network or matrix factorisation, given that of its product.

    The product W_L ... W_1 has independent entries N(0, std^2); its factors meet a condition
    that gradient flow keeps, and are otherwise as random as can be: rotations between layers are
    uniform. Biases are 0. There is no density with respect to volume.
    """

    scales: ClassVar[tuple[str, ...]] = ("scale",)

    std: Annotated[Positive, TRACED] = Field(
        default=1.0, description="of the product's entries, at scale 1"
    )
    scale: Annotated[Positive, TRACED] = Field(
        default=1.0, description="multiplies every factor, and so the product by its L-th power"
    )


class Balanced(_OfAProduct):
    """Balanced factors, W_{l+1}' W_{l+1} = W_l W_l', of a product of independent Gaussians.

    No hidden layer may be narrower than both the inputs and the outputs.

    Source:
        Arora, Cohen, Golowich & Hu (2019), A convergence analysis of gradient descent for deep
        linear neural networks, ICLR, section 3.3.
    """

    support: ClassVar[str] = "balanced factors with biases 0"

    kind: Literal["balanced"] = "balanced"


class RelaxedBalanced(_OfAProduct):
    """Factors with W_{l+1}' W_{l+1} - W_l W_l' = lambda_l I, of a product of Gaussians.

    lambda_l = imbalance x pattern_l. All directions of a hidden layer are alike in this, so it
    must pass on all that it has: where lambda_l may differ from 0, it is as wide as the
    narrower one of inputs and outputs. (A wider layer can have such factors for one sign of
    lambda_l at most: it is not made.)
    """

    kind: Literal["relaxed_balanced"] = "relaxed_balanced"
    imbalance: Annotated[Real, TRACED] = Field(
        default=1.0, description="multiplies the pattern; 0 is balanced"
    )
    pattern: Annotated[tuple[Real, ...], Field(min_length=1)] | None = Field(
        default=None, description="a number for every hidden layer; left out, 1 for each"
    )

    @property
    def support(self) -> str:
        return f"factors out of balance by {self.imbalance} I with biases 0"

    def scaled(self, factor: float) -> Self:
        # lambda is of second order in the factors.
        moved = super().scaled(factor)
        return moved.model_copy(update={"imbalance": self.imbalance * factor**2})


class BalancedUnits(Law):
    """A draw of another law, each hidden unit rescaled until |in|^2 + bias^2 = |out|^2.

    Incoming weights and bias are multiplied by c > 0 and outgoing weights divided by it, which
    leaves the function of relu and linear networks as it is; gradient flow keeps the balance.
    There is no density with respect to volume.

    Source:
        Du, Hu & Lee (2018), Algorithmic regularization in learning deep homogeneous models,
        NeurIPS (balance); Stock, Graham, Gribonval & Jégou (2019), ICLR (rescaling).
    """

    scales: ClassVar[tuple[str, ...]] = ("law",)

    kind: Literal["balanced_units"] = "balanced_units"
    law: Annotated[LayerLaw | Layers, Field(discriminator="kind")] = Field(
        description="the law that is drawn from before units are rescaled"
    )

    @model_validator(mode="after")
    def _has_units_on_both_sides(self) -> Self:
        if self.law.shared:
            raise ValueError("shared is for the whole law: put it beside law")
        if any(isinstance(part, Ternary) for part in self.law.parts):
            raise ValueError("law: ternary draws units whose weights are all 0 on one side")
        return self

    @property
    def support(self) -> str:
        return f"balanced units, rescaled from: {self.law.support}"

    @property
    def parts(self) -> tuple[Law, ...]:
        return (self, *self.law.parts)

    def scaled(self, factor: float) -> Self:
        return self.model_copy(update={"law": self.law.scaled(factor)})


class UnitProduct(Law):
    """A draw of another law, each of L factors divided by the L-th root of their product's norm.

    So the product W_L ... W_1 of a deep linear network or matrix factorisation has Frobenius norm
    1, or scale^L, as where what networks of different depth are drawn from is compared. There is
    no density with respect to volume.

    Source:
        Alexander, Slutzky, Ran-Milo & Cohen (2025), arXiv 2506.03931, whose guesses of several
        depths have products of norm 1.
    """

    scales: ClassVar[tuple[str, ...]] = ("scale",)
    support: ClassVar[str] = "factors of a product of given norm"

    kind: Literal["unit_product"] = "unit_product"
    scale: Annotated[Positive, TRACED] = Field(
        default=1.0, description="multiplies every factor after that"
    )
    law: Annotated[LayerLaw | Layers, Field(discriminator="kind")] = Field(
        description="the law that is drawn from before the product is given its norm"
    )

    @model_validator(mode="after")
    def _shared_as_a_whole(self) -> Self:
        if self.law.shared:
            raise ValueError("shared is for the whole law: put it beside law")
        return self

    @property
    def parts(self) -> tuple[Law, ...]:
        return (self, *self.law.parts)


WholeLaw = LayerLaw | Layers | Arrays | Balanced | RelaxedBalanced | BalancedUnits | UnitProduct
"""Laws of all of theta that can be scaled."""


class Scaled(Law):
    """`scale` times a draw of another law: from rich to lazy by one number, whatever the law."""

    scales: ClassVar[tuple[str, ...]] = ("scale",)

    kind: Literal["scaled"] = "scaled"
    scale: Annotated[Positive, TRACED] = Field(
        description="multiplies every parameter; small: rich, large: lazy training"
    )
    law: Annotated[WholeLaw, Field(discriminator="kind")] = Field(
        description="the law that is drawn from before"
    )

    @model_validator(mode="after")
    def _shared_as_a_whole(self) -> Self:
        if self.law.shared:
            raise ValueError("shared is for the whole law: put it beside scale")
        return self

    @property
    def whole(self) -> Law:
        """The same law, written with its own fields."""
        return self.law.scaled(self.scale)

    @property
    def support(self) -> str:
        return self.whole.support

    @property
    def parts(self) -> tuple[Law, ...]:
        return self.law.parts


class CustomLaw(TracedCustom, Law):
    """A user's own law, given in Python: a dataclass that makes a `laws.Distribution`.

    Its method `distribution(layout)` is asked inside the compiled program, where the fields that
    hold a float are arrays, each run's own. A field `shared` says what it says of every law.
    """

    scales: ClassVar[tuple[str, ...]] = ()

    @property
    def title(self) -> str:
        return self.target.rpartition(":")[2]

    @property
    def support(self) -> str:
        return f"the support of {self.title}"

    def scaled(self, factor: float) -> Self:
        raise ValueError(f"{self.title} is a user's own law, whose scale is its own matter")

    @classmethod
    def wrap(cls, value: Any) -> Self:
        if not callable(getattr(value, "distribution", None)):
            raise ValueError(
                "expected a mapping with `kind`, or a dataclass with a method "
                f"distribution(layout) that makes a Distribution, got {value!r}"
            )
        wrapped = super().wrap(value)
        return wrapped.model_copy(update={"shared": bool(wrapped.fields.get("shared", False))})


Laws = WholeLaw | Scaled | ModuleInit | CustomLaw

LawSpec = Annotated[Laws, Field(discriminator="kind"), BeforeValidator(CustomLaw.wrap_object)]
"""The laws that may stand in a sweep; `laws.laws.DISTRIBUTIONS` has what draws from each."""
