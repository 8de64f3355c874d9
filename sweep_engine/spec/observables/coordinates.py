"""Coordinates of theta on a fitted or random basis."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from sweep_engine.spec.base import Flag
from sweep_engine.spec.observables.kind import ObservableKind, ProjectionPlane


class Coordinates(ObservableKind):
    """Low-dimensional coordinates of theta, in columns such as `canonical_pca_1`.

    `pca`: principal components of every other stored network of the source `fitted_on` (every
    other repetition or chain), fitted once when its runs are done and then kept in the results;
    those networks get no coordinates. `random`: fixed orthonormal directions.
    """

    # Ids and stored bases are hashes of this key, so that it is written as it has always been.
    model_config = ConfigDict(
        serialize_by_alias=True,
        json_schema_extra={"examples": [{"method": "random"}, {"fitted_on": "sgd"}]},
    )

    entry_names: ClassVar[tuple[str, ...]] = ()

    kind: Literal["coordinates"] = "coordinates"
    method: Literal["pca", "random"] = Field(
        default="pca", description="pca: principal components; random: fixed random directions"
    )
    fitted_on: str | None = Field(
        default=None,
        serialization_alias="reference",
        description="the source that pca is fitted on",
    )
    canonical: Flag = Field(
        default=True,
        description="of the canonical form: permutations and signs of hidden units divided out",
    )
    scaling: Flag = Field(
        default=False,
        description="divide out the scales of relu and linear units too: KL can then only fall",
    )
    components: Annotated[int, Field(strict=True, ge=1, le=64)] = Field(
        default=2, description="how many coordinates there are"
    )

    @model_validator(mode="before")
    @classmethod
    def _former_key(cls, data: Any) -> Any:
        """Read `reference`, the key of earlier files."""
        if not isinstance(data, dict) or "reference" not in data:
            return data
        if "fitted_on" in data:
            raise ValueError("reference is the former name of fitted_on: give one of them")
        rest = {key: value for key, value in data.items() if key != "reference"}
        return rest | {"fitted_on": data["reference"]}

    @model_validator(mode="after")
    def _has_source(self) -> Self:
        if (self.method == "pca") != (self.fitted_on is not None):
            raise ValueError("fitted_on: pca needs the source that it is fitted on, random none")
        if self.scaling and not self.canonical:
            raise ValueError("scaling goes with canonical")
        return self

    @property
    def fit_source(self) -> str | None:
        return self.fitted_on

    @property
    def column_names(self) -> list[str]:
        """The columns: what is projected, how, and the number of the coordinate, from 1."""
        point = ("scaled" if self.scaling else "canonical") if self.canonical else "theta"
        return [f"{point}_{self.method}_{i}" for i in range(1, self.components + 1)]

    @property
    def projection_plane(self) -> ProjectionPlane | None:
        if self.components != 2:
            return None
        first, second = self.column_names
        point = "canonical theta" if self.canonical else "theta"
        fitted = self.fitted_on
        plane = f"the principal plane of {fitted}" if fitted else "a random plane"
        return ProjectionPlane((first, second), point, plane)
