"""The one table of source kinds: what compiles the programs of each, and what does its work."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sweep_engine.sources.draw.counting import draw
from sweep_engine.sources.draw.programs import DrawPrograms
from sweep_engine.sources.draw.trial import DrawTrial
from sweep_engine.sources.flow.programs import FlowPrograms
from sweep_engine.sources.posterior.programs import PosteriorPrograms
from sweep_engine.sources.posterior.sampling import sample
from sweep_engine.sources.posterior.trial import PosteriorTrial
from sweep_engine.sources.programs import SourcePrograms
from sweep_engine.sources.snapshot import SnapshotPrograms, take_snapshots
from sweep_engine.sources.splitting.programs import SplittingPrograms
from sweep_engine.sources.splitting.repetitions import split
from sweep_engine.sources.splitting.trial import SplittingTrial
from sweep_engine.sources.stepped.loop import advance_runs
from sweep_engine.sources.train.programs import TrainPrograms
from sweep_engine.sources.train.trial import TrainTrial
from sweep_engine.sources.trial import Trial
from sweep_engine.sources.work import Control, Finished, Inputs
from sweep_engine.spec.base import check_complete
from sweep_engine.spec.settings import Piece
from sweep_engine.spec.sources import (
    Flow,
    GuessAndCheck,
    Posterior,
    Prior,
    Snapshot,
    SourceSpec,
    Splitting,
    Train,
)


@dataclass(frozen=True)
class SourceKind:
    """How sources of one kind are computed.

    Attributes:
        programs: What compiles the programs of a bucket.
        work: From these programs and a shard's runs to finished rows.
        trial: How a kernel of this work is tested and raced; None where there is no kernel.
    """

    programs: type[SourcePrograms]
    work: Callable[[Any, Sequence[Piece], Control, Inputs], Finished]
    trial: Trial[Any] | None = None


KINDS: dict[type, SourceKind] = {
    Train: SourceKind(TrainPrograms, advance_runs, TrainTrial()),
    Flow: SourceKind(FlowPrograms, advance_runs),
    Prior: SourceKind(DrawPrograms, draw, DrawTrial()),
    GuessAndCheck: SourceKind(DrawPrograms, draw, DrawTrial()),
    Posterior: SourceKind(PosteriorPrograms, sample, PosteriorTrial()),
    Splitting: SourceKind(SplittingPrograms, split, SplittingTrial()),
    Snapshot: SourceKind(SnapshotPrograms, take_snapshots),
}
"""By specification: a new kind is its class in `spec.sources`, its folder here, and a line."""

check_complete(SourceSpec, KINDS, f"{__name__}.KINDS")


def kind_of(programs: SourcePrograms) -> SourceKind:
    """Look up the kind of opened programs."""
    return KINDS[type(programs.bucket.setting.spec)]


def work(
    programs: SourcePrograms,
    pieces: Sequence[Piece],
    control: Control,
    inputs: Inputs | None = None,
) -> Finished:
    """Do the work of a shard: draw its runs from the source's law, and observe them.

    Args:
        programs: The programs of the shard's bucket.
        pieces: Which runs.
        control: Progress and stop.
        inputs: What it needs to know of earlier shards; nothing if not given.

    Raises:
        Interrupted: `control` asked to stop.
    """
    return kind_of(programs).work(programs, pieces, control, inputs or Inputs())
