"""Estimators as tests use them: looked at once, and read at one confidence."""

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.cells.lower_bounds import lower_bounds
from sweep_engine.densities.columns import binned, plane
from sweep_engine.densities.columns.ks import KolmogorovSmirnov
from sweep_engine.densities.columns.mean import MeanDifference
from sweep_engine.densities.columns.wasserstein import Wasserstein
from sweep_engine.densities.estimator import Table, Verdict
from sweep_engine.densities.functions import common_support, plug_in, split_half
from sweep_engine.densities.functions import rank_correlation as ranks
from sweep_engine.densities.functions.function_space import FunctionSpace
from sweep_engine.densities.points.classifier import ClassifierTest
from sweep_engine.densities.points.flow import Flow
from sweep_engine.densities.points.kernel_density import KernelDensity
from sweep_engine.densities.points.kernel_tests import Energy, Mmd
from sweep_engine.densities.points.neighbours import NearestNeighbours
from sweep_engine.densities.registry import QUANTITIES


def several(look):
    """From samples to the estimates at 95 %, or at another confidence."""
    return lambda *samples, seed=0, confidence=0.95: look(*samples, seed).at(confidence)


def single(look):
    """The same where there is one estimate."""

    def read(*samples, seed=0, confidence=0.95):
        (estimate,) = look(*samples, seed).at(confidence)
        return estimate

    return read


ks_distance = single(KolmogorovSmirnov().look)
mean_difference = single(MeanDifference().look)
wasserstein = single(Wasserstein().look)
binned_divergences = several(binned.binned_divergences)
binned_total_variation_2d = single(plane.binned_plane)

energy_distance = single(Energy().look)
kde = several(KernelDensity().look)
knn_kl = several(NearestNeighbours().look)
c2st = several(ClassifierTest().look)
flow = several(Flow().look)


def mmd(source, reference, seed=0, bandwidth=None):
    return single(Mmd(bandwidth).look)(source, reference, seed=seed)


divergences = several(plug_in.plug_ins)
divergence_lower_bounds = several(split_half.split_half_bounds)
kl_common_support = single(common_support.kl_common_support)
rank_correlation = single(ranks.rank_correlation)


def compare_functions(counts: CellCounts, seed=0):
    return several(FunctionSpace().look)(counts.source, counts.reference, seed=seed)


def split_half_divergences(counts, rng):
    """TV, JS and KL from below, without their nulls."""
    log_ratio = split_half.function_log_ratio(counts, rng)
    return lower_bounds(*split_half.split_half(counts, rng), log_ratio, 0.95)


def assert_sayable(estimator, estimates):
    """A report can say what each estimate means, and where it lists it."""
    announced = {quantity.name for quantity in estimator.quantities}
    assert {estimate.name for estimate in estimates} <= announced
    for estimate in estimates:
        quantity = QUANTITIES[estimate.name]
        assert quantity.table in Table
        said = quantity.meaning(estimate, p_adjusted=estimate.p_value)
        assert said.endswith(".")
        assert "nan" not in said
        if quantity.verdict is Verdict.TEST:
            assert estimate.p_value is not None
        if quantity.verdict is not Verdict.NONE:
            assert said.endswith(("shows a difference.", "shows none."))
