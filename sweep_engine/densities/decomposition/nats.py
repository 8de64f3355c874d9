"""The KL decomposition: what the data explain, and what the optimiser adds, in nats.

For networks of a source that fit the training set, and a prior that is a law over networks,

    KL(source ‖ prior) = -ln P(fit) + KL(source ‖ prior given fit).

The first term is what any sampler pays for fitting; the second is the source's own preference
among networks that fit. P(fit) is counted (`guess_and_check`, `prior`) or measured by
splitting; the second term is measured in one observable, where it is at most what it is over
networks (data processing), so the sum is a lower bound too.
"""

import dataclasses
import math

from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.densities.estimator import Part, Quantity, Table, Verdict
from sweep_engine.numbers import format_bound


def _data_words(estimate: Estimate) -> str:
    if math.isinf(estimate.value):
        return "No network of the prior was seen to fit."
    return f"Fitting the training set costs {estimate.value:.3g} nats, whoever does it."


def _optimiser_words(estimate: Estimate) -> str:
    if estimate.low <= 0:
        return "The optimiser adds nothing that this observable shows."
    return f"The optimiser adds at least {estimate.low:.2g} nats."


def _optimiser_clause(estimate: Estimate) -> str:
    return f"the optimiser adds {format_bound(estimate.value, estimate.low)} nats"


DATA = Quantity("decomposition_data", _data_words, Table.DECOMPOSITION)
OPTIMISER = Quantity(
    "decomposition_optimiser",
    _optimiser_words,
    Table.DECOMPOSITION,
    Verdict.INTERVAL,
    is_lower_bound=True,
    part=Part.NATS,
    clause=_optimiser_clause,
)
TOTAL = Quantity(
    "decomposition_total",
    "To land where the source landed costs one who draws from the prior at least {0.low:.3g} "
    "nats.".format,
    Table.DECOMPOSITION,
    is_lower_bound=True,
)


def data_nats(ln_p_fit: Estimate) -> Estimate:
    """Restate ln P(fit) of the reference as what fitting costs, -ln P(fit), in nats.

    Example:
        >>> from sweep_engine.densities.probabilities.proportions import ln_probability, proportion
        >>> round(data_nats(ln_probability(proportion(50, 100))).value, 4)
        0.6931

    Args:
        ln_p_fit: ln P(fit) of the reference's law, with its interval.
    """
    return dataclasses.replace(
        ln_p_fit,
        name=DATA.name,
        value=0.0 - ln_p_fit.value,
        low=0.0 - ln_p_fit.high,
        high=0.0 - ln_p_fit.low,
        num_source=0,
        n_eff_source=0.0,
        num_reference=ln_p_fit.num_source,
        n_eff_reference=ln_p_fit.n_eff_source,
        method=f"-ln P(fit) of the reference; {ln_p_fit.method}",
    )


def optimiser_nats(kl: Estimate, observable: str) -> Estimate:
    """Name an estimate of KL(source ‖ prior given fit) as the decomposition's second term.

    Args:
        kl: A lower bound in nats, both sides given a fit.
        observable: In which it was measured.
    """
    observed = f"measured in {observable}: over networks it can only be more"
    return dataclasses.replace(
        kl, name=OPTIMISER.name, high=math.inf, warnings=(*kl.warnings, observed)
    )


def total_nats(data: Estimate, optimiser: Estimate | None, confidence: float) -> Estimate:
    """Add the two terms; each must hold with confidence (1 + `confidence`) / 2.

    Then both hold at once with `confidence`, whatever their dependence (Bonferroni), and so
    does the sum of their low ends. The second is a lower bound, and so is the sum: neither has a
    high end. Without the second term the first is a lower bound.

    Args:
        data: `data_nats`.
        optimiser: `optimiser_nats`; None where it could not be measured.
        confidence: Of the sum.
    """
    if optimiser is None:
        return dataclasses.replace(
            data,
            name=TOTAL.name,
            value=math.nan,
            high=math.inf,
            confidence=confidence,
            method="low end of -ln P(fit) alone",
            warnings=(*data.warnings, "what the optimiser adds was not measured"),
        )
    return two_sample_estimate(
        TOTAL.name,
        Interval(data.value + optimiser.value, data.low + optimiser.low, math.inf),
        num_draws=(optimiser.num_source, optimiser.num_reference),
        n_eff=(optimiser.n_eff_source, optimiser.n_eff_reference),
        unit="nats",
        method=f"sum of both terms, each interval at {(1 + confidence) / 2:.4g} so that the sum "
        "holds whatever their dependence",
        confidence=confidence,
        seed=optimiser.seed,
        warnings=tuple(dict.fromkeys((*data.warnings, *optimiser.warnings))),
    )
