"""Base of the sources whose runs go step by step: `train` and `flow`."""

from pydantic import Field

from sweep_engine.spec.base import RunCount
from sweep_engine.spec.laws import Initialiser, LawSpec
from sweep_engine.spec.sources import sizes
from sweep_engine.spec.sources.source import Source, SourceRole
from sweep_engine.spec.starts import FromSource, StartSpec


class Stepped(Source):
    """Base of sources whose runs go from a start, step by step, until a stopping rule holds.

    Runs are independent, and each is a row wherever it ends.
    """

    init: StartSpec = Field(
        default=Initialiser(),
        description="where runs start: a draw from a law, or {from: NAME}, a run of another source",
    )
    runs: RunCount = Field(description="how many runs each setting has")

    @property
    def start_words(self) -> str:
        """Say where runs start."""
        start = self.init
        if isinstance(start, FromSource):
            return f"networks of {start.source}"
        return f"the law {start.title}"

    @property
    def role(self) -> SourceRole:
        return SourceRole.TRAINED

    @property
    def counted(self) -> frozenset[str]:
        return frozenset({"runs"})

    @property
    def selected(self) -> frozenset[str]:
        return frozenset()

    @property
    def watched(self) -> frozenset[str]:
        return frozenset({"record"})

    @property
    def num_runs(self) -> int:
        return self.runs

    @property
    def num_rows(self) -> int:
        return self.runs

    @property
    def unit_size(self) -> int:
        return 1

    @property
    def runs_per_shard(self) -> int:
        return sizes.RUNS_PER_SHARD

    @property
    def runs_per_tiny_shard(self) -> int:
        networks = self.states_per_run + self.records_per_run
        return sizes.runs_per_tiny_shard(self.runs, self.work_per_run, networks)

    @property
    def accepts_until(self) -> None:
        return None

    @property
    def start_law(self) -> LawSpec | None:
        return None if isinstance(self.init, FromSource) else self.init

    @property
    def has_start(self) -> bool:
        return True

    @property
    def has_own_targets(self) -> bool:
        return False

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
