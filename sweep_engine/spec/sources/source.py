"""What every kind of source must answer: all that others need to know of it."""

from abc import ABC, abstractmethod
from enum import Enum

from pydantic import Field

from sweep_engine.spec.base import Growing
from sweep_engine.spec.laws import LawSpec
from sweep_engine.spec.observables import ObservableKind
from sweep_engine.spec.sources.acceptance import Accept
from sweep_engine.spec.starts import ParentState
from sweep_engine.spec.tasks import TaskSpec


class SourceRole(Enum):
    """What the networks of a source are, whatever program finds them."""

    PRIOR = "drawn from a law that knows nothing of the data"
    CONDITIONED = "a law given a fit"
    POSTERIOR = "a law weighed by a likelihood"
    TRAINED = "where an optimiser ended"
    STORED = "networks that another source has stored"


class Source(Growing, ABC):
    """What all sources share: a rule and a task of one's own, in place of the sweep's.

    Nobody outside a kind's own folder asks which kind a source is: each kind answers the
    questions below, and a kind that leaves one unanswered cannot be loaded. They are
    properties and not fields, so that they stand in no file and change no id.
    """

    accept: Accept | None = Field(
        default=None, description="the acceptance rule of this source, in place of the sweep's"
    )
    task: TaskSpec | None = Field(
        default=None, description="in place of the sweep's; its inputs must have the same shape"
    )

    @property
    @abstractmethod
    def role(self) -> SourceRole:
        """What its networks are: which comparisons mean something, which picture shows them."""

    @property
    @abstractmethod
    def sentence(self) -> str:
        """What its networks are, for a reader: goes on after the source's name and a colon."""

    @property
    @abstractmethod
    def deed(self) -> str:
        """What is done to its networks: `trained`, `drawn`."""

    # --- How many there are.

    @property
    @abstractmethod
    def counted(self) -> frozenset[str]:
        """The fields that say how many runs there are: no run depends on them."""

    @property
    @abstractmethod
    def selected(self) -> frozenset[str]:
        """The fields that say which runs become rows: no run depends on them."""

    @property
    @abstractmethod
    def num_runs(self) -> int | None:
        """Runs or draws in a setting, at most; None where it is the number of its parent's."""

    @property
    @abstractmethod
    def num_rows(self) -> int | None:
        """Rows that a setting keeps; None where that depends on the draws, or on the parent."""

    @property
    @abstractmethod
    def unit_size(self) -> int:
        """Draws that depend on one another, as those of one chain; 1 where all are independent."""

    @property
    @abstractmethod
    def runs_per_shard(self) -> int:
        """Runs of a shard at most: a multiple of `unit_size`."""

    @property
    @abstractmethod
    def runs_per_tiny_shard(self) -> int:
        """Bound the runs of a shard of tiny networks: no fewer than `runs_per_shard`."""

    @property
    @abstractmethod
    def accepts_until(self) -> int | None:
        """The number of acceptances at which a setting stops, if it does."""

    @property
    @abstractmethod
    def watched(self) -> frozenset[str]:
        """The fields that say what is observed or kept of runs on their way; they change none."""

    @property
    @abstractmethod
    def recorded(self) -> tuple[ObservableKind, ...]:
        """List what is observed of runs on their way, in columns of `curves`."""

    @property
    @abstractmethod
    def has_time(self) -> bool:
        """Say whether runs go along a time that is no number of steps, and stands beside it."""

    @property
    @abstractmethod
    def own_columns(self) -> tuple[str, ...]:
        """Name the columns of `runs` that this source fills and most others have not."""

    # --- What they cost, at most.

    @property
    @abstractmethod
    def work_per_run(self) -> int:
        """Units of work of one run, at most, as its programs are timed in: of training, steps."""

    @property
    @abstractmethod
    def records_per_run(self) -> int:
        """Networks of one run that are observed on its way, at most."""

    @property
    @abstractmethod
    def states_per_run(self) -> int:
        """States of one run whose parameters are stored."""

    # --- Where they come from.

    @property
    @abstractmethod
    def start_law(self) -> LawSpec | None:
        """The law that runs start from; None where they start from stored networks."""

    @property
    @abstractmethod
    def has_start(self) -> bool:
        """Whether runs move away from a start, so that there is a distance from it."""

    @property
    @abstractmethod
    def has_own_targets(self) -> bool:
        """Whether every run has targets of its own, which are not the task's."""

    @property
    @abstractmethod
    def curvature_limit(self) -> float | None:
        """The largest curvature at which its steps are stable; None where there is none.

        Its traced fields may hold arrays: it is then an array as well.
        """

    @abstractmethod
    def missing_state(self, at: ParentState, name: str) -> str | None:
        """Say why its runs have no such stored state for others to start from; None if they do.

        Args:
            at: Which state.
            name: What the sweep calls this source.
        """

    # --- What its rows and tallies are of.

    @property
    @abstractmethod
    def keeps_fits_only(self) -> bool:
        """Whether only fits are rows, so that the i-th row is not the draw of index i."""

    @property
    @abstractmethod
    def identifies_fits_only(self) -> bool:
        """Whether the functions of the fits alone are tallied, not those of all draws."""

    @property
    @abstractmethod
    def weighs_law(self) -> bool:
        """Say whether its rows with their weights are a sample of the law itself, down to a fit."""

    @property
    @abstractmethod
    def measures_fit_of_law(self) -> bool:
        """Whether its tallies tell P(fit) of `start_law`."""

    @property
    @abstractmethod
    def estimates_fit_by_unit(self) -> bool:
        """Whether every unit estimates ln P(fit), as the tally `log_p_fit`."""


def only_final(at: ParentState, name: str) -> str | None:
    """Say that a state is not there, of sources that store the final one alone."""
    if at == "final":
        return None
    return f"{at!r} is for trained runs; of {name} there is the final state alone"
