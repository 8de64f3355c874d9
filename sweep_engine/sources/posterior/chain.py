"""One chain: its start, its transitions, its draws. No batch axes; `lanes` maps it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from sweep_engine import laws
from sweep_engine.keys import Purpose, run_key
from sweep_engine.models import Network
from sweep_engine.solutions import RunStatus
from sweep_engine.sources.acceptance import accepts, output_scale
from sweep_engine.sources.bucket import Data, Hyper, Root, Run
from sweep_engine.sources.posterior import kernels
from sweep_engine.sources.posterior.gradients import KernelGradients
from sweep_engine.sources.posterior.kernels import Adaptation, Moved, Position
from sweep_engine.sources.posterior.target import Target
from sweep_engine.spec.base import with_traced
from sweep_engine.spec.sources import Accept, Posterior
from sweep_engine.tasks import Loss


class ChainState(NamedTuple):
    """What is carried from transition to transition of one chain.

    Attributes:
        place: Where it is.
        status: RUNNING, or DIVERGED: frozen where z or its log-density is not finite.
        adaptation: Of the step size; None where nothing is adapted.
        since: What happened since the last draw, summed.
        targets: Of all inputs, training first, where the chain has its own.
        teacher: z to go to after the warm-up, where there is one.
    """

    place: Position
    status: Int[Array, ""]
    adaptation: Adaptation | None
    since: Moved
    targets: Array | None = None
    teacher: Float[Array, " M"] | None = None


class ChainDraws(NamedTuple):
    """ChainDraws of one chain, and what was found at each.

    Attributes:
        theta: Parameters.
        status: DRAWN, or DIVERGED.
        fit: Whether it passes the acceptance rule.
        loss: Training loss.
        error: Training error; NaN without labels.
        log_density: Of the posterior in z, up to a constant.
        moved: Sums over the transitions since the draw before.
    """

    theta: Float[Array, "S P"]
    status: Int[Array, " S"]
    fit: Bool[Array, " S"]
    loss: Float[Array, " S"]
    error: Float[Array, " S"]
    log_density: Float[Array, " S"]
    moved: Moved


class Examples(NamedTuple):
    """All inputs and their targets, training first."""

    inputs: Array
    targets: Array


@dataclass(frozen=True)
class Chain:
    """The single-chain code of a `posterior` source with its static choices.

    Attributes:
        spec: The source; its traced fields are replaced by each chain's own.
        accept: The acceptance rule.
        network: The model.
        loss: The loss.
        num_train: N.
        capacity: How many draws a segment has room for.
        kernel: What computes losses and their gradients; None by XLA.
    """

    spec: Posterior
    accept: Accept
    network: Network
    loss: Loss
    num_train: int
    capacity: int
    kernel: KernelGradients | None = None

    @property
    def num_transitions(self) -> int:
        """Transitions of a whole chain."""
        return self.spec.warmup + self.spec.draws * self.spec.thin

    def num_drawn(self, transitions: Any) -> Any:
        """How many draws there are after so many transitions."""
        return (transitions - self.spec.warmup).clip(0) // self.spec.thin

    def start(self, run: Run, hyper: Hyper, root: Root, examples: Examples) -> ChainState:
        """Begin at a draw from the law, or at a teacher that draws the chain's own targets.

        A warm-up begins at the law, whatever the start, and the teacher is gone to after it:
        so the step size depends on the data, but not on which of their posterior draws the
        chain starts from, which therefore stays an exact one.
        """
        spec = with_traced(self.spec, hyper)
        target = self._target(spec, examples)
        key = run_key(root, run, Purpose.CHAIN_START, shared=spec.law.shared)
        z = target.draw_normals(key)
        targets = teacher = None
        if spec.start == "teacher":
            key = run_key(root, run, Purpose.TEACHER, shared=spec.law.shared)
            teacher = target.draw_normals(key)
            key = run_key(root, run, Purpose.TEACHER_LABELS)
            targets = target.draw_targets(key, target.outputs(teacher, examples.inputs))
            target = self._target(spec, examples._replace(targets=targets))
            z, teacher = (z, teacher) if spec.warmup else (teacher, None)
        state = ChainState(
            place=kernels.place_at(z, target),
            status=jnp.int32(RunStatus.RUNNING),
            adaptation=kernels.start_adapting(spec) if spec.adapts else None,
            since=Moved.none(),
            targets=targets,
            teacher=teacher,
        )
        return _with_status(state)

    @property
    def num_normals(self) -> int:
        """M."""
        return laws.num_normals(self.spec.law, self.network.layout)

    def gradient(
        self, z: Float[Array, " M"], hyper: Hyper, examples: Examples
    ) -> Float[Array, " M"]:
        """Compute the log-density's gradient, from as many examples as a transition takes."""
        return self._density_and_gradient(z, hyper, examples)[1]

    def sample_of_work(
        self, z: Float[Array, " M"], hyper: Hyper, examples: Examples
    ) -> tuple[Array, ...]:
        """Compute the log-density and vectors that transitions from z are made of."""
        target = self._target(with_traced(self.spec, hyper), examples)
        key = jax.random.key(jax.lax.bitcast_convert_type(z[0], jnp.uint32))
        if self.spec.method != "sgld":
            return kernels.few_steps(key, z, target)
        kernel = target.kernel
        normals = jax.random.normal(key, z.shape) if kernel is None else kernel.normals(key, len(z))
        return (*self._density_and_gradient(z, hyper, examples), normals)

    def _density_and_gradient(
        self, z: Float[Array, " M"], hyper: Hyper, examples: Examples
    ) -> tuple[Float[Array, ""], Float[Array, " M"]]:
        target = self._target(with_traced(self.spec, hyper), examples)
        x, y = target.data
        size = self.spec.batch_size
        found: tuple[Array, Array] = jax.value_and_grad(target.log_density)(
            z, Data(x[:size], y[:size])
        )
        return found

    def _target(self, spec: Posterior, examples: Examples) -> Target:
        train = Data(examples.inputs[: self.num_train], examples.targets[: self.num_train])
        scaled = None
        if self.kernel is not None:  # made here, around the loops of transitions and steps
            scaled = laws.scaled_normals(spec.law, self.network.layout)
        return Target(spec, self.network, self.loss, train, self.kernel, scaled)

    def advance(
        self,
        state: ChainState,
        run: Run,
        hyper: Hyper,
        root: Root,
        examples: Examples,
        span: Int[Array, "2"],
    ) -> tuple[ChainState, ChainDraws]:
        """Make the transitions span[0] .. span[1] - 1, and collect the draws among them.

        The span is the same in all lanes, so that what is due at some transitions only is
        skipped at the others. Rows behind the last draw hold nothing.
        """
        spec = with_traced(self.spec, hyper)
        if state.targets is not None:
            examples = examples._replace(targets=state.targets)
        target = self._target(spec, examples)
        key = run_key(root, run, Purpose.CHAIN_MOVES)
        first = self.num_drawn(span[0])

        def body(i: Array, carry: tuple[ChainState, ChainDraws]) -> tuple[ChainState, ChainDraws]:
            state, draws = carry
            state = self._move(i, jax.random.fold_in(key, i), state, target)
            drawn = self.num_drawn(i + 1)

            def keep() -> tuple[ChainState, ChainDraws]:
                found = self._look(state, target)
                kept = jax.tree.map(lambda rows, x: rows.at[drawn - 1 - first].set(x), draws, found)
                return state._replace(since=Moved.none()), kept

            return jax.lax.cond(drawn > self.num_drawn(i), keep, lambda: (state, draws))

        empty = self._no_draws(state, target)
        advanced: tuple[ChainState, ChainDraws] = jax.lax.fori_loop(
            span[0], span[1], body, (state, empty)
        )
        return advanced

    def _move(self, i: Array, key: Key[Array, ""], state: ChainState, target: Target) -> ChainState:
        """Make transition i, unless the chain is frozen."""
        spec = target.spec
        place, step_size = self._to_teacher(i, state, target), self._step_size(i, state, spec)
        place, moved = kernels.move(key, place, target, step_size)
        after = state._replace(place=place, since=jax.tree.map(jnp.add, state.since, moved))
        if spec.warmup:
            after = _select(i < spec.warmup, self._warmed_up(after, moved, spec), after)
        return _with_status(_select(state.status == RunStatus.RUNNING, after, state))

    def _to_teacher(self, i: Array, state: ChainState, target: Target) -> Position:
        teacher = state.teacher
        if teacher is None:
            return state.place
        place: Position = jax.lax.cond(
            i == target.spec.warmup,
            lambda: kernels.place_at(teacher, target),
            lambda: state.place,
        )
        return place

    def _step_size(self, i: Array, state: ChainState, spec: Posterior) -> Float[Array, ""]:
        if state.adaptation is None:
            return jnp.float32(spec.step_size)
        searched = jnp.exp(state.adaptation.log_step_size)
        return jnp.where(i < spec.warmup, searched, kernels.step_size_found(state.adaptation))

    def _warmed_up(self, state: ChainState, moved: Moved, spec: Posterior) -> ChainState:
        """Learn from a transition of the warm-up, and forget it."""
        state = state._replace(since=Moved.none())
        if state.adaptation is None:
            return state
        return state._replace(adaptation=kernels.adapt(spec, state.adaptation, moved))

    def _look(self, state: ChainState, target: Target) -> ChainDraws:
        """Describe where the chain is: one row of `ChainDraws`."""
        z, (x, y) = state.place.z, target.data
        theta = target.theta(z)
        params = self.network.layout.unflatten(theta)
        outputs = self.network.apply(params, x)
        loss, scale = self.loss.mean(outputs, y), output_scale(self.accept, self.network, params, x)
        frozen = state.status == RunStatus.DIVERGED
        return ChainDraws(
            theta=theta,
            status=jnp.where(frozen, jnp.int32(RunStatus.DIVERGED), jnp.int32(RunStatus.DRAWN)),
            fit=accepts(self.accept, self.loss, outputs, y, scale) & jnp.isfinite(loss),
            loss=loss,
            error=self.loss.error(outputs, y),
            log_density=target.log_density_of(z, outputs),
            moved=state.since,
        )

    def _no_draws(self, state: ChainState, target: Target) -> ChainDraws:
        one = jax.eval_shape(lambda: self._look(state, target))
        return jax.tree.map(lambda x: jnp.zeros((self.capacity, *x.shape), x.dtype), one)


def _with_status(state: ChainState) -> ChainState:
    """Freeze the chain where it cannot go on."""
    frozen = ~kernels.is_finite(state.place)
    return state._replace(status=jnp.where(frozen, jnp.int32(RunStatus.DIVERGED), state.status))


def _select(condition: Bool[Array, ""], yes: Any, no: Any) -> Any:
    """Choose between two pytrees; never by multiplying, which would keep a NaN."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
