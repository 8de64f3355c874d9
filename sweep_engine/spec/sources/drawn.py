"""`prior` and `guess_and_check`: networks drawn from a law, trained by nothing."""

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from sweep_engine.spec.base import Count, RunCount
from sweep_engine.spec.laws import Box, LawSpec
from sweep_engine.spec.sources import sizes
from sweep_engine.spec.sources.source import Source, SourceRole, only_final
from sweep_engine.spec.starts import ParentState


class Drawn(Source):
    """What sources of independent draws from a law share."""

    law: LawSpec = Field(default=Box(), description="the law that parameters are drawn from")

    @property
    def deed(self) -> str:
        return "drawn"

    @property
    def unit_size(self) -> int:
        return 1

    @property
    def work_per_run(self) -> int:
        return 1

    @property
    def records_per_run(self) -> int:
        return 0

    @property
    def states_per_run(self) -> int:
        return 1

    @property
    def start_law(self) -> LawSpec:
        return self.law

    @property
    def has_start(self) -> bool:
        return False

    @property
    def has_own_targets(self) -> bool:
        return False

    @property
    def curvature_limit(self) -> None:
        return None

    def missing_state(self, at: ParentState, name: str) -> str | None:
        return only_final(at, name)

    @property
    def weighs_law(self) -> bool:
        return False

    @property
    def measures_fit_of_law(self) -> bool:
        return True

    @property
    def estimates_fit_by_unit(self) -> bool:
        return False


class Prior(Drawn):
    """Draws from a law, trained by nothing."""

    kind: Literal["prior"] = "prior"
    draws: RunCount = Field(description="how many networks each setting draws")
    keep: Literal["all", "fit", "none"] | Count = Field(
        default="all", description="which draws become rows; tallies count every draw"
    )

    @property
    def role(self) -> SourceRole:
        return SourceRole.PRIOR

    @property
    def sentence(self) -> str:
        return f"drawn from the law {self.law.title}"

    @property
    def counted(self) -> frozenset[str]:
        return frozenset({"draws"})

    @property
    def selected(self) -> frozenset[str]:
        return frozenset({"keep"})

    @property
    def watched(self) -> frozenset[str]:
        return frozenset()

    @property
    def recorded(self) -> tuple[()]:
        return ()

    @property
    def has_time(self) -> bool:
        return False

    @property
    def own_columns(self) -> tuple[()]:
        return ()

    @property
    def num_runs(self) -> int:
        return self.draws

    @property
    def num_rows(self) -> int | None:
        if isinstance(self.keep, int):
            return min(self.draws, self.keep)
        return {"all": self.draws, "fit": None, "none": 0}[self.keep]

    @property
    def runs_per_shard(self) -> int:
        return sizes.RUNS_PER_SHARD if self.keep == "all" else sizes.DRAWS_PER_SHARD

    @property
    def runs_per_tiny_shard(self) -> int:
        if self.keep != "all":
            return self.runs_per_shard
        return sizes.runs_per_tiny_shard(self.draws, self.work_per_run)

    @property
    def accepts_until(self) -> None:
        return None

    @property
    def keeps_fits_only(self) -> bool:
        return self.keep == "fit"

    @property
    def identifies_fits_only(self) -> bool:
        return False


class GuessAndCheck(Drawn):
    """A law conditioned on fitting, by rejection: a number of draws, or of acceptances."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"accepted": 100, "max_draws": 1000000}, {"draws": 1000000}]
        }
    )

    kind: Literal["guess_and_check"] = "guess_and_check"
    draws: RunCount | None = Field(
        default=None, description="how many networks each setting draws, fits or not"
    )
    accepted: RunCount | None = Field(default=None, description="draw until so many networks fit")
    max_draws: RunCount = Field(
        default=100_000_000, description="with `accepted`: give up after so many draws"
    )

    @model_validator(mode="after")
    def _one_stopping_rule(self) -> Self:
        if (self.draws is None) == (self.accepted is None):
            raise ValueError("give draws (a fixed number) or accepted (stop at the k-th)")
        return self

    @property
    def role(self) -> SourceRole:
        return SourceRole.CONDITIONED

    @property
    def sentence(self) -> str:
        return f"the law {self.law.title}, rejection-sampled until they fit"

    @property
    def counted(self) -> frozenset[str]:
        return frozenset({"draws", "max_draws"})

    @property
    def selected(self) -> frozenset[str]:
        return frozenset()

    @property
    def watched(self) -> frozenset[str]:
        return frozenset()

    @property
    def recorded(self) -> tuple[()]:
        return ()

    @property
    def has_time(self) -> bool:
        return False

    @property
    def own_columns(self) -> tuple[()]:
        return ()

    @property
    def num_runs(self) -> int:
        return self.max_draws if self.draws is None else self.draws

    @property
    def num_rows(self) -> int | None:
        return self.accepted

    @property
    def runs_per_shard(self) -> int:
        return sizes.DRAWS_PER_SHARD

    @property
    def runs_per_tiny_shard(self) -> int:
        return self.runs_per_shard

    @property
    def accepts_until(self) -> int | None:
        return self.accepted

    @property
    def keeps_fits_only(self) -> bool:
        return True

    @property
    def identifies_fits_only(self) -> bool:
        return True
