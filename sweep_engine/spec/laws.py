"""Laws over parameters: priors, and the initialisations people use.

Each says in `support` where its mass lies.
"""

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from sweep_engine.spec.base import TRACED, Count, Flag, Fraction, NonNegative, Positive, Spec


class Law(Spec):
    """Base of all laws.

    With `shared`, run i of every setting draws from the same stream, so that settings can
    be compared at the same initial parameters.
    """

    shared: Flag = False

    @property
    @abstractmethod
    def support(self) -> str:
        """Where the law's mass lies, in words."""


class Box(Law):
    """Every parameter uniform on [-half_width, half_width]."""

    kind: Literal["box"] = "box"
    half_width: Annotated[Positive, TRACED] = 1.0

    @property
    def support(self) -> str:
        return f"[-{self.half_width}, {self.half_width}]^P"


class Ball(Law):
    """theta uniform in the ball of the given radius, all parameters together.

    With `per_layer`, every layer (the weights and the bias of one module) has a ball of its
    own of that radius.
    """

    kind: Literal["ball"] = "ball"
    radius: Annotated[Positive, TRACED] = 1.0
    per_layer: Flag = False

    @property
    def support(self) -> str:
        return f"ball of radius {self.radius}" + (" per layer" if self.per_layer else "")


class Sphere(Law):
    """theta uniform on the sphere of the given radius, all parameters together.

    With `per_layer`, every layer (the weights and the bias of one module) has a sphere of its
    own of that radius.
    """

    kind: Literal["sphere"] = "sphere"
    radius: Annotated[Positive, TRACED] = 1.0
    per_layer: Flag = False

    @property
    def support(self) -> str:
        return f"sphere of radius {self.radius}" + (" per layer" if self.per_layer else "")


class Gaussian(Law):
    """Every parameter N(0, std^2)."""

    support: ClassVar[str] = "R^P"

    kind: Literal["gaussian"] = "gaussian"
    std: Annotated[Positive, TRACED] = 1.0


class Laplace(Law):
    """Every parameter with density exp(-|x| / scale) / (2 scale)."""

    support: ClassVar[str] = "R^P"

    kind: Literal["laplace"] = "laplace"
    scale: Annotated[Positive, TRACED] = 1.0


class StudentT(Law):
    """Every parameter `scale` times Student's t with the given degrees of freedom."""

    support: ClassVar[str] = "R^P"

    kind: Literal["student_t"] = "student_t"
    degrees_of_freedom: Count
    scale: Annotated[Positive, TRACED] = 1.0


class Binary(Law):
    """Every parameter `scale` or -`scale`, with equal probability."""

    kind: Literal["binary"] = "binary"
    scale: Annotated[Positive, TRACED] = 1.0

    @property
    def support(self) -> str:
        return f"{{-{self.scale}, {self.scale}}}^P"


class Ternary(Law):
    """Every parameter 0 with `zero_probability`, else `scale` or -`scale`, equally likely."""

    kind: Literal["ternary"] = "ternary"
    scale: Annotated[Positive, TRACED] = 1.0
    zero_probability: Annotated[Fraction, TRACED] = 0.5

    @property
    def support(self) -> str:
        return f"{{-{self.scale}, 0, {self.scale}}}^P"


class FanIn(Law):
    """Weights N(0, weight_std^2 / fan_in), biases N(0, bias_std^2)."""

    kind: Literal["fan_in"] = "fan_in"
    weight_std: Annotated[Positive, TRACED] = 1.0
    bias_std: Annotated[NonNegative, TRACED] = 0.0

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

    kind: InitKind = "lecun_normal"
    scale: Annotated[Positive, TRACED] = 1.0

    @property
    def support(self) -> str:
        bounded = not self.kind.endswith("_normal") or "truncated" in self.kind
        return ("box per layer" if bounded else "R^P") + " with biases 0"


class Orthogonal(Law):
    """Every array of weights `scale` times a uniform semi-orthogonal matrix, biases zero.

    The matrix has one column an output, and one row for everything that an output is a sum
    over; its columns are orthonormal, or its rows where they are fewer. A vector of weights
    is uniform on the sphere.
    """

    kind: Literal["orthogonal"] = "orthogonal"
    scale: Annotated[Positive, TRACED] = 1.0

    @property
    def support(self) -> str:
        return f"semi-orthogonal matrices times {self.scale} with biases 0"


class ModuleInit(Law):
    """The initialisers written in the flax module itself, times `scale`."""

    kind: Literal["module"] = "module"
    scale: Annotated[Positive, TRACED] = 1.0

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
    | FanIn
    | Initialiser
    | Orthogonal
)


class Layers(Law):
    """A law for every layer (the weights and the bias of one module), in the order of theta."""

    kind: Literal["layers"] = "layers"
    layers: tuple[Annotated[LayerLaw, Field(discriminator="kind")], ...]

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


LawSpec = Annotated[LayerLaw | Layers | ModuleInit, Field(discriminator="kind")]
"""The laws that may stand in a sweep; `laws.laws.DISTRIBUTIONS` has what draws from each."""
