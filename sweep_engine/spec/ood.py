"""A second set of inputs, out of the distribution of the first: what networks are tested on too."""

from typing import Annotated, Literal

from pydantic import Field

from sweep_engine.spec.base import Positive, Share, Spec


class Noise(Spec):
    """The test inputs with Gaussian noise added, and their labels."""

    kind: Literal["noise"] = "noise"
    std: Positive = Field(description="standard deviation, in the unit of the inputs")


class Mask(Spec):
    """The test inputs with numbers set to 0, chosen for every input anew, and their labels."""

    kind: Literal["mask"] = "mask"
    share: Share = Field(description="of an input's numbers")


class Shuffle(Spec):
    """The test inputs with their numbers in another order, one for all inputs, and their labels."""

    kind: Literal["shuffle"] = "shuffle"


class OtherColumns(Spec):
    """Other columns, or arrays, of the task's own file; labels are those of the task."""

    kind: Literal["columns"] = "columns"
    x: Annotated[tuple[str, ...], Field(min_length=1)] | str = Field(
        description="the columns with the inputs, or the array of a .npz file",
        examples=["x_shifted"],
    )
    y: str = Field(description="the column or array with the targets", examples=["y_shifted"])


OodSpec = Annotated[Noise | Mask | Shuffle | OtherColumns, Field(discriminator="kind")]
"""The second sets that a task can name in `ood`; `tasks.ood.MAKERS` has what makes each."""
