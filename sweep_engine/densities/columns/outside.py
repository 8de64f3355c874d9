"""The mass of a source outside the range of its reference's sample."""

from sweep_engine.densities.draws import Draws, require_draws, sample_warnings
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.densities.estimator import Quantity
from sweep_engine.densities.probabilities.proportions import clopper_pearson

OUTSIDE = Quantity(
    "mass_outside_range",
    "{0.value:.1%} of the source lies where the reference was never seen.".format,
)


def mass_outside_range(source: Draws, reference: Draws, *, confidence: float = 0.95) -> Estimate:
    """Estimate the source's mass outside the range that the reference's sample spans.

    Given the reference's sample it is a proportion of independent draws, with its exact
    interval. A source draw that is not finite is outside.

    Example:
        >>> mass_outside_range(Draws.of(np.array([0.5, 2.0])), Draws.of(np.array([0.0, 1.0]))).value
        0.5

    Args:
        source: Independent draws; weighted ones by their effective number.
        reference: Draws, at least one of them finite.
        confidence: Of the interval.

    Raises:
        InsufficientSamples: No source draw, or no finite reference draw.
    """
    require_draws(source, reference.finite)
    low, high = reference.finite.values.min(), reference.finite.values.max()
    outside = ~((source.values >= low) & (source.values <= high))
    mass = float(source.effective_weights[outside].sum())
    ends = clopper_pearson(mass, source.n_eff, confidence)
    return two_sample_estimate(
        OUTSIDE.name,
        Interval(mass / source.n_eff, float(ends[0]), float(ends[1])),
        num_draws=(len(source), len(reference)),
        n_eff=(source.n_eff, reference.n_eff),
        unit="1",
        method="share of independent source draws outside [min, max] of the reference's sample, "
        "given that sample; Clopper-Pearson",
        confidence=confidence,
        warnings=sample_warnings(source, reference),
    )
