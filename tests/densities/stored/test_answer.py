"""One verdict a pair, paid for over all pairs of a sweep; and the sentence that says it."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import special

from sweep_engine.densities.answer import Answer, Judgement, Ruling, clause_of, rule
from sweep_engine.densities.columns.ks import KolmogorovSmirnov
from sweep_engine.densities.columns.medians import MedianShift
from sweep_engine.densities.comparing import Estimated, judged
from sweep_engine.densities.draws import Draws
from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.estimator import LEVEL
from sweep_engine.densities.multiplicity import each_of
from sweep_engine.densities.over_settings import spans, summarise
from sweep_engine.densities.stored.compared import Compared
from sweep_engine.densities.stored.pairing import Pair
from sweep_engine.densities.subject import Subject, column_words
from sweep_engine.spec import Comparison

COMPARISON = Comparison(source="sgd", reference="adam", observable="l2_norm")
SUBJECT = Subject("sgd", "adam", "L2 norm", is_of_column=True)
OPEN = Ruling(Judgement.DESCRIBED, "")


def answer(source, reference, at=None, subject=SUBJECT):
    """The answer from draws of both sides, judged by itself."""
    pair = Pair(COMPARISON, at or {}, (0,), (1,))
    sides = Draws.of(np.asarray(source, float)), Draws.of(np.asarray(reference, float))
    estimates = [
        estimate
        for estimator in (KolmogorovSmirnov(), MedianShift())
        for estimate in estimator.look(*sides, 0).at(0.95)
    ]
    compared = tuple(Compared(pair, estimate) for estimate in estimates)
    (found,) = judged([Estimated(Answer(pair, subject, OPEN, compared), estimates[0])])
    return found


RNG = np.random.default_rng(0)
NORMS = RNG.normal(13.0, 0.5, 200)


def test_a_difference_has_a_direction_and_its_size():
    less = answer(NORMS - 1.1, NORMS)
    assert less.judgement is Judgement.DIFFER
    assert less.sentence.startswith(
        "Networks of sgd have a smaller L2 norm than those of adam: median 11.92 against 13.02, "
        "shift −1.10 (−1.2"
    )
    assert less.sentence.endswith("of one law or more would have to move.")
    assert answer(NORMS, NORMS - 1.1).direction == "larger"
    assert less.sentence in str(less)
    assert less.sentence in less._repr_html_()


def test_laws_that_differ_in_their_width_alone_have_no_direction():
    wider = answer(13 + 4 * (NORMS - 13), NORMS)
    assert (wider.judgement, wider.direction) == (Judgement.DIFFER, "")
    assert "differ in L2 norm, with no shift of their medians shown: median" in wider.sentence


def test_what_is_not_shown_claims_no_size():
    same = answer(NORMS[:100], NORMS[100:])
    assert same.judgement is Judgement.NOT_SHOWN
    assert "No difference is shown between networks of sgd and of adam" in same.sentence
    assert "would have to move" not in same.sentence


@pytest.mark.parametrize(
    ("name", "low", "high", "says"),
    [
        ("total_variation", 0.0, 1.0, "nothing is known of how much of one law would have to move"),
        ("total_variation", 0.0, 0.6, "0% to 60% of one law would have to move"),
        ("total_variation", 0.4, 1.0, "at least 40% of one law would have to move"),
        ("total_variation", 0.4, 0.6, "40% to 60% of one law would have to move"),
        ("total_variation_lower_bound", 0.0, math.inf, "nothing is known of how much of one law "
         "would have to move"),
        ("total_variation_lower_bound", 0.4, math.inf, "at least 40% of one law would have to "
         "move"),
    ],
)  # fmt: skip
def test_an_interval_of_all_that_can_be_says_that_nothing_is_known(name, low, high, says):
    (first, *_) = KolmogorovSmirnov().look(Draws.of(NORMS), Draws.of(NORMS), 0).at(0.95)
    assert clause_of(replace(first, name=name, low=low, high=high)) == says


def test_few_draws_are_no_evidence_of_likeness():
    few = answer(NORMS[:10], NORMS[10:22])
    assert few.judgement is Judgement.TOO_FEW
    assert "10 here" in few.ruling.reason
    assert answer(NORMS[:10] - 9, NORMS[:12]).judgement is Judgement.DIFFER, "these are enough"


def test_one_sentence_tells_of_all_settings():
    at = [{"rate": rate} for rate in (0.1, 0.2, 0.3)]
    answers = [answer(NORMS - shift, NORMS, where)
               for shift, where in zip((1.0, 2.0, 0.0), at, strict=True)]  # fmt: skip
    text = summarise(answers)
    assert text.startswith("At 2 of 3 settings networks of sgd have a smaller L2 norm than")
    assert "; at rate = 0.3 no difference is shown" in text
    assert ". Over the 3 settings the median of sgd goes from 11.02 to 13.02 and that" in text
    assert "of adam is 13.02; the shift" in text
    assert text.endswith("the shift goes from −2.00 (rate = 0.2) to 0.00 (rate = 0.3).")
    assert spans(answers) == ("11.02 to 13.02, by setting", "13.02", "−2.00 to 0.00, by setting")


def test_settings_without_medians_are_not_counted_among_those_that_have_them():
    at = [{"rate": rate} for rate in (0.1, 0.2, 0.3)]
    one, two, three = (answer(NORMS - 1, NORMS, where) for where in at)
    refused = replace(three, compared=(), ruling=Ruling(Judgement.TOO_FEW, "too few"))
    assert "Over 2 of the 3 settings the median of sgd is 12.02" in summarise([one, two, refused])
    assert spans([refused]) is None


@dataclass
class Chance:
    """Pairs of which nothing differs: half judged by a p-value, half by an interval."""

    rng: np.random.Generator
    num: int

    def pairs(self, confidence):
        for i in range(self.num):
            z = self.rng.normal()
            reach = float(special.ndtri((1 + confidence) / 2))
            estimate = Estimate(
                name=("ks_distance", "mean_difference")[i % 2], value=z, low=z - reach,
                high=z + reach, num_source=99, n_eff_source=99.0, num_reference=99,
                n_eff_reference=99.0, unit="1", method="", confidence=confidence,
                p_value=(2 * special.ndtr(-abs(z)), None)[i % 2],
            )  # fmt: skip
            pair = Pair(COMPARISON, {"i": i}, (0,), (1,))
            whole = Answer(pair, SUBJECT, OPEN, (Compared(pair, estimate),))
            yield Estimated(whole, estimate)


def test_no_difference_is_claimed_more_often_than_stated():
    repeats, num = 1500, 6
    chance, alone = Chance(np.random.default_rng(1), num), Chance(np.random.default_rng(1), num)
    false, false_alone = 0, 0
    for _ in range(repeats):
        rulings = judged(list(chance.pairs(each_of(num, 1 - LEVEL))))
        false += any(each.judgement is Judgement.DIFFER for each in rulings)
        single = [rule(one.decides, one.decides.p_value, LEVEL) for one in alone.pairs(1 - LEVEL)]
        false_alone += any(each.judgement is Judgement.DIFFER for each in single)
    most = LEVEL + 4.9 * math.sqrt(LEVEL * (1 - LEVEL) / repeats)
    assert 0.3 * LEVEL < false / repeats < most < false_alone / repeats


def test_others_than_the_first_cannot_turn_the_verdict():
    same = answer(NORMS[:100], NORMS[100:])
    shifted = replace(same.compared[-1].estimate, low=1.0, value=2.0, high=3.0)
    tempting = replace(same, compared=(*same.compared[:-1], Compared(same.pair, shifted)))
    (found,) = judged([Estimated(tempting, same.compared[0].estimate)])
    assert found.judgement is Judgement.NOT_SHOWN
    assert "ks_distance" in found.ruling.reason


@pytest.mark.parametrize(
    ("observable", "sentence"),
    [
        ("steps", "have larger steps than"),
        ("train_loss", "have a larger train loss than"),
        ("complexity_lz", "have a larger complexity (LZ) than"),
    ],
)
def test_the_observable_is_said_as_words(observable, sentence):
    subject = Subject("a", "b", column_words(observable))
    assert sentence in answer(NORMS + 3, NORMS, subject=subject).sentence
