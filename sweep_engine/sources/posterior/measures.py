"""How well chains have mixed: numbers about each chain, for the tallies."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from sweep_engine.chains import bulk_ess, r_hat
from sweep_engine.solutions import UnitNumber
from sweep_engine.sources.posterior import kernels
from sweep_engine.sources.posterior.chain import ChainDraws, ChainState
from sweep_engine.sources.work import Runs
from sweep_engine.spec.sources import Posterior


def measure(spec: Posterior, chains: Runs, states: Any, draws: Any) -> tuple[UnitNumber, ...]:
    """Measure every chain behind its warm-up, each on its own.

    `r_hat_log_density` compares the chain's halves; `ess_*` are the independent draws that
    its draws are worth; `gradients`, `divergences` and `saturations` (NUTS was ended by
    `max_doublings`) are counts over all transitions, `acceptance` and `doublings` means.
    Whether the chains have found one another is told by R-hat over all of them.

    Args:
        spec: The source.
        chains: Its chains.
        states: How each chain ended, `ChainState` with a leading axis of chains.
        draws: `ChainDraws` with leading axes of chains and draws.
    """
    sizes = _step_sizes(chains, states)
    index = chains.ids & 0xFFFFFFFF
    return tuple(
        UnitNumber(int(chains.setting[i]), what, value, unit=int(index[i]))
        for i in range(len(chains))
        for what, value in _of_chain(spec, _one(draws, i), float(sizes[i])).items()
    )


def _of_chain(spec: Posterior, draws: ChainDraws, step_size: float) -> dict[str, float]:
    moved, num_transitions = draws.moved, spec.draws * spec.thin
    found = {
        "r_hat_log_density": r_hat(np.asarray(draws.log_density)[None]),
        "ess_log_density": bulk_ess(np.asarray(draws.log_density)[None]),
        "ess_train_loss": bulk_ess(np.asarray(draws.loss)[None]),
        "step_size": step_size,
        "gradients": _total(moved.gradients),
    }
    if spec.method != "sgld":
        found["acceptance"] = _total(moved.acceptance) / num_transitions
        found["divergences"] = _total(moved.divergences)
    if spec.method == "nuts":
        found["doublings"] = _total(moved.doublings) / num_transitions
        found["saturations"] = _total(moved.saturations)
    return found


def _total(values: Any) -> float:
    return float(np.asarray(values, np.float64).sum())


def _one(draws: ChainDraws, chain: int) -> ChainDraws:
    one: ChainDraws = jax.tree.map(lambda x: x[chain], draws)
    return one


def _step_sizes(chains: Runs, states: ChainState) -> Float[np.ndarray, " R"]:
    if states.adaptation is None:
        given: np.ndarray = chains.hyper["step_size"]
        return given
    return np.asarray(kernels.step_size_found(states.adaptation))
