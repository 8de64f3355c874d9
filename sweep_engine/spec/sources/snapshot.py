"""`snapshot`: the networks of another source at some step."""

from typing import Literal

from pydantic import Field

from sweep_engine.spec.base import RunCount
from sweep_engine.spec.sources import sizes
from sweep_engine.spec.sources.source import Source, SourceRole, only_final
from sweep_engine.spec.starts import ParentAt, ParentState


class Snapshot(Source, ParentAt):
    """The networks of another source at some step: row i is its run i.

    They are observed, and judged by the acceptance rule, like any others.
    """

    kind: Literal["snapshot"] = "snapshot"
    runs: RunCount | None = Field(default=None, description="left out: all that the source has")

    @property
    def needs_final(self) -> bool:
        return False

    @property
    def role(self) -> SourceRole:
        return SourceRole.STORED

    @property
    def sentence(self) -> str:
        if self.at == "average":
            return f"networks whose parameters are averages along the runs of {self.source}"
        return f"the networks of {self.source} at {self._state}"

    @property
    def _state(self) -> str:
        return f"step {self.at}" if isinstance(self.at, int) else self.at.replace("_", " ")

    @property
    def deed(self) -> str:
        return "taken from stored ones"

    @property
    def counted(self) -> frozenset[str]:
        return frozenset({"runs"})

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
    def num_runs(self) -> int | None:
        return self.runs

    @property
    def num_rows(self) -> int | None:
        return self.runs

    @property
    def unit_size(self) -> int:
        return 1

    @property
    def runs_per_shard(self) -> int:
        return sizes.RUNS_PER_SHARD

    @property
    def runs_per_tiny_shard(self) -> int:
        return self.runs_per_shard

    @property
    def accepts_until(self) -> None:
        return None

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
    def start_law(self) -> None:
        return None

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
    def keeps_fits_only(self) -> bool:
        return False

    @property
    def identifies_fits_only(self) -> bool:
        return False

    @property
    def weighs_law(self) -> bool:
        return False

    @property
    def measures_fit_of_law(self) -> bool:
        return False

    @property
    def estimates_fit_by_unit(self) -> bool:
        return False
