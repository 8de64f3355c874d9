"""What an estimate means, in one sentence for a newcomer."""

import math

from sweep_engine.densities import Estimate

HEADLINES = (
    "total_variation", "total_variation_lower_bound", "kl_lower_bound",
    "ks_distance", "binned_total_variation",
)  # fmt: skip
"""The estimates of the first table; the others stand in a table of their own."""


def meaning(estimate: Estimate) -> str:
    """Say what an estimate means."""
    name = estimate.name
    if name.endswith("_lower_bound"):
        return _bound(estimate)
    if name in {"total_variation", "jensen_shannon", "kl"}:
        return (
            "Plug-in: not above its null, so no difference is shown this way."
            if _within_null(estimate)
            else "Plug-in: above what two halves of one source show."
        )
    if name == "ks_distance":
        return f"The cumulative shares differ by {estimate.value:.0%} where they differ most."
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


def _bound(estimate: Estimate) -> str:
    if estimate.low <= 0:
        return "No difference is shown at this number of draws."
    if estimate.name.startswith("total_variation") or "total_variation" in estimate.name:
        return f"At least {estimate.low:.0%} of the networks would have to move."
    if estimate.name.startswith("kl"):
        return f"At least {estimate.low:.2g} nats of preference that the reference lacks."
    return f"At least {estimate.low:.2g} {estimate.unit}."


def _within_null(estimate: Estimate) -> bool:
    return estimate.null_high is not None and estimate.value <= estimate.null_high


def null_words(estimate: Estimate) -> str:
    """The same-source null with its range."""
    if estimate.null_value is None or estimate.null_low is None or estimate.null_high is None:
        return ""
    return f"{estimate.null_value:.3g} ({estimate.null_low:.3g} to {estimate.null_high:.3g})"
