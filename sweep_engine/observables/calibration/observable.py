"""The observable `calibration`: scores of a network's probabilities on sets of inputs."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from sweep_engine.columns import Column
from sweep_engine.observables.calibration.labelled import Labelled, read
from sweep_engine.observables.calibration.ranking import auroc, risk_coverage
from sweep_engine.observables.calibration.scores import brier, calibration_error
from sweep_engine.observables.observable import Observable, Outcome
from sweep_engine.spec.observables import Calibration

KEY = 16
"""What the network's key is folded by: no other observable's number."""

SETS = {"test": "test set", "ood": "the task's second set", "far": "test inputs scaled up"}


def calibration(spec: Calibration) -> Observable:
    """Make the observable; its columns begin with the name of the set that they are of.

    A set of which an output is not finite has NaN in every column: nothing is left out.
    """
    return Observable(
        columns=tuple(column for name in spec.sets for column in _columns(spec, name)),
        compute=lambda outcome: _compute(spec, outcome),
        needs=("labels", "logits", "test", *(("ood",) if "ood" in spec.sets else ())),
    )


def _columns(spec: Calibration, name: str) -> tuple[Column, ...]:
    of = f"; {SETS[name]}" + (f" {spec.far_factor:g} times, labels kept" if name == "far" else "")
    of += "; null for runs with labels of their own" if name == "ood" else ""

    def column(end: str, meaning: str, unit: str = "") -> Column:
        return Column(f"{name}_{end}", "float32", unit, meaning + of)

    told_apart: tuple[Column, ...] = ()
    if name != "test":
        told_apart = (
            column("detection_auroc", "P(a test input is surer than one of this set)"),
        )  # fmt: skip
    return (
        column("accuracy", "share of right labels"),
        column("log_loss", "mean of -ln p of the right label", "nats"),
        column("mean_confidence", "mean probability of the chosen label"),
        column("mean_entropy", "mean entropy of the probabilities", "nats"),
        column("ece", f"expected calibration error, {spec.bins} bins of the confidence"),
        column("ece_null", "its mean were labels drawn from the network's own probabilities, "
               f"over {spec.draws} draws"),
        column("ece_null_stderr", "standard error of ece_null, of the draws"),
        column("ece_p", "p-value of ece: chance of as much or more were the network calibrated"),
        column("brier_total", "mean |p - y|^2, the sum of: reliability - resolution + uncertainty "
               "+ within_bins"),
        column("brier_reliability", "squared distance of probabilities from frequencies, in bins"),
        column("brier_resolution", "variance of the frequencies between bins"),
        column("brier_uncertainty", "variance of the labels"),
        column("brier_within_bins", "variance of p less 2 cov(p, y) inside bins: what binning "
               "leaves out of the three parts"),
        column("error_auroc", "P(a right label is surer than a wrong one), ties 1/2; NaN where all "
               "are right, or all wrong"),
        column("aurc", "mean error of the k surest answers over k, ties in every order"),
        column("excess_aurc", "aurc less that of the same answers, right ones first"),
        *told_apart,
    )  # fmt: skip


def _said(spec: Calibration, outcome: Outcome) -> dict[str, Labelled]:
    """Read what the network says of every set, the test set among them."""
    assert outcome.test_inputs is not None
    assert outcome.test_outputs is not None
    assert outcome.test_targets is not None
    said = {"test": read(outcome.test_outputs, outcome.test_targets)}
    if "ood" in spec.sets and outcome.ood_inputs is not None and outcome.ood_targets is not None:
        outputs = outcome.network.apply(outcome.params, outcome.ood_inputs)
        said["ood"] = read(outputs, outcome.ood_targets)
    if "far" in spec.sets:
        outputs = outcome.network.apply(outcome.params, spec.far_factor * outcome.test_inputs)
        said["far"] = read(outputs, outcome.test_targets)
    return said


def _compute(spec: Calibration, outcome: Outcome) -> dict[str, Array]:
    said = _said(spec, outcome)
    key = jax.random.fold_in(outcome.key, KEY)
    found: dict[str, Array] = {}
    for number, name in enumerate(SETS):
        if name in spec.sets and name in said:
            scores = _scores(spec, said[name], jax.random.fold_in(key, number))
            if name != "test":
                scores["detection_auroc"] = _detection(said["test"], said[name])
            found |= {f"{name}_{end}": value for end, value in scores.items()}
    return found


def _scores(spec: Calibration, said: Labelled, key: Key[Array, ""]) -> dict[str, Array]:
    p = jnp.exp(said.log_p)
    error = calibration_error(said, spec.bins, spec.draws, key)
    area, excess = risk_coverage(said.sureness, ~said.right)
    found = {
        "accuracy": jnp.mean(said.right),
        "log_loss": -jnp.mean(jnp.take_along_axis(said.log_p, said.targets[:, None], axis=-1)),
        "mean_confidence": jnp.mean(said.confidence),
        "mean_entropy": -jnp.mean(jnp.sum(p * said.log_p, axis=-1)),
        "ece": error.value,
        "ece_null": error.null,
        "ece_null_stderr": error.null_stderr,
        "ece_p": error.p_value,
        **{f"brier_{part}": value for part, value in brier(said, spec.bins)._asdict().items()},
        "error_auroc": auroc(said.sureness, said.right),
        "aurc": area,
        "excess_aurc": excess,
    }
    return {end: jnp.where(said.is_finite, value, jnp.nan) for end, value in found.items()}


def _detection(test: Labelled, other: Labelled) -> Array:
    sureness = jnp.concatenate([test.sureness, other.sureness])
    found = auroc(sureness, jnp.arange(len(sureness)) < len(test.sureness))
    return jnp.where(test.is_finite & other.is_finite, found, jnp.nan)
