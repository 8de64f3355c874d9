"""Laws over parameters: priors, and the initialisations people use."""

from typing import Annotated, Literal

from pydantic import Field

from sweep_engine.spec.base import TRACED, Flag, NonNegative, Positive, Spec


class Law(Spec):
    """Base of all laws.

    With `shared`, run i of every setting draws from the same stream, so that settings can
    be compared at the same initial parameters.
    """

    shared: Flag = False


class Box(Law):
    """Every parameter uniform on [-half_width, half_width]."""

    kind: Literal["box"] = "box"
    half_width: Annotated[Positive, TRACED] = 1.0


class Ball(Law):
    """theta uniform in the ball of the given radius, all parameters together."""

    kind: Literal["ball"] = "ball"
    radius: Annotated[Positive, TRACED] = 1.0


class Sphere(Law):
    """theta uniform on the sphere of the given radius, all parameters together."""

    kind: Literal["sphere"] = "sphere"
    radius: Annotated[Positive, TRACED] = 1.0


class Gaussian(Law):
    """Every parameter N(0, std^2)."""

    kind: Literal["gaussian"] = "gaussian"
    std: Annotated[Positive, TRACED] = 1.0


class FanIn(Law):
    """Weights N(0, weight_std^2 / fan_in), biases N(0, bias_std^2)."""

    kind: Literal["fan_in"] = "fan_in"
    weight_std: Annotated[Positive, TRACED] = 1.0
    bias_std: Annotated[NonNegative, TRACED] = 0.0


InitKind = Literal[
    "lecun_normal", "lecun_uniform", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform"
]


class Initialiser(Law):
    """A standard initialisation law, weights times `scale`, biases zero."""

    kind: InitKind = "lecun_normal"
    scale: Annotated[Positive, TRACED] = 1.0


class ModuleInit(Law):
    """The initialisers written in the flax module itself, times `scale`."""

    kind: Literal["module"] = "module"
    scale: Annotated[Positive, TRACED] = 1.0


LawSpec = Annotated[
    Box | Ball | Sphere | Gaussian | FanIn | Initialiser | ModuleInit, Field(discriminator="kind")
]
