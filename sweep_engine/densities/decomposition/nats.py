"""The ledger: what the data explain, and what the optimiser adds, in nats.

For networks of a source that fit the training set, and a prior that is a law over networks,

    KL(source ‖ prior) = -ln P(fit) + KL(source ‖ prior given fit).

The first term is what any sampler pays for fitting; the second is the source's own preference
among networks that fit. P(fit) is counted (`guess_and_check`, `prior`) or measured by
splitting; the second term is measured in one observable, where it is at most what it is over
networks (data processing), so the sum is a lower bound too.
"""

import dataclasses
import math

from scipy import optimize, special

from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate

PREFIX = "ledger_"
DATA, OPTIMISER, TOTAL = (f"{PREFIX}{part}" for part in ("data", "optimiser", "total"))
PAC_BAYES = "pac_bayes_bound"


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
        name=DATA,
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
    """Name an estimate of KL(source ‖ prior given fit) as the ledger's second entry.

    Args:
        kl: A lower bound in nats, both sides given a fit.
        observable: In which it was measured.
    """
    seen = f"measured in {observable}: over networks it can only be more"
    return dataclasses.replace(kl, name=OPTIMISER, warnings=(*kl.warnings, seen))


def total_nats(data: Estimate, optimiser: Estimate | None, confidence: float) -> Estimate:
    """Add the two entries; each must hold with confidence (1 + `confidence`) / 2.

    Then both hold at once with `confidence`, whatever their dependence (Bonferroni), and so
    does the sum of their ends. Without the second entry the first is a lower bound.

    Args:
        data: `data_nats`.
        optimiser: `optimiser_nats`; None where it could not be measured.
        confidence: Of the sum.
    """
    if optimiser is None:
        return dataclasses.replace(
            data,
            name=TOTAL,
            value=math.nan,
            high=math.inf,
            confidence=confidence,
            method="low end of -ln P(fit) alone",
            warnings=(*data.warnings, "what the optimiser adds was not measured"),
        )
    return two_sample_estimate(
        TOTAL,
        Interval(
            data.value + optimiser.value, data.low + optimiser.low, data.high + optimiser.high
        ),
        num_draws=(optimiser.num_source, optimiser.num_reference),
        n_eff=(optimiser.n_eff_source, optimiser.n_eff_reference),
        unit="nats",
        method=f"sum of both entries, each interval at {(1 + confidence) / 2:.4g} so that the sum "
        "holds whatever their dependence",
        confidence=confidence,
        seed=optimiser.seed,
        warnings=tuple(dict.fromkeys((*data.warnings, *optimiser.warnings))),
    )


def pac_bayes_bound(
    data: Estimate, num_train: int, train_error: float = 0.0, delta: float = 0.025
) -> Estimate:
    """Bound the error of the prior given fit, from what fitting costs and n examples.

    With probability 1 - delta over the training set, every law Q over networks with mean
    training error e has an error L with

        e ln(e / L) + (1 - e) ln((1 - e) / (1 - L)) <= (KL(Q ‖ prior) + ln(2 √n / delta)) / n.

    Q here is the prior given fit, whose KL is -ln P(fit); the source's own KL is larger by
    what the optimiser adds, of which only a lower bound is known, so this bounds the source
    only if that is little. L is the error over the whole population that the training set was
    drawn from, of a network drawn from Q.

    Example:
        >>> from sweep_engine.densities.probabilities.proportions import ln_probability, proportion
        >>> data = data_nats(ln_probability(proportion(50, 100)))
        >>> round(pac_bayes_bound(data, 100).value, 3)
        0.071

    Args:
        data: `data_nats` of the prior.
        num_train: n, examples drawn independently (or without replacement) from the population.
        train_error: What the acceptance rule allows at most.
        delta: Of the bound, beside the interval of `data`.

    Source:
        Maurer (2004), arXiv:cs/0411099, theorem 5; Langford & Seeger (2001). Valle-Pérez &
        Louis (2020), arXiv:2012.04115, for the prior given fit of neural networks.
    """

    def bound(nats: float) -> float:
        room = (nats + math.log(2 * math.sqrt(num_train) / delta)) / num_train
        return _largest_error(train_error, room)

    return dataclasses.replace(
        data,
        name=PAC_BAYES,
        value=bound(data.value),
        low=bound(data.low),
        high=bound(data.high),
        unit="1",
        method=f"Maurer's PAC-Bayes bound on the error of the prior given fit, n = {num_train}, "
        f"delta = {delta:g}, over the population of the training set",
        warnings=data.warnings,
    )


def _largest_error(train_error: float, room: float) -> float:
    """The L above `train_error` at which the binary divergence reaches `room`."""
    if not math.isfinite(room):
        return 1.0

    def excess(error: float) -> float:
        kl = special.rel_entr(train_error, error) + special.rel_entr(1 - train_error, 1 - error)
        return float(kl) - room

    top = 1.0 - 1e-15
    if train_error >= top or excess(top) <= 0:
        return 1.0
    return float(optimize.brentq(excess, train_error, top))
