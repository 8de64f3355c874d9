"""The body of the Pallas kernel: the networks of a block, one in each lane of a TPU's vectors.

All of a block stays in the on-chip memory, from the first of its turns to the last. An array of
one layer is (inputs, outputs, lanes), with the biases as a last row of inputs; examples are taken
four at a time, as (examples, units, lanes).

Products are of a lane with itself, so the vector unit makes them, in exact float32. The matrix unit
is not needed: networks share no matrices, one by itself fills a fraction of it, and float32 would
take six passes of bfloat16.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from sweep_engine.kernels.fused_training import plain
from sweep_engine.kernels.fused_training.case import (
    RUNNING,
    Adam,
    Case,
    Checks,
    KernelState,
    Limits,
    Sgd,
)
from sweep_engine.kernels.fused_training.tpu import layout
from sweep_engine.kernels.fused_training.tpu.layout import TILE

UNROLL = 4
"""Rows of a layer at a time: a loop's turn costs a v5e some 10 cycles, and a row 14 to 30."""

Ref = Any
"""An array in memory, read and written in place; Pallas has no public name for its type."""


class Networks(NamedTuple):
    """Holds what a segment changes, of L networks.

    Attributes:
        params: Of each layer, as in `layout.shapes`, (n + bias, m, L).
        moments: As many such lists as the optimiser has moments.
        counters: Rows of step, status, fit_step, fit.
        measured: Rows of loss, error.
    """

    params: list[Ref]
    moments: list[list[Ref]]
    counters: Ref
    measured: Ref


class Given(NamedTuple):
    """Holds what a segment is told.

    Attributes:
        hyper: Rows of hyperparameters, then the limits of fit and loss.
        turns: Rows of num_turns, max_steps.
        table: The examples by L: (N / L, D + 2, L), rows of inputs, target, and what it counts, 1;
            after the last example come copies of it that count 0.
        indices: Columns of the table, (T, B, L) with B a multiple of TILE; None at full batch.
    """

    hyper: Ref
    turns: Ref
    table: Ref
    indices: Ref | None


class Scratch(NamedTuple):
    """Holds what a tile of examples leaves between its way forward and back.

    Attributes:
        entering: What enters each layer, (TILE, n, L); the first has all rows of the table.
        slopes: Of the activation behind each layer but the last, (TILE, m, L); going back, the
            loss's gradient by that layer's sums takes their place.
        gradients: As the parameters.
    """

    entering: list[Ref]
    slopes: list[Ref]
    gradients: list[Ref]


def scratch(case: Case, lanes: int) -> Scratch:
    """Describe the scratch of a block."""

    def of(rows: int, units: int) -> Any:
        return pltpu.VMEM((rows, units, lanes), jnp.float32)

    inputs, *hidden, _ = case.widths
    return Scratch(
        entering=[of(TILE, n) for n in (inputs + 2, *hidden)],
        slopes=[of(TILE, m) for m in hidden],
        gradients=[of(*shape) for shape in layout.shapes(case)],
    )


def train_block(
    case: Case,
    checks: Checks,
    before: Networks,
    given: Given,
    networks: Networks,
    records: Ref,
    scratch: Scratch,
) -> None:
    """Train the networks of a block, from `before`; `records` are (loss or error, T, L)."""
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(networks), strict=True):
        new[...] = old[...]
    records[...] = jnp.full(records.shape, jnp.nan, jnp.float32)
    every = jnp.full((1, records.shape[2]), checks.every, jnp.int32)
    # Steps are not negative: the remainder and the quotient that round to 0 will do.
    first_check = lax.div(networks.counters[0:1] + (checks.every - 1), every)
    num_turns, max_steps = given.turns[0:1], given.turns[1:2]
    *values, fit, loss = (given.hyper[i : i + 1] for i in range(given.hyper.shape[0]))
    hyper = (Adam if case.optimizer == "adam" else Sgd)(*values)
    run = _Pass(case, given.table, networks.params, scratch)

    def turn(carry: tuple[Any, Any]) -> tuple[Any, Any]:
        i, _ = carry
        state = _state(networks)
        active = (state.status == RUNNING) & (i < num_turns)
        regular = lax.rem(state.step, every) == 0
        due = active & (regular | (state.step >= max_steps))
        if case.minibatch is None:
            found = run.over_all(back=True)
        else:
            nothing = plain.Measured(*(jnp.zeros(due.shape, jnp.float32),) * 2)
            found = lax.cond(jnp.any(due), lambda: run.over_all(back=False), lambda: nothing)
        checked = plain.check(case, checks, state, Limits(max_steps, fit, loss), found)
        state = plain.select(due, checked, state)
        slot = lax.div(state.step, every) - first_check
        _record(records, jnp.where(due & regular, slot, -1), found)
        going = active & (state.status == RUNNING)
        if given.indices is not None:
            run.over_minibatch(given.indices, i)
        _update(case, networks, scratch.gradients, hyper, state.step, going)
        _keep(networks, state._replace(step=state.step + going.astype(jnp.int32)))
        return i + 1, jnp.any(going & (i + 1 < num_turns))

    some = jnp.any((networks.counters[1:2] == RUNNING) & (num_turns > 0))
    lax.while_loop(lambda carry: carry[1], turn, (jnp.int32(0), some))


