"""Observables of rank and sparsity."""

from typing import ClassVar, Literal

from pydantic import Field

from sweep_engine.spec.base import Share
from sweep_engine.spec.observables.kind import ObservableKind


class Rank(ObservableKind):
    """Ranks of weights and features, units and weights that do nothing, balance of layers.

    Of weights and gradients for every model; of hidden units for chains of dense layers; of the
    end-to-end product for linear ones.
    """

    fit_source: ClassVar[None] = None
    projection_plane: ClassVar[None] = None
    entry_names: ClassVar[tuple[str, ...]] = ()

    kind: Literal["rank"] = "rank"
    tolerance: Share = Field(
        default=1e-3,
        description="singular values below this share of the largest do not count as rank",
    )
    near_zero: Share = Field(
        default=1e-2,
        description="weights below this share of their layer's root mean square are near zero",
    )
