"""Tasks that are computed: modular arithmetic, and what a drawn network says."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sweep_engine.spec.base import Count, Index, NonNegative
from sweep_engine.spec.image_tasks import CLASS_LOSS_WORDS, ClassLoss
from sweep_engine.spec.models import ModelSpec
from sweep_engine.spec.task_kind import Labelled, check_drawn


class Modular(Labelled):
    """(a op b) mod p for all pairs of 0 to p - 1, of which some train and the rest test.

    Pairs are in the order of a, then b, and all of them identify the function. `divide` is
    a times the inverse of b, for prime p and b > 0.

    Source:
        Power, Burda, Edwards, Babuschkin & Misra (2022), Grokking, arXiv 2201.02177.
    """

    data_files: ClassVar[tuple[()]] = ()
    probe_grid: ClassVar[None] = None

    kind: Literal["modular"] = "modular"
    modulus: Annotated[int, Field(strict=True, ge=2, le=256)] = Field(
        default=97, description="p; a label is a byte"
    )
    operation: Literal["add", "subtract", "multiply", "divide", "sum_of_squares"] = Field(
        default="add", description="what is done to a and b; sum_of_squares: a^2 + b^2"
    )
    train: Count = Field(description="how many of the pairs train, drawn from the seed")
    inputs: Literal["one_hot", "tokens"] = Field(
        default="one_hot",
        description="one_hot: 2 p numbers, all 0 but one for a and one for b; tokens: the two "
        "whole numbers a and b, for models that embed them",
    )
    loss: ClassLoss = Field(default="cross_entropy", description=CLASS_LOSS_WORDS)

    @property
    def num_pairs(self) -> int:
        """Count the pairs."""
        return self.modulus * (self.modulus - (self.operation == "divide"))

    @model_validator(mode="after")
    def _there_are_so_many(self) -> Self:
        if self.operation == "divide" and any(
            self.modulus % k == 0 for k in range(2, int(self.modulus**0.5) + 1)
        ):
            raise ValueError(f"operation: divide needs a prime modulus, and {self.modulus} is none")
        if self.train > self.num_pairs:
            raise ValueError(f"train: asks for {self.train:,} of {self.num_pairs:,} pairs")
        return self

    @property
    def is_random_sample(self) -> bool:
        return self.has_right_labels


class Teacher(Labelled):
    """Learn what a drawn network says of inputs x ~ N(0, I): its outputs, or its labels.

    Its weights are N(0, weight_std^2 / fan_in), its biases N(0, bias_std^2). Labels are 1
    where its one output is > 0, or the largest of several outputs.
    """

    data_files: ClassVar[tuple[()]] = ()
    probe_grid: ClassVar[None] = None

    kind: Literal["teacher"] = "teacher"
    model: ModelSpec = Field(description="the teacher's model")
    inputs: Count = Field(description="how many numbers an input has")
    outputs: Count = Field(default=1, description="of the teacher; labels: a class each, or two")
    examples: Count = Field(description="how many training examples are drawn")
    test_examples: Index = Field(default=256, description="how many test examples are drawn")
    says: Literal["labels", "values"] = Field(
        default="labels", description="what is learnt from the teacher"
    )
    weight_std: NonNegative = Field(default=1.0, description="of weights, times sqrt(fan_in)")
    bias_std: NonNegative = Field(default=0.0, description="of biases")
    noise: NonNegative = Field(default=0.0, description="standard deviation of noise on values")
    loss: ClassLoss | None = Field(
        default=None,
        description="left out, squared error of values, cross_entropy of labels; of labels "
        + CLASS_LOSS_WORDS,
    )

    @model_validator(mode="after")
    def _values_or_labels(self) -> Self:
        check_drawn(self.examples, self.test_examples, self.inputs + self.outputs)
        if self.says == "labels":
            if self.noise:
                raise ValueError("noise: is for values; labels have label_noise")
            return self
        if self.loss not in (None, "squared"):
            raise ValueError("loss: values have squared error; give says: labels for another")
        given = [name for name in ("poison", "label_noise", "label_smoothing")
                 if getattr(self, name) is not None]  # fmt: skip
        if given:
            raise ValueError(f"{given[0]}: is for labels, and the teacher says values")
        return self

    @property
    def is_random_sample(self) -> bool:
        return self.has_right_labels
