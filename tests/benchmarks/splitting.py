"""ln P(fit) by splitting and by blackjax, at about equal numbers of network evaluations.

    .venv/bin/python tests/benchmarks/splitting.py tests/benchmarks/records/splitting_NAME.json

It records; it asserts nothing. Two problems: the orthant of 32 coordinates, whose
ln P = -22.18 is known, and a 7-40-40-1 network in a uniform box that is to fit 16 random
labels of Boolean inputs. Three methods, all on the normals z of which the law makes theta:

- `splitting`, as the engine has it;
- `tempered`: blackjax's adaptive tempered SMC with its elliptical slice moves, on the
  smoothed condition exp(c min(level, 0)), until half of the particles fit;
- `nested`: blackjax's nested slice sampling on the level, half of the points a step. It needs
  more points than parameters, for the covariance of the points gives its directions.

`variance_cost` is what counts: the variance of ln P between repetitions times the evaluations
of one, in nats^2; `squared_error_cost` where the truth is known, bias included.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
from blackjax.mcmc import elliptical_slice
from blackjax.smc import resampling
from main_job import machine

import sweep_engine
from sweep_engine.sources import Control, open_source, work
from sweep_engine.sources.splitting.particle import PROPOSALS
from sweep_engine.sources.splitting.programs import SplittingPrograms
from sweep_engine.spec import Piece, Sweep, settings
from sweep_engine.tasks.losses import LOGISTIC

REPETITIONS = 8
MIXING = ("levels", "acceptance", "step_size", "distance_moved", "distinct_ancestors")
SHARPNESS = 1e4
"""c of the smoothed condition; tempering runs from 0 to it."""


@dataclass(frozen=True)
class Orthant:
    """One input along each axis, all labelled 1."""

    size: int

    def load(self, seed: int) -> sweep_engine.Task:
        """Make the task."""
        return sweep_engine.make_task((np.eye(self.size), np.ones(self.size)), None, LOGISTIC)


@dataclass(frozen=True)
class Problem:
    """A source, and how much work each method is given on it."""

    sweep: Sweep
    particles: int
    tempered_moves: int
    nested_moves: int | None
    truth: float | None = None


def problem(task: Any, model: Any, law: str, particles: int, moves: int, **rest: Any) -> Problem:
    """Describe a problem; `moves` are those of splitting."""
    source = {"kind": "splitting", "law": {"kind": law}, "particles": particles, "moves": moves}
    sweep = Sweep(name="benchmark", task=task, model=model, sources={"rare": source})
    return Problem(sweep, particles, **rest)


def problems() -> dict[str, Problem]:
    """List them."""
    boolean = {"kind": "boolean", "bits": 7, "target": "random(3)", "train": 16}
    return {
        "orthant_32": problem(
            Orthant(32),
            {"kind": "linear", "bias": False},
            "gaussian",
            512,
            20,
            tempered_moves=33,
            nested_moves=35,
            truth=-32 * np.log(2),
        ),
        "network_7_40_40_1": problem(
            boolean,
            {"kind": "mlp", "widths": [40, 40]},
            "box",
            256,
            10,
            tempered_moves=10,
            nested_moves=None,
        ),
    }


def open_problem(found: Problem) -> tuple[Any, SplittingPrograms]:
    """Open a problem's source."""
    (setting,) = settings(found.sweep)
    programs = open_source(setting, 0, found.sweep.folder, (), found.sweep.execution)
    assert isinstance(programs, SplittingPrograms)
    return setting, programs


def by_splitting(found: Problem) -> dict[str, Any]:
    """Do the repetitions by the engine; the first one compiles and does not count."""
    setting, programs = open_problem(found)
    size = found.particles
    work(programs, [Piece(setting, 0, size)], Control())
    began = time.perf_counter()
    done = work(programs, [Piece(setting, size, (REPETITIONS + 1) * size)], Control())
    seconds = time.perf_counter() - began

    def each(what: str) -> np.ndarray:
        return np.array([one.value for one in done.measured if one.what == what])

    stderr = np.array([one.stderr for one in done.measured if one.what == "log_p_fit"])
    evaluations = size * (1 + each("levels") * setting.spec.moves * PROPOSALS)
    record = summary(each("log_p_fit"), evaluations, seconds, found)
    record |= {name: round(float(each(name).mean()), 4) for name in MIXING}
    return record | {
        "stderr_within": round(float(np.sqrt(np.mean(stderr**2))), 4),
        "draws_per_second": round(REPETITIONS * size / seconds, 1),
        "effective_draws_per_second": round(float(np.sum(1 / (stderr**2 + 1 / size))) / seconds, 2),
    }


