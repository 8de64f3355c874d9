"""Exact rows inside an atlas: ab = 1 gives its two KLs, least squares nothing at all."""

import pytest

import sweep_engine as se
from sweep_engine.atlas.analysis import OPTIMISER_NATS
from sweep_engine.spec import Sweep
from tests.theory.test_scalar_factorisation import KL_POSTERIOR, KL_UNIFORM

LOOSE = 5
"""Standard errors; two-sided, 6e-7 a number."""

BIN_LOSS = 0.1
"""Share of a KL that bins cannot see at so many draws; it only makes a lower bound lower."""


def trained(**changes):
    return {
        "kind": "train",
        "init": {"kind": "gaussian", "std": 1.0},
        "optimizer": {"kind": "sgd", "learning_rate": 0.02},
        "batch_size": "full",
        "stop": {"max_steps": 20_000, "fit": False, "train_loss": 1e-8},
        "runs": 4000,
    } | changes


def by_row(observable, **more):
    return {"source": "gd", "reference": "prior", "observable": observable, "given": "fit",
            "by": "all"} | more  # fmt: skip


def rates(low, high):
    return {
        name: {"sources.gd.optimizer.learning_rate": rate}
        for name, rate in (("low", low), ("high", high))
    }


def test_ab_equal_to_1_has_its_nats_in_every_row(tmp_path):
    gaussian, box = {"kind": "gaussian", "std": 1.0}, {"kind": "box", "half_width": 10.0}
    sweep = Sweep(
        name="exact",
        task={"kind": "factorisation", "target": 1.0},
        model={"kind": "scalar_factorisation"},
        accept={"max_residual": 0.05},
        sources={
            "gd": trained(),
            "prior": {"kind": "guess_and_check", "law": gaussian, "accepted": 4000},
        },
        design={
            "kind": "full",
            "base": {"prior": "gaussian"},
            "factors": {
                "prior": {
                    "gaussian": {"sources.prior.law": gaussian},
                    "box": {"sources.prior.law": box},
                },
                "rate": rates(0.01, 0.02),
            },
        },
        observables=("balance",),
        compare=(by_row("balance_u", estimator="decomposition"), by_row("balance_u")),
    )
    se.run(sweep, tmp_path / "out")
    (found,) = se.effects(tmp_path / "out")
    truth = {"gaussian": KL_POSTERIOR, "box": KL_UNIFORM}
    for row in found.rows:
        nats, exact = row.optimiser, truth[row.levels["prior"]]
        assert nats.value <= exact + LOOSE * nats.stderr
        assert nats.value >= (1 - BIN_LOSS) * exact - LOOSE * nats.stderr
    (nats,) = (each for each in found.responses if each.response == OPTIMISER_NATS)
    effects = {each.name: each for each in nats.effects}
    gained = effects["prior: box - gaussian"]
    assert gained.value == pytest.approx(KL_UNIFORM - KL_POSTERIOR, rel=0.15)
    assert gained.low < KL_UNIFORM - KL_POSTERIOR < gained.high
    assert not effects["rate: low - high"].is_shown


def test_least_squares_adds_nothing_and_shifts_nothing(tmp_path):
    law = {"kind": "gaussian", "std": 0.5}
    sweep = Sweep(
        name="null",
        task={"kind": "regression", "x": [[1.0, 0.5, 0.2, 0.0], [0.0, 1.0, -0.5, 0.3]],
              "y": [0.4, -0.2]},
        model={"kind": "linear", "bias": False},
        accept={"max_residual": 0.05},
        sources={
            "gd": trained(init=law, runs=2000),
            "prior": {"kind": "guess_and_check", "law": law, "accepted": 2000},
        },
        design={
            "kind": "full",
            "factors": {
                "rate": rates(0.2, 0.5),
                "batch": {"one": {"sources.gd.batch_size": 1},
                          "full": {"sources.gd.batch_size": "full"}},
            },
        },
        observables=("norms",),
        compare=(by_row("l2_norm", estimator="decomposition"), by_row("l2_norm")),
    )  # fmt: skip
    se.run(sweep, tmp_path / "out")
    (found,) = se.effects(tmp_path / "out")
    assert len(found.rows) == 4
    for row in found.rows:
        assert row.optimiser.value <= LOOSE * row.optimiser.stderr
        assert abs(row.shifts["l2_norm"].value) <= LOOSE * row.shifts["l2_norm"].stderr
        half = row.superiorities["l2_norm"]
        assert abs(half.value - 0.5) <= LOOSE * half.stderr
    for response in found.responses[1:]:
        assert not any(each.is_shown for each in response.effects)
