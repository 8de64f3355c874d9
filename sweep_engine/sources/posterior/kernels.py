"""blackjax, whose interface moves, behind one transition of one chain.

Source:
    Cabezas, Corenflos, Lao & Louf (2024), BlackJAX: composable Bayesian inference in JAX,
    arXiv:2402.10797. Its NUTS draws from the trajectory by multinomial weights (Betancourt,
    2017, arXiv:1701.02434) instead of a slice.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from sweep_engine.kernels.chain_moves.case import Phase, Place, Stride
from sweep_engine.kernels.native.words import words_of
from sweep_engine.sources.bucket import Data
from sweep_engine.sources.posterior.target import Target
from sweep_engine.spec.sources import Posterior

STEP_SIZE, TARGET_ACCEPTANCE, INTEGRATION_STEPS, MAX_DOUBLINGS = 0.1, 0.8, 16, 8
"""What is left out of a specification."""


class Position(NamedTuple):
    """Where a chain is; SGLD carries neither log-density nor gradient."""

    z: Float[Array, " M"]
    log_density: Float[Array, ""] | None = None
    gradient: Float[Array, " M"] | None = None


class Adaptation(NamedTuple):
    """The search for a step size: Nesterov's dual averaging of its logarithm."""

    log_step_size: Float[Array, ""]
    log_step_size_avg: Float[Array, ""]
    step: Float[Array, ""]
    avg_error: Float[Array, ""]
    mu: Float[Array, ""]


class Moved(NamedTuple):
    """What one transition was like.

    Attributes:
        acceptance: Mean probability to accept, over the trajectory; NaN for SGLD, which
            accepts everything.
        divergences: 1 where the energy was off by more than 1000, else 0.
        gradients: How many gradients it took.
        doublings: How often NUTS doubled the trajectory.
        saturations: 1 where only `max_doublings` ended it, else 0.
    """

    acceptance: Float[Array, ""]
    divergences: Int[Array, ""]
    gradients: Int[Array, ""]
    doublings: Int[Array, ""]
    saturations: Int[Array, ""]

    @classmethod
    def none(cls) -> "Moved":
        """No transition yet: what sums start from."""
        zero = jnp.int32(0)
        return cls(jnp.float32(0), zero, zero, zero, zero)


def most_gradients(spec: Posterior) -> int:
    """Say how many gradients a transition takes at most: NUTS ends its trajectories by itself."""
    match spec.method:
        case "nuts":
            return 2 ** (spec.max_doublings or MAX_DOUBLINGS)
        case "hmc":
            steps = spec.integration_steps
            return INTEGRATION_STEPS if steps is None else steps
        case "sgld":
            return 1


def place_at(z: Float[Array, " M"], target: Target) -> Position:
    """Stand at z."""
    if target.spec.method == "sgld":
        return Position(z)
    return Position(*_blackjax().mcmc.hmc.init(z, target.log_density))


def is_finite(place: Position) -> Bool[Array, ""]:
    """Whether a chain can go on from here."""
    finite = jnp.all(jnp.isfinite(place.z))
    return finite if place.log_density is None else finite & jnp.isfinite(place.log_density)


def move(
    key: Key[Array, ""], place: Position, target: Target, step_size: Float[Array, ""]
) -> tuple[Position, Moved]:
    """Make one transition, which leaves the target unchanged: SGLD in the limit of no step."""
    match target.spec.method:
        case "nuts":
            return _nuts(key, place, target, step_size)
        case "hmc":
            return _hmc(key, place, target, step_size)
        case "sgld":
            return _sgld(key, place, target, step_size)


def _nuts(
    key: Key[Array, ""], place: Position, target: Target, step_size: Float[Array, ""]
) -> tuple[Position, Moved]:
    most = target.spec.max_doublings or MAX_DOUBLINGS
    if target.scaled is not None:
        return _nuts_by_kernel(key, place, target, step_size, most)
    kernel = _blackjax().mcmc.nuts.build_kernel()
    after, info = kernel(key, place, target.log_density, step_size, _mass(target, place), most)
    saturated = (info.num_trajectory_expansions >= most) & ~info.is_turning & ~info.is_divergent
    return Position(*after), Moved(
        acceptance=info.acceptance_rate.astype(jnp.float32),
        divergences=info.is_divergent.astype(jnp.int32),
        gradients=jnp.asarray(info.num_integration_steps, jnp.int32),
        doublings=jnp.asarray(info.num_trajectory_expansions, jnp.int32),
        saturations=saturated.astype(jnp.int32),
    )


def _nuts_by_kernel(
    key: Key[Array, ""],
    place: Position,
    target: Target,
    step_size: Float[Array, ""],
    most_doublings: int,
) -> tuple[Position, Moved]:
    assert target.kernel is not None
    for_momentum, for_tree = jax.random.split(key)  # as blackjax does
    assert place.log_density is not None
    assert place.gradient is not None
    momentum = target.kernel.normals(for_momentum, len(place.z))
    start = Phase(place.z, momentum, place.gradient)
    begun = Place(start, place.log_density, words_of(for_tree))
    after = target.no_u_turn(begun, step_size, most_doublings)
    diverged, turned, doublings, steps = after.counts
    saturated = (doublings >= most_doublings) & (turned == 0) & (diverged == 0)
    return Position(after.z, after.log_density, after.slope), Moved(
        acceptance=after.acceptance,
        divergences=diverged,
        gradients=steps,
        doublings=doublings,
        saturations=saturated.astype(jnp.int32),
    )


