"""Training curves of runs that diverge."""

import numpy as np

from sweep_engine.report.figures.curves import _levels


def test_runs_that_diverged_are_beyond_all_others_and_not_left_out() -> None:
    losses = [*np.linspace(0.0, 1.0, 40), *[np.inf] * 30, *[np.nan] * 30]
    low, middle, high = _levels(losses)
    assert 0.0 < low < 0.2
    assert (middle, high) == (np.inf, np.inf)


def test_a_median_is_the_loss_of_a_run() -> None:
    assert _levels([3.0, 1.0, 2.0, np.inf])[1] in {1.0, 2.0, 3.0}