def _state(networks: Networks) -> KernelState:
    counters = (networks.counters[i : i + 1] for i in range(4))
    measured = (networks.measured[i : i + 1] for i in range(2))
    return KernelState(None, None, *counters, *measured)  # type: ignore[arg-type]  # `networks` has both


def _keep(networks: Networks, state: KernelState) -> None:
    _, _, *counters, loss, error = state
    for i, row in enumerate(counters):
        networks.counters[i : i + 1] = row
    networks.measured[0:1] = loss
    networks.measured[1:2] = error


def _record(records: Ref, slot: Any, found: plain.Measured) -> None:
    """Write what was found where a lane has its slot; at -1 nowhere."""
    here = lax.broadcasted_iota(jnp.int32, records.shape[1:], 0) == slot
    for i, row in enumerate(found):
        records[i] = jnp.where(here, row, records[i])


def _update(
    case: Case, networks: Networks, gradients: list[Ref], hyper: Sgd | Adam, step: Any, going: Any
) -> None:
    """Take the optimiser's step in lanes that go on, a row of a layer at a time."""
    for params, gradient, *moments in zip(
        networks.params, gradients, *networks.moments, strict=True
    ):
        refs = [params, *moments]

        def row(k: Any, _: None, refs: list[Ref] = refs, gradient: Ref = gradient) -> None:
            old = [ref[k] for ref in refs]
            theta, moments = plain.update(case, hyper, old[0], tuple(old[1:]), gradient[k], step)
            for ref, before, after in zip(refs, old, [theta, *moments], strict=True):
                ref[k] = jnp.where(going, after, before)

        lax.fori_loop(0, params.shape[0], row, None)