def _hmc(
    key: Key[Array, ""], place: Position, target: Target, step_size: Float[Array, ""]
) -> tuple[Position, Moved]:
    steps = most_gradients(target.spec)
    kernel = _blackjax().mcmc.hmc.build_kernel(_integrator(target, steps))
    turns = steps if target.scaled is None else 1  # a kernel takes all steps at once
    after, info = kernel(key, place, target.log_density, step_size, _mass(target, place), turns)
    return Position(*after), Moved.none()._replace(
        acceptance=info.acceptance_rate.astype(jnp.float32),
        divergences=info.is_divergent.astype(jnp.int32),
        gradients=jnp.asarray(steps, jnp.int32),
    )


def _mass(target: Target, place: Position) -> Any:
    """Give masses of 1, or blackjax's metric of these with momenta by a kernel."""
    ones = jnp.ones_like(place.z)
    kernel = target.kernel
    if kernel is None:
        return ones

    def momentum(key: Key[Array, ""], z: Float[Array, " M"]) -> Float[Array, " M"]:
        return kernel.normals(key, len(z))

    return _blackjax().mcmc.metrics.default_metric(ones)._replace(sample_momentum=momentum)


def _integrator(target: Target, steps: Int[Array, ""] | int) -> Callable[..., Any]:
    """Give the integrator of trajectories: blackjax's, or so many steps at once by a kernel."""
    integrators = _blackjax().mcmc.integrators
    if target.scaled is None:
        found: Callable[..., Any] = integrators.velocity_verlet
        return found

    def of_density(*_: Callable[..., Any]) -> Callable[..., Any]:
        def integrate(state: Any, step_size: Float[Array, ""]) -> Any:
            phase = Phase(state.position, state.momentum, state.logdensity_grad)
            end, log_density = target.leapfrog(phase, Stride(step_size, jnp.asarray(steps)))
            return integrators.IntegratorState(end.z, end.momentum, log_density, end.slope)

        return integrate

    return of_density


def few_steps(key: Key[Array, ""], z: Float[Array, " M"], target: Target) -> tuple[Array, ...]:
    """Make a short transition of HMC or NUTS from z, for a test of what computes it.

    Its steps are small where the slope is steep: rounding then grows in none.

    Returns:
        The log-density where it ends, its gradient there, and how z has changed.
    """
    place = place_at(z, target)
    assert place.gradient is not None
    size = 0.1 / (1 + jnp.max(jnp.abs(place.gradient)))
    few = {"integration_steps": 3} if target.spec.method == "hmc" else {"max_doublings": 3}
    short = replace(target, spec=target.spec.model_copy(update=few))
    after, _ = move(key, place, short, size)
    assert after.log_density is not None
    assert after.gradient is not None
    return after.log_density, after.gradient, after.z - z


def _sgld(
    key: Key[Array, ""], place: Position, target: Target, step_size: Float[Array, ""]
) -> tuple[Position, Moved]:
    """Add step_size * gradient + sqrt(2 step_size) * normals, the gradient of a minibatch."""
    noise, chosen = jax.random.split(key)
    minibatch = _minibatch(chosen, target)
    gradient = jax.grad(target.log_density)
    if target.kernel is None:
        kernel = _blackjax().sgmcmc.sgld.build_kernel()
        z = kernel(noise, place.z, gradient, minibatch, step_size)
    else:
        normals = target.kernel.normals(noise, len(place.z))
        slope = gradient(place.z, minibatch)
        z = place.z + step_size * slope + jnp.sqrt(2 * step_size) * normals
    moved = Moved.none()._replace(acceptance=jnp.float32(jnp.nan), gradients=jnp.int32(1))
    return Position(z), moved


def _minibatch(key: Key[Array, ""], target: Target) -> Data:
    """Examples drawn with replacement; all of them where no size is given."""
    size = target.spec.batch_size
    if size is None:
        return target.data
    index = jax.random.randint(key, (size,), 0, len(target.data.y))
    return Data(target.data.x[index], target.data.y[index])


def start_adapting(spec: Posterior) -> Adaptation:
    """Start the search for the step size."""
    begin, _, _ = _dual_averaging(spec)
    size = STEP_SIZE if spec.step_size is None else spec.step_size
    return Adaptation(*map(jnp.float32, begin(jnp.float32(size))))


def adapt(spec: Posterior, state: Adaptation, moved: Moved) -> Adaptation:
    """Learn from one transition of the warm-up."""
    _, update, _ = _dual_averaging(spec)
    return Adaptation(*update(state, moved.acceptance))


def step_size_found(state: Adaptation) -> Float[Array, ""]:
    """The step size that a warm-up has found."""
    return jnp.exp(state.log_step_size_avg)


def _dual_averaging(spec: Posterior) -> tuple[Callable[..., Any], ...]:
    target = TARGET_ACCEPTANCE if spec.target_acceptance is None else spec.target_acceptance
    step_sizes = _blackjax().adaptation.step_size
    functions: tuple[Callable[..., Any], ...] = step_sizes.dual_averaging_adaptation(target)
    return functions


@cache
def _blackjax() -> Any:
    """Import it where it is first used: that takes seconds, and starts jax's devices.

    The first use is inside a trace, of which the constants that it makes must be no part.
    """
    with jax.ensure_compile_time_eval():
        import blackjax
    return blackjax
