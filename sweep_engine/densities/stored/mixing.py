"""Whether dependent draws have mixed: what chains and repetitions say of themselves."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from jaxtyping import Float

from sweep_engine.chains import bulk_ess, r_hat
from sweep_engine.densities.stored.study import Study
from sweep_engine.spec import Setting
from sweep_engine.spec.sources import SourceRole

MAX_R_HAT = 1.01
"""Vehtari et al. (2021) recommend below 1.01, and 100 independent draws a chain."""

MIN_ESS = 400.0
MIN_ANCESTORS = 8
"""Fewer first draws than this and a repetition's particles are nearly copies."""


@dataclass(frozen=True)
class Mixing:
    """One number about the units of a setting: its mean, least and greatest.

    Attributes:
        setting: The setting.
        what: The number's name; `r_hat` and `ess` are over all chains together.
        mean: Over the units.
        low: The least.
        high: The greatest.
        warning: What a reader must know; empty where all is well.
    """

    setting: Setting
    what: str
    mean: float
    low: float
    high: float
    warning: str = ""


def mixing(study: Study) -> Iterator[Mixing]:
    """List the mixing of every setting whose draws depend on one another."""
    for setting in study.plan.settings.values():
        if setting.spec.unit_size > 1:
            if setting.spec.role is SourceRole.POSTERIOR:
                yield from _together(study, setting)
            yield from _each(study, setting)


def _each(study: Study, setting: Setting) -> Iterator[Mixing]:
    table = study.measured([setting])
    for what in dict.fromkeys(table["what"].to_pylist()):
        values = table.filter(pc.equal(table["what"], what))["value"].to_numpy()
        low, high = float(values.min()), float(values.max())
        warning = _warning(setting, what, low, high)
        yield Mixing(setting, what, float(values.mean()), low, high, warning)


def _warning(setting: Setting, what: str, low: float, high: float) -> str:
    if what == "divergences" and high > 0:
        return "divergent transitions: the draws miss places of high curvature; smaller steps"
    if what == "saturations" and high > 0:
        return "trajectories ended by max_doublings: raise it"
    if what == "distinct_ancestors" and low < min(MIN_ANCESTORS, setting.spec.unit_size):
        return "ancestors collapsed: raise particles or moves"
    return ""


def _together(study: Study, setting: Setting) -> Iterator[Mixing]:
    """R-hat and ESS of the training loss over all chains."""
    chains = _chains(study, setting)
    for what, value in (("r_hat", r_hat(chains)), ("ess", bulk_ess(chains))):
        bad = value > MAX_R_HAT if what == "r_hat" else value < MIN_ESS
        bound = f"above {MAX_R_HAT}" if what == "r_hat" else f"below {MIN_ESS:g}"
        warning = f"{bound}: longer chains, or a larger `thin`" if bad or np.isnan(value) else ""
        yield Mixing(setting, what, value, value, value, warning)


def _chains(study: Study, setting: Setting) -> Float[np.ndarray, "M N"]:
    """The training loss of every draw, one chain a row; only whole chains."""
    where = study.rows_of(setting.source, [setting.id])
    table = study.results.runs(["unit", "draw", "train_loss"], where)
    order = np.lexsort((table["draw"].to_numpy(), table["unit"].to_numpy()))
    loss = table["train_loss"].to_numpy().astype(float)[order]
    return loss.reshape(-1, setting.spec.unit_size)
