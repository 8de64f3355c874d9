"""What a source takes from the stored results of another: starts, pruned starts, functions."""

from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from sweep_engine.spec.base import HOST, Count, Index, PartName, Spec
from sweep_engine.spec.laws import CustomLaw, Laws

ParentState = Literal["final", "first_fit", "average"] | Index
"""Which state of a run: the last, the one at the first fit, or the one after so many steps.

A run that ended before, or never fitted, gives its last. `average` is no state that the run was
in, but the average of its parameters that a `train` source keeps where it is asked to.
"""


class ParentRef(Spec):
    """Names the parent: the source whose stored results are used."""

    model_config = ConfigDict(serialize_by_alias=True)

    source: PartName = Field(
        alias="from", description="another source of this sweep", examples=["sgd"]
    )


class ParentAt(ParentRef, ABC):
    """Names the parent, and the state of its runs that is used."""

    at: Annotated[ParentState, HOST] = Field(
        default="final",
        description="which state of its runs: final, first_fit, average, or a number of steps",
    )

    @property
    @abstractmethod
    def needs_final(self) -> bool:
        """Whether the final state is needed as well."""


class Mask(Spec):
    """Keep the weights that are largest at the end of the run, and all biases: a lottery ticket.

    `keep` is a share of the weights that are not zero, so that tickets of tickets prune on.

    Source:
        Frankle & Carbin (2019), The lottery ticket hypothesis, ICLR.
    """

    keep: Annotated[float, Field(strict=True, gt=0, le=1), HOST] = Field(
        description="share of the weights that are not 0 to keep", examples=[0.2]
    )
    scope: Annotated[Literal["global", "layer"], HOST] = Field(
        default="global", description="the largest of all weights, or of every layer"
    )


class FromSource(ParentAt):
    """Start run i where run i of another source was; of rejection, where its i-th fit is.

    Its parameters are taken, not the optimiser's state, nor its order of minibatches. With a
    mask its pruned weights are 0 at the start and stay 0. A run that diverged gives one that
    diverges at once.
    """

    kind: Literal["from"] = "from"
    mask: Mask | None = Field(
        default=None, description="prune weights: they are 0 at the start and stay 0"
    )

    @property
    def needs_final(self) -> bool:
        """A mask is made of the weights at the end."""
        return self.mask is not None


class FunctionsFrom(ParentRef):
    """The functions that the fits of another source compute most often."""

    top: Count = Field(default=16, description="how many, the commonest first")


def _with_kind(value: Any) -> Any:
    """Add the kind to `{from: sgd}`, which needs none; an object is a law of the user's own."""
    return value | {"kind": "from"} if isinstance(value, dict) and "from" in value else value


StartSpec = Annotated[
    Laws | FromSource,
    Field(discriminator="kind"),
    BeforeValidator(CustomLaw.wrap_object),
    BeforeValidator(_with_kind),
]
"""Where runs start: a draw from a law, or a run of another source."""


def parent_ref_of(source: Spec) -> tuple[tuple[str, ...], ParentRef] | None:
    """Find what a source takes from a parent, and the path of the field that says so."""
    if isinstance(source, ParentRef):
        return (), source
    fields = ((name, getattr(source, name)) for name in type(source).model_fields)
    return next((((name,), field) for name, field in fields if isinstance(field, ParentRef)), None)
