"""The acceptance rule: when a network fits the training set."""

from typing import ClassVar, Self

from pydantic import ConfigDict, Field, model_validator

from sweep_engine.spec.base import NonNegative, Positive, Real, Spec
from sweep_engine.spec.scales import OutputScale


class Bin(Spec):
    """An open interval, bounded on one side or on both."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"above": 0.5}, {"below": 0.1}]})

    above: Real | None = Field(default=None, description="the lower end, itself outside")
    below: Real | None = Field(default=None, description="the upper end, itself outside")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.above is None and self.below is None:
            raise ValueError("give above, below or both")
        if self.above is not None and self.below is not None and self.above >= self.below:
            raise ValueError(f"no number is above {self.above} and below {self.below}")
        return self


class Accept(Spec):
    """The rule that says when a network fits the training set: one of these, or several at once.

    Of several all must hold, as of a train_error of 0 and a bin of the normalised loss.

    `margin` and `loss` may be those of the outputs divided by a scale of the network
    (`normalise`), so that networks of different size are compared inside one bin. The path
    norm and the Lipschitz estimate do not change when relu units are rescaled; the products
    of norms do. A rule of dense layers with biases is best normalised by the path norm,
    which counts them.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"train_error": 0.0},
                {"train_loss": 0.01},
                {"max_residual": 0.1},
                {"margin": {"above": 0.5}, "normalise": "path"},
                {"loss": {"below": 0.1}, "normalise": "path"},
            ]
        }
    )

    RULES: ClassVar[tuple[str, ...]] = (
        "train_error", "train_loss", "max_residual", "margin", "loss",
    )  # fmt: skip

    train_error: NonNegative | None = Field(
        default=None, description="share of training examples that are wrong, at most"
    )
    train_loss: NonNegative | None = Field(default=None, description="mean training loss, at most")
    max_residual: Positive | None = Field(
        default=None, description="largest |output - y| over the training set, at most"
    )
    margin: Bin | None = Field(
        default=None,
        description="smallest margin over the training set, inside; an output of exactly 0 has "
        "no margin and counts by its label alone",
    )
    loss: Bin | None = Field(default=None, description="mean training loss, inside")
    normalise: OutputScale | None = Field(
        default=None,
        description="what outputs are divided by before margin or loss is taken: the product of "
        "the layers' Frobenius or spectral norms, the path norm, or the largest slope of the "
        "outputs at a training input",
    )

    @property
    def rules(self) -> tuple[str, ...]:
        """The names of the rules that are given."""
        return tuple(name for name in self.RULES if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if not self.rules:
            raise ValueError(f"give one or more of {', '.join(self.RULES)}")
        if self.normalise is not None and self.margin is None and self.loss is None:
            raise ValueError("normalise goes with margin or loss")
        if self.loss is not None and self.loss.below is not None and self.loss.below <= 0:
            raise ValueError("loss: no loss is below 0")
        return self
