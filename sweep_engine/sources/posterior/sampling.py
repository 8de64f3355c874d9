"""`posterior` on the host: blocks of chains, segment after segment, and what they have found."""

import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from sweep_engine.keys import run_ids
from sweep_engine.solutions import Solutions
from sweep_engine.sources.observe import observe
from sweep_engine.sources.posterior.chain import ChainDraws, ChainState
from sweep_engine.sources.posterior.measures import measure
from sweep_engine.sources.posterior.programs import PosteriorPrograms
from sweep_engine.sources.posterior.target import check_target
from sweep_engine.sources.tally import tally
from sweep_engine.sources.work import Control, Finished, Inputs, Runs
from sweep_engine.spec.settings import Piece
from sweep_engine.spec.sources import Posterior
from sweep_engine.tasks import Task

SEGMENT_SECONDS = 1.0
"""A device call cannot be interrupted: about so long until a stop is noticed."""


def sample(
    programs: PosteriorPrograms, pieces: Sequence[Piece], control: Control, inputs: Inputs
) -> Finished:
    """Run the chains of some pieces, and observe every draw.

    Rows are in order: chain after chain, draw after draw. What a chain does depends on its
    address alone, not on the chains beside it, nor on where segments end.

    Raises:
        ValueError: a piece holds part of a chain.
        Interrupted: `control` asked to stop.
    """
    bucket = programs.bucket
    chains = Runs.of(bucket, [_chains(piece, bucket.task) for piece in pieces])
    blocks = _Blocks(programs, chains, control)
    parts = [blocks.run(first) for first in range(0, len(chains), bucket.lanes)]
    states = _join([states for states, _ in parts])
    draws = _join([draws for _, draws in parts])
    rows = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), draws)
    solutions = _solutions(chains, programs.spec.draws, rows)
    targets = states.targets
    if targets is not None:
        targets = np.repeat(targets, programs.spec.draws, axis=0)
    columns, functions = observe(bucket, solutions.theta, control, targets=targets)
    # Fit was told by these: one truth for all of them.
    columns |= {"train_loss": rows.loss, "train_error": rows.error}
    tallies = tally(solutions.setting, solutions.fit, functions)
    measured = measure(programs.spec, chains, states, draws)
    return Finished(solutions, columns, functions, tallies, measured=measured)


def _chains(piece: Piece, task: Task) -> Piece:
    """The chains that a piece's draws are of."""
    spec = piece.setting.spec
    assert isinstance(spec, Posterior)
    check_target(spec, task)
    if piece.start % spec.draws or piece.stop % spec.draws:
        raise ValueError(f"draws {piece.start} to {piece.stop}: chains have {spec.draws} each")
    return Piece(piece.setting, piece.start // spec.draws, piece.stop // spec.draws)


def _solutions(chains: Runs, draws: int, rows: Any) -> Solutions:
    index = (chains.ids & 0xFFFFFFFF) * draws
    ids = [
        run_ids(int(s), int(i), int(i) + draws) for s, i in zip(chains.setting, index, strict=True)
    ]
    count = len(rows.status)
    return Solutions(
        run_id=np.concatenate(ids),
        setting=np.repeat(chains.setting, draws),
        status=rows.status,
        steps=np.zeros(count, np.int64),
        fit=rows.fit,
        fit_step=np.where(rows.fit, 0, -1),
        log_weight=np.zeros(count),
        theta=rows.theta,
    )


class _Blocks:
    """Runs blocks of chains; segments are as long as the device takes about a second for."""

    def __init__(self, programs: PosteriorPrograms, chains: Runs, control: Control) -> None:
        self._programs = programs
        self._chains = chains
        self._control = control
        self._transitions = 4

    def run(self, first: int) -> tuple[ChainState, ChainDraws]:
        """Run the block of chains from `first` on.

        Returns:
            How each chain ended, leading axis chains; its draws, leading axes chains, draws.
        """
        programs, bucket = self._programs, self._programs.bucket
        index = np.arange(first, min(first + bucket.lanes, len(self._chains)))
        block = self._chains.take(index).padded(bucket.lanes)
        given = (block.words, block.hyper, bucket.root, programs.examples)
        states = programs.start(*given)
        done, segments = 0, []
        room = programs.chain.capacity * programs.spec.thin
        while done < programs.chain.num_transitions:
            stop = min(done + min(self._transitions, room), programs.chain.num_transitions)
            began = time.monotonic()
            states, draws = programs.advance(states, *given, np.array([done, stop], np.int32))
            drawn = self._num_drawn(stop) - self._num_drawn(done)
            segments.append(_take(draws, len(index), drawn))
            self._pace(stop - done, time.monotonic() - began)
            done = stop
            self._control.proceed(drawn * len(index))
        host: ChainState = jax.tree.map(lambda x: np.asarray(x)[: len(index)], states)
        return host, _join(segments, axis=1)

    def _num_drawn(self, transitions: int) -> int:
        return int(self._programs.chain.num_drawn(np.int64(transitions)))

    def _pace(self, taken: int, seconds: float) -> None:
        """Choose how many transitions the next segment may make."""
        if taken == self._transitions and seconds < SEGMENT_SECONDS / 2:
            self._transitions = min(2 * self._transitions, 2**30)
        elif seconds > SEGMENT_SECONDS:
            self._transitions = max(1, self._transitions // 2)


def _take(draws: ChainDraws, num_chains: int, num_draws: int) -> ChainDraws:
    """Copy a segment's draws to the host, without the padding."""
    taken: ChainDraws = jax.tree.map(lambda x: np.asarray(x)[:num_chains, :num_draws].copy(), draws)
    return taken


def _join(parts: Sequence[Any], axis: int = 0) -> Any:
    return jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=axis), *parts)
