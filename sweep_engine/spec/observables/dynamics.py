"""Observables of the dynamics of training: what it conserves, and what moves."""

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from sweep_engine.spec.base import Count, Index, Positive, Share
from sweep_engine.spec.observables.kind import Bare, ObservableKind, ProjectionPlane


class Conservation(Bare):
    """Measure what gradient flow conserves: imbalance of layers or units, and its drift.

    Of chains of linear or relu layers, diagonal and scalar products.
    """

    kind: Literal["conservation"] = "conservation"


class Lifting(ObservableKind):
    """The coordinates phi(theta) through which the function depends on theta.

    Relu layers: the product of the weights along every path. Linear ones: the end-to-end product.
    Neither changes when a hidden unit is rescaled.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"projections": 4}]})

    fit_source: ClassVar[None] = None
    entry_names: ClassVar[tuple[str, ...]] = ()

    kind: Literal["lifting"] = "lifting"
    projections: Annotated[int, Field(strict=True, ge=1, le=64)] | None = Field(
        default=None,
        description="columns `lifting_1` and on: so many random projections, for large networks; "
        "without it all coordinates, in the column `lifting`",
    )
    seed: Index = Field(default=0, description="of the projections, the same for all networks")

    @property
    def column_names(self) -> list[str]:
        """The columns of the projections."""
        return [f"lifting_{i}" for i in range(1, (self.projections or 0) + 1)]

    @property
    def projection_plane(self) -> ProjectionPlane | None:
        if self.projections != 2:
            return None
        first, second = self.column_names
        return ProjectionPlane((first, second), "phi(theta)", "a random plane")


class IntrinsicDynamics(ObservableKind):
    """Does gradient flow of theta close on phi(theta), given what it conserves?

    phi is that of `lifting`, the conserved quantities those of `conservation`. Small networks
    alone: at most 128 parameters and as many coordinates of phi.

    Source:
        Marcotte, Gribonval & Peyre (2025), Intrinsic training dynamics of deep neural networks,
        arXiv 2508.07370.
    """

    fit_source: ClassVar[None] = None
    projection_plane: ClassVar[None] = None
    entry_names: ClassVar[tuple[str, ...]] = ()

    kind: Literal["intrinsic_dynamics"] = "intrinsic_dynamics"
    tolerance: Positive = Field(
        default=1e-2, description="defect up to which the dynamics counts as intrinsic"
    )
    rank_tolerance: Share = Field(
        default=1e-5,
        description="singular values below this share of the largest do not count as rank",
    )


class KernelMovement(ObservableKind):
    """Lazy or rich: how far the neural tangent kernel and the layers are from the start's.

    Costs a gradient for each input and output, at the network and at its start.
    """

    fit_source: ClassVar[None] = None
    projection_plane: ClassVar[None] = None
    entry_names: ClassVar[tuple[str, ...]] = ()

    kind: Literal["kernel_movement"] = "kernel_movement"
    inputs: Literal["train", "test"] = Field(
        default="train", description="on which inputs the kernel is taken"
    )
    examples: Count = Field(default=32, description="at most so many inputs, the first ones")


class Alignment(Bare):
    """Do the layers of a chain align: |cos| between neighbours' top singular vectors."""

    kind: Literal["alignment"] = "alignment"
