"""Neighbours and sums over pairs: the plain way's values, in far less memory."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from sweep_engine.densities.draws import Draws
from sweep_engine.densities.points import neighbours
from sweep_engine.densities.points.kernel_density import log_density
from sweep_engine.densities.points.kernel_tests import _sums
from sweep_engine.densities.points.neighbours import NUM_GROUPS, kl_of, without_groups
from sweep_engine.densities.points.pairwise import MAX_TREE_DIMENSION, nearest
from tests.densities.read import mmd

NUM_FAR = 6000


def clouds(dimension, num, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(3, 2, size=(num, dimension)), rng.normal(size=(num + 7, dimension))


@pytest.mark.parametrize("dimension", [1, 2, MAX_TREE_DIMENSION, MAX_TREE_DIMENSION + 1, 40])
def test_nearest_are_those_of_all_distances(dimension):
    at, cloud = clouds(dimension, 300)
    cloud = np.concatenate([cloud, at])
    distance = cdist(at, cloud)
    found = nearest(at, cloud, 6)
    np.testing.assert_allclose(found.distance, np.sort(distance)[:, :6], rtol=1e-9, atol=1e-6)
    np.testing.assert_array_equal(found.which, np.argsort(distance)[:, :6])


def test_far_from_the_origin_nothing_is_rounded_away():
    at, cloud = clouds(20, 300)
    near, far = (nearest(at + shift, cloud + shift, 5).distance for shift in (0.0, 1e6))
    np.testing.assert_allclose(far, near, rtol=1e-6)


@pytest.mark.parametrize("dimension", [1, 12])
@pytest.mark.parametrize("num", [60, 500])
def test_estimates_without_a_group_are_those_of_the_others(dimension, num, monkeypatch):
    """Also where the list runs short, as with 60 points in 3 groups, or a list of few."""
    monkeypatch.setattr(neighbours, "NUM_GROUPS", 3 if num == 60 else NUM_GROUPS)
    source, reference = clouds(dimension, num)
    groups = [np.arange(len(c)) % neighbours.NUM_GROUPS for c in (source, reference)]
    found = without_groups(source, reference, *groups)
    truth = [
        kl_of(source[groups[0] != g], reference[groups[1] != g])
        for g in range(neighbours.NUM_GROUPS)
    ]
    np.testing.assert_allclose(found, truth, rtol=1e-9)


def test_discrepancy_is_that_of_all_pairs():
    """Twice the mean across, less the means within, of pairs of two draws."""
    one, other = clouds(1, 150)
    found = mmd(Draws.of(one[:, 0]), Draws.of(other[:, 0]), seed=0, bandwidth=1.5)

    def mean(a, b):
        kernel = np.exp(-(cdist(a, b) ** 2) / (2 * 1.5**2))
        return kernel[~np.eye(len(a), dtype=bool)].mean() if a is b else kernel.mean()

    truth = mean(one, one) + mean(other, other) - 2 * mean(one, other)
    assert found.value == pytest.approx(truth, rel=1e-9)


def peak_bytes(call):
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_a_small_share_of_a_matrix():
    """Of kernel sums and densities, all of whose memory is numpy's; a matrix is caught."""
    at, cloud = clouds(2, 5000)
    matrix = len(at) * len(cloud) * 8
    ones = np.ones((len(cloud), 3))
    for call in (
        lambda: log_density(at, cloud, 0.3),
        lambda: _sums(cloud, lambda d: -np.exp(-(d**2)), ones),
    ):
        assert peak_bytes(call) <= matrix / 4
    assert peak_bytes(lambda: cdist(at, cloud)) >= matrix


SEARCH = """
import numpy as np
from scipy.spatial.distance import cdist
from sweep_engine.densities.points.pairwise import nearest
def peak_kilobytes():
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1])
cloud = np.random.default_rng(0).normal(size=({num}, 20))
nearest(cloud[:2000], cloud[:2000], 5)
before = peak_kilobytes()
nearest(cloud, cloud, 5)
searched = peak_kilobytes()
cdist(cloud, cloud)
print(searched - before, peak_kilobytes() - before)
"""


def test_a_search_in_many_dimensions_takes_little_memory():
    """Of a process of its own, since the library's buffers are not numpy's; a matrix is caught."""
    program = SEARCH.format(num=NUM_FAR)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    searched, matrix = (1024 * int(word) for word in done.stdout.split())
    assert searched <= NUM_FAR**2 * 8 / 10 < NUM_FAR**2 * 7 <= matrix
