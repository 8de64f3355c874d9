"""Ensembles of a source's networks: when do they know that they guess?"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import special, stats

from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.networks.jackknife import t_interval
from sweep_engine.densities.networks.members import Members, members
from sweep_engine.densities.networks.quantities import FAR_FACTOR, SETS, SIZE
from sweep_engine.densities.stored.sides import Side
from sweep_engine.densities.trust import Trust
from sweep_engine.errors import IncomparableSources

MAX_ENSEMBLES = 24
STREAM = 13
"""What the sweep's seed is joined by: no other estimator's number."""

IN_NATS = {"log_loss", "gain", "mutual_information"}

ROUNDING = 1e-12
"""Nats below which a difference of entropies says nothing."""

LogP = Float[np.ndarray, "M N C"]


def look(source: Side, seed: int, trust: Trust) -> "EnsembleReading":
    """Draw networks and compute what they say of every set of inputs.

    Raises:
        IncomparableSources: outputs say no probabilities.
    """
    rng = np.random.default_rng([seed, STREAM])
    drawn = members(source, SIZE * MAX_ENSEMBLES, rng).one_per_unit()
    trust.require(len(drawn), len(drawn))
    if not drawn.task.loss.has_logits:
        raise IncomparableSources("outputs say no probabilities: logistic or cross_entropy do")
    if drawn.task.test is None:
        raise IncomparableSources("an ensemble is looked at on a test set: the task has none")
    return EnsembleReading(drawn, scores_of_all(drawn), seed)


@dataclass(frozen=True)
class EnsembleReading:
    """Every score of every ensemble, by the estimate's name."""

    members: Members
    scores: dict[str, Float[np.ndarray, " E"]]
    seed: int

    def at(self, confidence: float) -> tuple[Estimate, ...]:
        """Put a t interval around every score's mean."""
        return tuple(self._estimate(name, confidence) for name in self.scores)

    def _estimate(self, name: str, confidence: float) -> Estimate:
        _, where, score = name.split("_", 2)
        values, unit = self.scores[name], "nats" if score in IN_NATS else "1"
        span = (-math.inf if score == "gain" else 0.0, math.inf if score in IN_NATS else 1.0)
        stderr = float(stats.sem(values))
        interval = t_interval(float(values.mean()), stderr, len(values) - 1, confidence, span)
        lost = int((~np.isfinite(values)).sum())
        warnings = (f"outputs of {lost} ensembles are not finite on {SETS[where]}",) if lost else ()
        return Estimate(
            name=name,
            value=interval.value,
            low=interval.low,
            high=interval.high,
            confidence=confidence,
            num_source=self.members.num_draws,
            n_eff_source=float(len(self.members)),
            unit=unit,
            method=f"mean of {len(values)} ensembles of {SIZE} networks, none in two, on "
            f"{SETS[where]}; t interval over ensembles",
            seed=self.seed,
            warnings=(*self.members.notes, *warnings),
        )


def scores_of_all(drawn: Members) -> dict[str, Float[np.ndarray, " E"]]:
    """Score every ensemble on every set; networks that are left over are in none."""
    found: dict[str, Float[np.ndarray, " E"]] = {}
    of_test: list[Float[np.ndarray, " N"]] = []
    sets = list(_sets(drawn))
    ends = np.cumsum([len(y) for _, _, y in sets])
    said = log_probabilities(drawn.outputs(np.concatenate([x for _, x, _ in sets])))
    for (where, _, y), log_p in zip(sets, np.split(said, ends[:-1], axis=1), strict=True):
        groups = [log_p[i : i + SIZE] for i in range(0, len(log_p) - SIZE + 1, SIZE)]
        rows = [scores(group, y) for group in groups]
        information = [mutual_information(group) for group in groups]
        if where == "test":
            of_test = information
        else:
            for row, here, there in zip(rows, information, of_test, strict=True):
                row["detection"] = chance_above(here, there)
        found |= {
            f"ensemble_{where}_{score}": np.array([row[score] for row in rows]) for score in rows[0]
        }
    return found


def _sets(drawn: Members) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The test set first."""
    test, ood = drawn.task.test, drawn.task.ood
    assert test is not None
    yield "test", test.x, test.y
    if ood is not None:
        yield "ood", ood.x, ood.y
    yield "far", FAR_FACTOR * test.x, test.y


def log_probabilities(outputs: Float[np.ndarray, "M N C"]) -> LogP:
    """Read logits; one output is the log odds of the second of two classes."""
    f = outputs.astype(float)
    if f.shape[-1] == 1:
        f = np.concatenate([np.zeros_like(f), f], axis=-1)
    found: LogP = f - special.logsumexp(f, axis=-1, keepdims=True)
    return found


def scores(log_p: LogP, y: Int[np.ndarray, " N"]) -> dict[str, float]:
    """Score an ensemble whose probabilities are its networks' mean."""
    count, at = len(log_p), np.arange(len(y))
    mixed = _mixed(log_p)
    log_loss = -float(mixed[at, y].mean())
    votes = (log_p.argmax(axis=-1)[..., None] == np.arange(log_p.shape[-1])).sum(axis=0)
    same = (votes * (votes - 1)).sum(axis=-1) / (count * (count - 1))
    return {
        "accuracy": float((mixed.argmax(axis=-1) == y).mean()),
        "log_loss": log_loss,
        "gain": -float(log_p[:, at, y].mean()) - log_loss,
        "disagreement": float(1 - same.mean()),
        "mutual_information": float(mutual_information(log_p).mean()),
    }


def mutual_information(log_p: LogP) -> Float[np.ndarray, " N"]:
    """Compute, per input, the entropy of the mean of probabilities less the mean entropy."""
    found = _entropy(_mixed(log_p)) - _entropy(log_p).mean(axis=0)
    # At least 0 by Jensen's inequality. Where all are sure of one label only rounding is left,
    # whose order means nothing: those are ties.
    exact: Float[np.ndarray, " N"] = np.where(found <= ROUNDING, 0.0, found)
    return exact


def chance_above(values: Float[np.ndarray, " N"], others: Float[np.ndarray, " K"]) -> float:
    """Compute P(a value is above one of the others) + P(they tie) / 2."""
    if not (np.isfinite(values).all() and np.isfinite(others).all()):
        return math.nan
    ranks = stats.rankdata(np.concatenate([values, others]))[: len(values)]
    return float((ranks.mean() - (len(values) + 1) / 2) / len(others))


def _mixed(log_p: LogP) -> Float[np.ndarray, "N C"]:
    mixed: Float[np.ndarray, "N C"] = special.logsumexp(log_p, axis=0) - math.log(len(log_p))
    return mixed


def _entropy(log_p: Float[np.ndarray, "*N C"]) -> Float[np.ndarray, "*N"]:
    found: Float[np.ndarray, "*N"] = special.entr(np.exp(log_p)).sum(axis=-1)
    return found
