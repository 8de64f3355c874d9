"""Runs cut into shards and worked on by the threads of the local backend, nothing written."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from sweep_engine.execution.programs.programs import num_workers
from sweep_engine.sources import Control, Finished, SourcePrograms, work
from sweep_engine.spec import Piece
from sweep_engine.spec.sources import sizes


def work_on_shards(
    programs: SourcePrograms, pieces: Sequence[Piece], size: int = sizes.RUNS_PER_SHARD
) -> list[Finished]:
    """Do the work of the pieces' runs: as many shards at once as the local backend has workers."""
    with ThreadPoolExecutor(num_workers()) as pool:
        shards = cut(pieces, programs.bucket.lanes, size)
        return list(pool.map(lambda shard: work(programs, shard, Control()), shards))


def cut(pieces: Sequence[Piece], lanes: int, size: int = sizes.RUNS_PER_SHARD) -> list[list[Piece]]:
    """Cut runs into shards of a sweep's size, or one a worker where they are few."""
    total = sum(map(len, pieces))
    size = min(size, max(lanes, -(-total // num_workers())))
    shards: list[list[Piece]] = [[]]
    room = size
    for piece in pieces:
        start = piece.start
        while start < piece.stop:
            stop = min(start + room, piece.stop)
            shards[-1].append(Piece(piece.setting, start, stop))
            room -= stop - start
            start = stop
            if not room:
                shards.append([])
                room = size
    return [shard for shard in shards if shard]