def by_blackjax(found: Problem, one: Callable[..., tuple[float, float]]) -> dict[str, Any]:
    """Do the repetitions by a method of blackjax's; the first one compiles and does not count."""
    _, programs = open_problem(found)
    climber, unit = programs.climber, programs.example()

    def level(z: jax.Array) -> jax.Array:
        return climber.level(z, unit.hyper, unit.data)

    run = one(found, level, climber.num_normals)
    run(0)
    began = time.perf_counter()
    results = np.array([run(seed) for seed in range(1, REPETITIONS + 1)])
    return summary(results[:, 0], results[:, 1], time.perf_counter() - began, found)


def summary(
    log_p: np.ndarray, evaluations: np.ndarray, seconds: float, found: Problem
) -> dict[str, Any]:
    """Say what the repetitions are worth."""
    variance, cost = float(np.var(log_p, ddof=1)), float(np.mean(evaluations))
    record = {
        "log_p": [round(float(x), 3) for x in log_p],
        "standard_deviation": round(variance**0.5, 4),
        "evaluations_each": round(cost),
        "variance_cost": round(variance * cost),
        "seconds_each": round(seconds / REPETITIONS, 3),
    }
    if found.truth is not None:
        record["mean_less_truth"] = round(float(np.mean(log_p)) - found.truth, 4)
        squared = float(np.mean((log_p - found.truth) ** 2))
        record["squared_error_cost"] = round(squared * cost)
    return record


def log_prior(z: jax.Array) -> jax.Array:
    """ln N(z; 0, I), but for a constant."""
    return -0.5 * jnp.sum(z**2)


def tempered(found: Problem, level: Callable[..., Any], size: int) -> Callable[[int], Any]:
    """blackjax's adaptive tempered SMC, with elliptical slice moves."""
    kernel = elliptical_slice.build_kernel(jnp.ones(size), jnp.zeros(size))

    def likelihood(density: Callable[..., Any]) -> Callable[..., Any]:
        return lambda z: density(z) - log_prior(z)

    method = blackjax.adaptive_tempered_smc(
        log_prior,
        lambda z: SHARPNESS * jnp.minimum(level(z), 0.0),
        lambda key, state, density: kernel(key, state, likelihood(density)),
        lambda z, density: elliptical_slice.init(z, likelihood(density)),
        mcmc_parameters={},
        resampling_fn=resampling.systematic,
        target_ess=0.5,
        num_mcmc_steps=found.tempered_moves,
    )
    step = jax.jit(method.step)
    levels = jax.jit(jax.vmap(level))

    def run(seed: int) -> tuple[float, float]:
        key = jax.random.key(seed)
        state = method.init(jax.random.normal(key, (found.particles, size)))
        log_p, evaluations, share = 0.0, 0.0, 0.0
        for i in range(1, 500):
            state, info = step(jax.random.fold_in(key, i), state)
            log_p += float(info.log_likelihood_increment)
            tried = float(np.mean(info.update_info.subiter)) + 1
            evaluations += found.particles * (2 + found.tempered_moves * tried)
            share = float(np.mean(levels(state.particles) > 0))
            if share >= 0.5 or float(state.tempering_param) >= 1:
                break
        return log_p + float(np.log(share)), evaluations

    return run


def nested(found: Problem, level: Callable[..., Any], size: int) -> Callable[[int], Any]:
    """blackjax's nested slice sampling, half of the points a step."""
    half = found.particles // 2
    assert found.nested_moves is not None
    method = blackjax.nss(log_prior, level, num_inner_steps=found.nested_moves, num_delete=half)
    step, begin = jax.jit(method.step), jax.jit(method.init)

    def run(seed: int) -> tuple[float, float]:
        key = jax.random.key(seed)
        state = begin(jax.random.normal(key, (found.particles, size)))
        log_p, evaluations = 0.0, float(found.particles)
        for i in range(1, 500):
            found_levels = np.asarray(state.particles.loglikelihood)
            if np.mean(found_levels > 0) >= 0.5:
                break
            state, info = step(jax.random.fold_in(key, i), state)
            log_p += float(np.log(0.5))
            slices = info.update_info
            tried = np.mean(np.asarray(slices.num_expansions) + np.asarray(slices.num_shrink)) + 2
            evaluations += half * found.nested_moves * float(tried)
        return log_p + float(np.log(np.mean(found_levels > 0))), evaluations

    return run


def measure() -> dict[str, Any]:
    """Do all methods on all problems."""
    record: dict[str, Any] = {"machine": machine() | {"blackjax": blackjax.__version__}}
    for name, found in problems().items():
        record[name] = {"splitting": by_splitting(found), "tempered": by_blackjax(found, tempered)}
        if found.nested_moves is not None:
            record[name]["nested"] = by_blackjax(found, nested)
        print(json.dumps({name: record[name]}, indent=2), flush=True)
    return record


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        text = json.dumps(measure(), indent=2)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text + "\n")
