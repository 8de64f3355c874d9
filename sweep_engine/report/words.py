"""What is asked, and what an estimate means, in words for a newcomer."""

import math
import re
from collections.abc import Iterable

from sweep_engine.densities import Compared, Estimate, format_p
from sweep_engine.spec import Sweep
from sweep_engine.spec.sources import Source

HEADLINES = (
    "total_variation", "total_variation_lower_bound", "kl_lower_bound",
    "ks_distance", "mean_difference", "wasserstein_1", "energy_distance", "mmd_squared",
    "kl_knn", "tv_bound_kde", "kl_bound_kde", "c2st_accuracy", "tv_bound_c2st", "kl_bound_c2st",
    "tv_bound_flow", "kl_bound_flow",
)  # fmt: skip
"""The estimates of the first table; the others stand in a table of their own."""


ABBREVIATIONS = re.compile(r"\b(kl|ks|tv|mmd|c2st|pac)\b")


def quantity(estimate: Estimate) -> str:
    """Name what is estimated, with its unit."""
    name = ABBREVIATIONS.sub(lambda found: found[0].upper(), estimate.name.replace("_", " "))
    return name if estimate.unit == "1" else f"{name} ({estimate.unit})"


def question(sweep: Sweep) -> str:
    """Ask what the sweep's comparisons ask, and say what its sources are."""
    asked = sweep.compare
    if not asked:
        return "Where do these networks land?"
    sources = _listed(dict.fromkeys(one.source for one in asked))
    references = _listed(dict.fromkeys(one.reference for one in asked))
    known = [source_words(name, spec) for name, spec in sweep.sources.items()]
    return (
        f"Where do the networks of {sources} land, compared with those of {references}?\n\n"
        f"{'; '.join(known)}.\n\n"
        "Each row below compares one source with one reference in one observable: a number, its "
        "95% interval, which holds for all settings of a comparison at once, and beside it what "
        "the same estimator says of two halves of one source."
    )


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def source_words(name: str, spec: Source) -> str:
    """Say what the networks of a source are."""
    return f"{name}: {spec.sentence}"


def meaning(one: Compared) -> str:
    """Say what an estimate means."""
    estimate, name = one.estimate, one.estimate.name
    if name.endswith("_lower_bound") or "_bound_" in name:
        return _bound(estimate)
    if name in DIFFERENCES:
        return f"{DIFFERENCES[name].format(estimate)} {_verdict(one)}".strip()
    if name in {"total_variation", "jensen_shannon", "kl"}:
        return (
            "Plug-in: not above its null, so no difference is shown this way."
            if _within_null(estimate)
            else "Plug-in: above what two halves of one source show."
        )
    if name == "ks_distance":
        most = f"The cumulative shares differ by {estimate.value:.0%} where they differ most."
        return f"{most} {_verdict(one)}"
    if name == "mass_outside_range":
        return f"{estimate.value:.1%} of the source lies where the reference was never seen."
    if name == "mass_unseen_by_reference":
        return f"{estimate.value:.1%} of the source is on functions the reference never drew."
    if name.startswith("unseen_mass"):
        return f"A new draw shows a function not seen before {estimate.value:.0%} of the time."
    if name == "rank_correlation":
        return (
            "Too few functions are frequent enough to rank."
            if math.isnan(estimate.value)
            else "Whether frequent under the one is frequent under the other (1: the same order)."
        )
    return ""


DIFFERENCES = {
    "c2st_accuracy": "A classifier tells the two apart {0.value:.0%} of the time (chance: 50%).",
    "mmd_squared": "How far apart the two are in a kernel's eyes; its size has no unit.",
    "energy_distance": "How much farther apart two of different sources are than two of one.",
    "wasserstein_1": "Mass must move this far on average, in the column's unit.",
    "mean_difference": "The source's mean less the reference's, in the column's unit.",
    "kl_knn": "The source's preference over the reference, from nearest neighbours.",
    "entropy_source": "How spread out the source is, in nats of its columns' units.",
    "entropy_reference": "How spread out the reference is, in nats of its columns' units.",
}
LEVEL = 0.05


def _verdict(one: Compared) -> str:
    """Say whether the two differ, at 5 % over all tests shown, or by the interval."""
    if one.p_adjusted is not None:
        differ = one.p_adjusted < LEVEL
    elif one.estimate.name in {"wasserstein_1", "mean_difference"}:
        differ = one.estimate.low > 0 or one.estimate.high < 0
    else:
        return ""
    return "They differ." if differ else "No difference is shown."


def _bound(estimate: Estimate) -> str:
    if estimate.low <= 0:
        return "No difference is shown at this number of draws."
    if estimate.name.startswith(("total_variation", "tv_")):
        return f"At least {estimate.low:.0%} of the networks would have to move."
    if estimate.name.startswith("kl"):
        return f"At least {estimate.low:.2g} nats of preference that the reference lacks."
    return f"At least {estimate.low:.2g} {estimate.unit}."


def _within_null(estimate: Estimate) -> bool:
    return estimate.null_high is not None and estimate.value <= estimate.null_high


def null_words(one: Compared) -> str:
    """The same-source null with its range, or the p-value of the test."""
    estimate = one.estimate
    if one.p_adjusted is not None:
        alone, among = format_p(estimate.p_value or 0.0), format_p(one.p_adjusted)
        return f"p = {alone}, {among} among all tests here".replace("= <", "< ")
    if estimate.null_value is None or estimate.null_low is None or estimate.null_high is None:
        return ""
    return f"{estimate.null_value:.3g} ({estimate.null_low:.3g} to {estimate.null_high:.3g})"
