"""Sources: the laws from which networks are drawn, from programs and runs to finished rows."""

from collections.abc import Sequence

from sweep_engine.sources.bucket import Bucket
from sweep_engine.sources.draw.counting import draw
from sweep_engine.sources.draw.programs import DrawPrograms
from sweep_engine.sources.observe import observe_stored
from sweep_engine.sources.opening import open_source
from sweep_engine.sources.posterior.programs import PosteriorPrograms
from sweep_engine.sources.posterior.sampling import sample
from sweep_engine.sources.programs import SourcePrograms
from sweep_engine.sources.snapshot import SnapshotPrograms, take_snapshots
from sweep_engine.sources.splitting.programs import SplittingPrograms
from sweep_engine.sources.splitting.repetitions import split
from sweep_engine.sources.train.loop import train
from sweep_engine.sources.train.programs import TrainPrograms
from sweep_engine.sources.work import Control, Finished, Inputs, LaneSteps, StoredRuns
from sweep_engine.spec.settings import Piece

NO_INPUTS = Inputs()

__all__ = [
    "Bucket",
    "Control",
    "DrawPrograms",
    "Finished",
    "Inputs",
    "LaneSteps",
    "SourcePrograms",
    "StoredRuns",
    "TrainPrograms",
    "observe_stored",
    "open_source",
    "work",
]


def work(
    programs: SourcePrograms,
    pieces: Sequence[Piece],
    control: Control,
    inputs: Inputs = NO_INPUTS,
) -> Finished:
    """Do the work of a shard: draw its runs from the source's law, and observe them.

    Args:
        programs: The programs of the shard's bucket.
        pieces: Which runs.
        control: Progress and stop.
        inputs: What it needs to know of earlier shards.

    Raises:
        Interrupted: `control` asked to stop.
    """
    match programs:
        case TrainPrograms():
            return train(programs, pieces, control, inputs)
        case SnapshotPrograms():
            if inputs.starts is None:
                raise ValueError("a snapshot is of another source's runs, and none are given")
            return take_snapshots(programs, pieces, control, inputs.starts)
        case PosteriorPrograms():
            return sample(programs, pieces, control)
        case SplittingPrograms():
            return split(programs, pieces, control, inputs)
        case DrawPrograms():
            return draw(programs, pieces, control, inputs)
        case _:
            raise TypeError(f"no work is known for {type(programs).__name__}")