class _Pass:
    """Takes examples forward, and back where a gradient is wanted."""

    def __init__(self, case: Case, table: Ref, params: list[Ref], scratch: Scratch) -> None:
        self.case, self.table, self.params, self.scratch = case, table, params, scratch
        self.lanes = table.shape[2]

    def over_all(self, *, back: bool) -> plain.Measured:
        """Measure on all examples."""

        def index(tile: Any) -> tuple[Any, Any, int]:
            first = lax.rem(tile * TILE, self.lanes)
            place = first + lax.broadcasted_iota(jnp.int32, (TILE, self.lanes), 0)
            return place, lax.div(tile * TILE, self.lanes), 1

        loss, wrong = self._over(-(-self.case.num_examples // TILE), index, back=back)
        return self._measured(loss, wrong)

    def over_minibatch(self, indices: Ref, turn: Any) -> None:
        """Leave the gradient of a turn's minibatch."""

        def index(tile: Any) -> tuple[Any, Any, int]:
            return indices[turn, pl.ds(tile * TILE, TILE)], 0, self.table.shape[0]

        self._over(indices.shape[1] // TILE, index, back=True)

    def _over(
        self, num_tiles: int, index: Callable[[Any], tuple[Any, Any, int]], *, back: bool
    ) -> tuple[Any, Any]:
        """Go over tiles of examples, and give the sums of losses and of wrong labels.

        Args:
            num_tiles: How many.
            index: Tells of a tile its places in the table, (TILE, L), beginning with a part of the
                table, and how many parts there are.
            back: Whether to leave the gradient.
        """
        if back:
            for gradient in self.scratch.gradients:
                gradient[...] = jnp.zeros(gradient.shape, jnp.float32)

        def tile(i: Any, sums: tuple[Any, Any]) -> tuple[Any, Any]:
            self._gather(*index(i))
            loss, wrong, delta = self._loss(self._forward())
            if back:
                self._backward(delta)
            return sums[0] + jnp.sum(loss, axis=0), sums[1] + jnp.sum(wrong, axis=0)

        none = jnp.zeros((1, self.lanes), jnp.float32)
        found: tuple[Any, Any] = lax.fori_loop(0, num_tiles, tile, (none, none))
        return found

    def _gather(self, place: Any, first: Any, num_parts: int) -> None:
        """Copy each lane's examples.

        The hardware gathers from the lanes of one vector, so that each part of the table is gone
        through, and a lane keeps what it finds in its own.
        """
        for e in range(TILE):
            row = place[e : e + 1]

            def part(p: Any, found: Any, row: Any = row) -> Any:
                at = jnp.broadcast_to(row - p * self.lanes, found.shape)
                inside = (at >= 0) & (at < self.lanes)
                columns = self.table[first + p]
                taken = jnp.take_along_axis(
                    columns, jnp.where(inside, at, 0), axis=1, mode="promise_in_bounds"
                )
                return jnp.where(inside, taken, found)

            nothing = jnp.zeros(self.table.shape[1:], jnp.float32)
            self.scratch.entering[0][e] = lax.fori_loop(0, num_parts, part, nothing)

    def _forward(self) -> Any:
        """Compute the outputs, (TILE, C, L), and leave what entered every layer."""
        act = plain.ACTIVATIONS[self.case.activation]
        for layer in range(len(self.params) - 1):
            sums = self._sums(layer)
            out, slope = jax.jvp(act, (sums,), (jnp.ones_like(sums),))
            self.scratch.entering[layer + 1][...] = out
            self.scratch.slopes[layer][...] = slope
        return self._sums(len(self.params) - 1)

    def _sums(self, layer: int) -> Any:
        weights, entering = self.params[layer], self.scratch.entering[layer]
        n, m = self.case.widths[layer : layer + 2]
        if m == 1:
            sums = jnp.sum(weights[0, :n] * entering[:, :n], axis=1, keepdims=True)
            return sums + weights[0, n:] if self.case.bias else sums
        start = jnp.zeros((TILE, m, self.lanes), jnp.float32)
        if self.case.bias:
            start += weights[n]

        def add(k: Any, sums: Any) -> Any:
            return sums + weights[k] * entering[:, pl.ds(k, 1)]

        return _over_rows(n, add, start)

    def _backward(self, delta: Any) -> None:
        """Add to the gradients, from that of the loss by the outputs."""
        for layer in reversed(range(len(self.params))):
            self._add_gradient(layer, delta)
            if layer > 0:
                delta = self.scratch.slopes[layer - 1][...]

    def _add_gradient(self, layer: int, delta: Any) -> None:
        weights, gradient = self.params[layer], self.scratch.gradients[layer]
        entering, (n, m) = self.scratch.entering[layer], self.case.widths[layer : layer + 2]
        if m == 1:
            gradient[0, :n] += jnp.sum(entering[:, :n] * delta, axis=0)
            if self.case.bias:
                gradient[0, n:] += jnp.sum(delta, axis=0)
            if layer > 0:
                self.scratch.slopes[layer - 1][...] *= weights[0, :n] * delta
            return
        if self.case.bias:
            gradient[n] += jnp.sum(delta, axis=0)

        def row(k: Any, _: None) -> None:
            gradient[k] += jnp.sum(entering[:, pl.ds(k, 1)] * delta, axis=0)
            if layer > 0:
                by_unit = jnp.sum(weights[k] * delta, axis=1, keepdims=True)
                self.scratch.slopes[layer - 1][:, pl.ds(k, 1)] *= by_unit

        _over_rows(n, row, None)

    def _loss(self, f: Any) -> tuple[Any, Any, Any]:
        """Compute loss and wrongness, (TILE, 1, L), and the step's gradient by the outputs."""
        case, d = self.case, self.case.widths[0]
        y = self.scratch.entering[0][:, d : d + 1]
        counts = self.scratch.entering[0][:, d + 1 : d + 2]
        loss, wrong, delta = (_of_classes if case.loss == "cross_entropy" else _of_one)(case, f, y)
        share = counts / (case.minibatch or case.num_examples)
        return loss * counts, wrong * counts, delta * share

    def _measured(self, loss: Any, wrong: Any) -> plain.Measured:
        if self.case.loss == "squared":
            wrong = jnp.full_like(wrong, jnp.nan)
        return plain.Measured(loss / self.case.num_examples, wrong / self.case.num_examples)


def _over_rows(n: int, body: Callable[[Any, Any], Any], start: Any) -> Any:
    """Do what `lax.fori_loop` does, some rows a turn."""

    def some(i: Any, carry: Any) -> Any:
        for j in range(UNROLL):
            carry = body(i * UNROLL + j, carry)
        return carry

    carry = lax.fori_loop(0, n // UNROLL, some, start)
    for k in range(n // UNROLL * UNROLL, n):
        carry = body(k, carry)
    return carry


def _of_one(case: Case, f: Any, y: Any) -> tuple[Any, Any, Any]:
    sign = y if case.loss == "squared" else 2 * y - 1
    right = ((f > 0) == (y > 0)) & ~jnp.isnan(f)
    wrong = 1 - right.astype(jnp.float32)
    if case.loss == "logistic":
        margin = sign * f
        small = jnp.exp(-jnp.abs(margin))
        loss = jnp.maximum(-margin, 0) + jnp.log1p(small)
        return loss, wrong, -sign * jnp.where(margin < 0, 1, small) / (1 + small)
    return 0.5 * (f - sign) ** 2, wrong, f - sign


def _of_classes(case: Case, f: Any, y: Any) -> tuple[Any, Any, Any]:
    label = lax.broadcasted_iota(jnp.int32, f.shape, 1)
    target = y.astype(jnp.int32)
    chosen = (label == target).astype(jnp.float32)
    largest = jnp.max(f, axis=1, keepdims=True)
    weight = jnp.exp(f - largest)
    total = jnp.sum(weight, axis=1, keepdims=True)
    of_target = jnp.sum(jnp.where(label == target, f, 0), axis=1, keepdims=True)
    # The first of the largest outputs is the label; an output that is NaN is none.
    as_good = (f > of_target) | ((f == of_target) & (label < target)) | jnp.isnan(f)
    wrong = jnp.max(as_good.astype(jnp.float32), axis=1, keepdims=True)
    return jnp.log(total) + largest - of_target, wrong, weight / total - chosen
