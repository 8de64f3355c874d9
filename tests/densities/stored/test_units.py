"""Sources whose draws depend on one another, from a sweep to its estimates."""

import math
from pathlib import Path

import numpy as np
import pytest

from sweep_engine import Sweep, compare, run
from sweep_engine.densities import Study
from sweep_engine.densities.stored.mixing import mixing
from sweep_engine.report import write_report

CHAINS, DRAWS, PARTICLES, REPETITIONS = 4, 50, 128, 4


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Two labels of 1 at orthogonal inputs: P(fit) = 1/4 under any symmetric law."""
    out = tmp_path_factory.mktemp("units") / "out"
    law = {"kind": "gaussian", "std": 1.0}
    sweep = Sweep(
        name="units",
        task={"kind": "planar", "points": np.eye(2).tolist(), "labels": [1, 1]},
        model={"kind": "linear", "bias": False},
        sources={
            "rare": {
                "kind": "splitting",
                "law": law,
                "particles": PARTICLES,
                "repetitions": REPETITIONS,
            },
            "bayes": {
                "kind": "posterior",
                "law": law,
                "chains": CHAINS,
                "draws": DRAWS,
                "warmup": 50,
            },
            "guess": {"kind": "guess_and_check", "law": law, "draws": 4000},
        },
        observables=("norms", "margin"),
        compare=(
            {"source": "rare", "reference": "guess", "observable": "l2_norm"},
            {
                "source": "guess",
                "reference": "guess",
                "observable": "l2_norm, margin, train_loss",
                "estimator": "kde",
            },
            {
                "source": "rare",
                "reference": "guess",
                "observable": "l2_norm",
                "given": "fit",
                "estimator": "decomposition",
            },
        ),
    )
    assert run(sweep, out).is_complete
    page = Path(write_report(out)).read_text()
    return Study.open(out), page


@pytest.fixture(scope="module")
def study(ran):
    return ran[0]


def _setting(study, source):
    return next(s for s in study.plan.settings.values() if s.source == source)


def test_ln_p_fit_of_splitting_comes_from_its_repetitions(study):
    found = study.ln_fit_probability([_setting(study, "rare")])
    assert found.n_eff_source == REPETITIONS
    assert found.low < math.log(1 / 4) < found.high
    guessed = study.ln_fit_probability([_setting(study, "guess")])
    assert guessed.low < math.log(1 / 4) < guessed.high


def test_chains_count_as_fewer_independent_draws(study):
    found = study.fit_probability([_setting(study, "bayes")])
    assert found.num_source == CHAINS * DRAWS
    assert found.n_eff_source <= CHAINS * DRAWS
    assert found.low < found.value < found.high


def test_conditioned_draws_of_both_kinds_agree(study):
    found = compare(study, "rare", "guess", "l2_norm")
    assert found.p_value > 1e-6
    assert found.n_eff_source <= REPETITIONS * PARTICLES
    assert any("dependent source draws of 4 units" in warning for warning in found.warnings)


def test_mixing_is_listed_and_warned_of(study):
    found = {(one.setting.source, one.what): one for one in mixing(study)}
    assert found["rare", "distinct_ancestors"].low >= 1
    assert found["bayes", "r_hat"].mean == pytest.approx(1.0, abs=0.5)
    assert "below 400" in found["bayes", "ess"].warning
    assert found["bayes", "divergences"].warning == ""


def test_the_report_shows_it(ran):
    page = ran[1]
    assert "have they mixed?" in page
    assert "distinct_ancestors" in page


def test_the_page_says_what_is_outside_its_range_and_opens_with_the_answers(ran):
    study, page = ran
    outside = "outside the trusted range of kde: 3 dimensions (at most 2): a lower bound"
    assert outside in page
    found = compare(
        study, "guess", "guess", "l2_norm, margin, train_loss", estimator="kde",
        quantity="kl_bound_kde",
    )  # fmt: skip
    assert any(outside in warning for warning in found.warnings)
    assert page.index('id="answers"') < page.index('id="summary"')
    assert page.index('id="answers"') < page.index('id="decomposition"')


def test_the_decomposition_of_dependent_draws(study):
    """P(fit) = 1/4 costs ln 4 nats, and the same law given a fit adds none."""
    data, optimiser, total = (
        compare(
            study, "rare", "guess", "l2_norm", given="fit", estimator="decomposition", quantity=name
        )
        for name in ("decomposition_data", "decomposition_optimiser", "decomposition_total")
    )
    assert data.low < math.log(4) < data.high
    assert optimiser.low == 0
    assert total.low < math.log(4) < total.high
