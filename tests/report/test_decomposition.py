"""The KL decomposition on the page: which rows it makes of estimates, in which words."""

import dataclasses
from types import SimpleNamespace

from sweep_engine.densities import Compared, Pair
from sweep_engine.densities.answer import clause_of
from sweep_engine.densities.decomposition.nats import (
    data_nats,
    optimiser_nats,
    total_nats,
)
from sweep_engine.densities.decomposition.pac_bayes import pac_bayes_bound
from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.probabilities.proportions import ln_probability, proportion
from sweep_engine.report.decomposition import decompositions
from sweep_engine.report.decomposition_rows import decomposition_rows
from sweep_engine.report.figures.decomposition import decomposition_figures
from sweep_engine.report.words import meaning, null_words
from sweep_engine.spec import Comparison

SETTINGS = {1: SimpleNamespace(values={"task.train": 4}), 2: SimpleNamespace(values={})}
STUDY = SimpleNamespace(plan=SimpleNamespace(settings=SETTINGS))


def kl(value, low):
    return Estimate(
        name="kl_lower_bound", value=value, low=low, high=2 * value, num_source=1000,
        num_reference=900, n_eff_source=1000.0, n_eff_reference=900.0, unit="nats", method="m",
    )  # fmt: skip


def decomposition_at(num_train, optimiser=True, low=0.5):
    asked = Comparison(source="sgd", reference="guess", observable="function", given="fit")
    pair = Pair(asked, {"task.train": num_train}, (1,), (2,))
    data = data_nats(ln_probability(proportion(10**6 // 2**num_train, 10**6)))
    added = optimiser_nats(kl(1.0, low), "function") if optimiser else None
    found = [data, *([added] if added else []), total_nats(data, added, 0.95)]
    found.append(pac_bayes_bound(data, num_train))
    found.append(dataclasses.replace(kl(0.3, 0.2), name="test_error_source", unit="1"))
    return [Compared(pair, one) for one in found]


def other_estimate():
    asked = Comparison(source="sgd", reference="guess", observable="l2_norm")
    return Compared(Pair(asked, {}, (1,), (2,)), kl(1.0, 0.5))


def test_one_row_a_pair_and_nothing_of_others():
    found = decompositions([*decomposition_at(4), other_estimate(), *decomposition_at(8)])
    assert [each.pair.at["task.train"] for each in found] == [4, 8]
    first, second = decomposition_rows(STUDY, found)
    assert (first.source, first.reference, first.setting) == ("sgd", "guess", "train = 4")
    assert first.data.startswith("2.77"), "ln 16"
    assert second.total.startswith("6.5"), "ln 256 + 1"
    assert [name for name, _ in first.errors] == ["PAC-Bayes bound, guess", "test error, sgd"]
    assert first.meaning == "The optimiser adds at least 0.5 nats, 15% of the sum."
    assert any("over networks it can only be more" in warning for warning in first.warnings)


def test_a_bound_that_holds_at_once_has_a_value_of_its_own():
    """It is between the ends that are drawn around it; the bound of one setting alone is below."""
    data = data_nats(ln_probability(proportion(1000, 10**6)))
    alone, wide = (pac_bayes_bound(data, 64, confidence=level) for level in (0.95, 0.9999))
    one = decomposition_at(4)[0]
    found = dataclasses.replace(one, estimate=alone, wide=wide).at_once().estimate
    assert found.low <= found.value <= found.high
    assert found.value == wide.value > alone.value
    assert alone.value < wide.low, "else it could have stood there"


def test_an_answer_says_what_the_optimiser_adds():
    added = decomposition_at(4)[1].estimate
    assert clause_of(added) == "the optimiser adds 1.00 (0.50 or more) nats"


def test_what_is_not_measured_or_not_shown_is_said():
    (alone,) = decomposition_rows(STUDY, decompositions(decomposition_at(4, optimiser=False)))
    assert alone.optimiser == "not measured"
    assert alone.total.startswith("at least 2.7")
    assert "Too few networks" in alone.meaning
    (nothing,) = decomposition_rows(STUDY, decompositions(decomposition_at(4, low=0.0)))
    assert "No preference of the optimiser is shown" in nothing.meaning


def test_along_the_training_set_size():
    (figure,) = decomposition_figures(
        STUDY, decompositions([*decomposition_at(8), *decomposition_at(4)])
    )
    nats, errors = figure.panels
    assert nats.x.label == "training examples"
    labels = [mark.label for panel in (nats, errors) for mark in panel.marks if mark.label]
    assert labels == [
        "the data explain", "the optimiser adds, at least", "PAC-Bayes bound, guess",
        "test error, sgd",
    ]  # fmt: skip
    assert list(nats.marks[1].x) == [4, 8]
    assert not list(decomposition_figures(STUDY, decompositions(decomposition_at(4)))), (
        "one point is no curve"
    )


def test_a_test_is_read_after_adjusting_it():
    one = dataclasses.replace(kl(0.2, 0.1), name="mmd_squared", unit="1", p_value=0.01)
    pair = other_estimate().pair
    assert meaning(Compared(pair, one, 0.02)).endswith("By itself it shows a difference.")
    assert meaning(Compared(pair, one, 0.20)).endswith("By itself it shows none.")
    assert null_words(Compared(pair, one, 0.20)) == "p = 0.01, 0.2 among all tests here"
    accuracy = dataclasses.replace(one, name="c2st_accuracy", value=0.75)
    assert "75% of the time" in meaning(Compared(pair, accuracy, 0.01))
