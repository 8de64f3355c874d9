"""The PAC-Bayes bound: what the cost of fitting promises about the error on other inputs."""

import dataclasses
import math

from scipy import optimize, special

from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.estimator import Quantity, Table

PAC_BAYES = Quantity(
    "pac_bayes_bound",
    "A network of the prior that fits errs on at most {0.high:.1%} of the population.".format,
    Table.DECOMPOSITION,
)


def pac_bayes_bound(
    data: Estimate, num_train: int, train_error: float = 0.0, *, confidence: float = 0.95
) -> Estimate:
    """Bound the error of the prior given fit, from what fitting costs and n examples.

    Two things can fail, each with delta = (1 - confidence)/2: the interval of `data`, and the
    training set. With probability 1 - delta over the training set, every law Q over networks with
    mean training error e has an error L with

        e ln(e / L) + (1 - e) ln((1 - e) / (1 - L)) <= (KL(Q ‖ prior) + ln(2 √n / delta)) / n.

    Q here is the prior given fit, whose KL is -ln P(fit); the source's own KL is larger by
    what the optimiser adds, of which only a lower bound is known, so this bounds the source
    only if that is little. L is the error over the whole population that the training set was
    drawn from, of a network drawn from Q.

    Example:
        >>> from sweep_engine.densities.probabilities.proportions import ln_probability, proportion
        >>> from sweep_engine.densities.decomposition.nats import data_nats
        >>> data = data_nats(ln_probability(proportion(50, 100)))
        >>> round(pac_bayes_bound(data, 100).value, 3)
        0.071

    Args:
        data: `data_nats` of the prior, at confidence (1 + `confidence`)/2.
        num_train: n, examples drawn independently (or without replacement) from the population.
        train_error: What the acceptance rule allows at most.
        confidence: Of the bound, over draws and training sets.

    Source:
        Maurer (2004), arXiv:cs/0411099, theorem 5; Langford & Seeger (2001). Valle-Pérez &
        Louis (2020), arXiv:2012.04115, for the prior given fit of neural networks.
    """
    delta = (1 - confidence) / 2

    def bound(nats: float) -> float:
        room = (nats + math.log(2 * math.sqrt(num_train) / delta)) / num_train
        return _largest_error(train_error, room)

    return dataclasses.replace(
        data,
        name=PAC_BAYES.name,
        value=bound(data.value),
        low=bound(data.low),
        high=bound(data.high),
        confidence=confidence,
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
