"""The KL decomposition of a pair, from what is stored: P(fit), the KL given a fit, test errors."""

from dataclasses import dataclass, replace

from sweep_engine.densities.columns.mean import MeanReading, mean
from sweep_engine.densities.decomposition.kl_bound import look_at_kl_bound
from sweep_engine.densities.decomposition.nats import (
    DATA,
    OPTIMISER,
    TOTAL,
    data_nats,
    optimiser_nats,
    total_nats,
)
from sweep_engine.densities.decomposition.pac_bayes import PAC_BAYES, pac_bayes_bound
from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.estimator import Estimator, Quantity, Reading, Table, Takes
from sweep_engine.densities.stored.sides import Side
from sweep_engine.densities.trust import Trust
from sweep_engine.errors import IncomparableSources, InsufficientSamples

TEST_ERROR_SOURCE, TEST_ERROR_REFERENCE = TEST_ERRORS = tuple(
    Quantity(
        f"test_error_{side}",
        f"Networks of the {side} err on {{0.value:.1%}} of the inputs they did not see.".format,
        Table.DECOMPOSITION,
    )
    for side in ("source", "reference")
)


def can_be_decomposed(source: Side, reference: Side) -> bool:
    """Whether the reference is a law over networks, and both sides are given a fit."""
    spec = reference.chosen[0].spec
    whole = source.comparison.where is None and source.comparison.match is None
    whole = whole and not reference.study.data_seeds(reference.settings)
    return spec.measures_fit_of_law and whole and source.comparison.given == "fit"


class Decomposition(Estimator[Side]):
    """Estimates what the data explain and what the optimiser adds, their sum, and its promise."""

    name = "decomposition"
    takes = Takes.SIDES
    trust = Trust(name, 1)  # each term has limits of its own
    quantities = (DATA, OPTIMISER, TOTAL, PAC_BAYES, *TEST_ERRORS)

    def look(self, source: Side, reference: Side, seed: int) -> "DecompositionReading":
        """Look at the KL given a fit, and at the test errors.

        Raises:
            IncomparableSources: The reference is no law over networks, or no fit is given.
        """
        if not can_be_decomposed(source, reference):
            raise IncomparableSources(
                "the KL decomposition is of networks that fit (`given: fit`, without `where` or "
                "`match`) against a law: prior, guess_and_check or splitting"
            )
        promise = _promise(source, reference)
        try:
            kl = look_at_kl_bound(source, reference, seed)
        except InsufficientSamples as error:
            return DecompositionReading(source, reference, None, str(error), promise)
        return DecompositionReading(source, reference, kl, "", promise)


@dataclass(frozen=True)
class Promise:
    """What a bound on the error needs, where the training set is a random sample.

    Attributes:
        num_train: Examples of the training set.
        train_error: What the acceptance rule allows at most.
        test_errors: As measured, of the sides that have them.
        refused: Why a side's was not, where there is a test set.
    """

    num_train: int
    train_error: float
    test_errors: tuple[MeanReading, ...]
    refused: tuple[str, ...]

    def at(self, data: Estimate, confidence: float) -> list[Estimate]:
        """Read the bound off the data's term at (1 + confidence)/2, and the errors beside it."""
        bound = pac_bayes_bound(data, self.num_train, self.train_error, confidence=confidence)
        bound = replace(bound, warnings=(*bound.warnings, *self.refused))
        return [bound, *(error for read in self.test_errors for error in read.at(confidence))]


@dataclass(frozen=True)
class DecompositionReading:
    """A pair's KL given a fit, and what the cost of fitting promises.

    Attributes:
        source: Which runs.
        reference: Which runs.
        kl: None where there are too few networks that fit.
        too_few: What it lacks then.
        promise: None where the training set is no random sample.
    """

    source: Side
    reference: Side
    kl: Reading | None
    too_few: str
    promise: Promise | None

    def at(self, confidence: float) -> tuple[Estimate, ...]:
        """Read both terms, their sum, the bound and the test errors."""
        each = (1 + confidence) / 2  # of two intervals that hold at once with `confidence`
        data, wide = self._data(confidence), self._data(each)
        promised = self.promise.at(wide, confidence) if self.promise else []
        if self.kl is None:
            alone = total_nats(wide, None, confidence)
            alone = replace(alone, warnings=(*alone.warnings, self.too_few))
            return (data, alone, *promised)
        optimiser, wide_optimiser = (
            self._optimiser(self.kl, confidence),
            self._optimiser(self.kl, each),
        )
        return (data, optimiser, total_nats(wide, wide_optimiser, confidence), *promised)

    def _data(self, confidence: float) -> Estimate:
        study, settings = self.reference.study, self.reference.chosen
        return data_nats(study.ln_fit_probability(settings, confidence))

    def _optimiser(self, kl: Reading, confidence: float) -> Estimate:
        (bound,) = kl.at(confidence)
        return optimiser_nats(bound, self.source.comparison.observable)


def _promise(source: Side, reference: Side) -> Promise | None:
    """Gather what the PAC-Bayes bound needs, beside the measured test error of both sides.

    It is there where the training set is a random sample and the acceptance rule its error.
    """
    settings = reference.chosen
    setting, rule = settings[0], settings[0].accept.train_error
    task = setting.task
    if len(settings) > 1 or rule is None or not task.is_random_sample:
        return None
    sweep = reference.study.sweep
    from sweep_engine.tasks import load_task  # JAX, which few comparisons need

    loaded = load_task(task, sweep.seed, sweep.folder)
    measured, refused = [], []
    for quantity, side in zip(TEST_ERRORS, (source, reference), strict=True):
        if loaded.test is None:
            continue
        try:
            draws = side.draws(["test_error"])
            measured.append(mean(draws, name=quantity.name, seed=side.study.sweep.seed))
        except (IncomparableSources, InsufficientSamples) as error:
            refused.append(f"{quantity.name}: {error}")
    return Promise(len(loaded.train), rule, tuple(measured), tuple(refused))
