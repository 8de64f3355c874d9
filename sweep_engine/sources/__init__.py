"""Sources: from a bucket's programs and some runs to finished rows."""

from collections.abc import Sequence

from sweep_engine.sources.bucket import Bucket, open_bucket
from sweep_engine.sources.draw import draw
from sweep_engine.sources.training_loop import train
from sweep_engine.sources.work import Control, Finished, LaneSteps
from sweep_engine.spec.settings import Piece
from sweep_engine.spec.sources import Train

__all__ = ["Bucket", "Control", "Finished", "LaneSteps", "open_bucket", "work"]


def work(
    bucket: Bucket, pieces: Sequence[Piece], control: Control, *, accepted: int | None = None
) -> Finished:
    """Do the work of a shard: draw its runs from the source's law, and observe them.

    Args:
        bucket: The programs of the shard's bucket.
        pieces: Which runs.
        control: Progress and stop.
        accepted: For a source that stops at the k-th acceptance: how many are missing.
    """
    if isinstance(bucket.setting.spec, Train):
        return train(bucket, pieces, control)
    return draw(bucket, pieces, control, accepted=accepted)
