"""Axes fit the data, bins suit its number, and colours can be told apart."""

import itertools

import numpy as np
import pytest

from sweep_engine.densities import Draws, histogram
from sweep_engine.report.drawing.colours import CATEGORICAL
from sweep_engine.report.figures.laws import Window, num_bins

RNG = np.random.default_rng(0)
ERRORS = np.abs(RNG.normal(0.03, 0.01, 999))


def test_a_few_far_draws_do_not_squeeze_the_others_and_are_named():
    window = Window.of([Draws.of(np.append(ERRORS, 0.9)), Draws.of(ERRORS)])
    assert window.high < 0.1
    assert window.share_outside > 0
    assert "lie outside the axis" in window.words
    assert not window.holds(0.9), "nor does a line at the majority class's error"


def test_two_sources_that_are_far_apart_are_both_shown():
    window = Window.of([Draws.of(ERRORS), Draws.of(ERRORS + 0.8)])
    assert window.low < ERRORS.min()
    assert window.high > ERRORS.max() + 0.8
    assert window.words == ""


def test_what_is_cut_is_not_given_to_the_bins():
    far = Draws.of(np.append(ERRORS, np.full(1, 0.9)))
    window = Window.of([far])
    shown = histogram(window.cut(far), window.cut(far), num_bins=num_bins([far]))
    mass = float(shown.source.density @ np.diff(shown.edges))
    assert mass == pytest.approx(1 - window.share_outside)
    assert mass < 1


@pytest.mark.parametrize(("draws", "bins"), [(3, 6), (16, 6), (1000, 20), (10**6, 48)])
def test_bins_suit_the_number_of_draws(draws, bins):
    assert num_bins([Draws.of(np.zeros(draws)), Draws.of(np.zeros(2 * draws))]) == bins


def linear(colour):
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIE L*a*b* of linear sRGB under D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = np.clip(xyz @ rgb / [0.9505, 1.0, 1.089], 0, None)
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


BLINDNESS = {  # Machado, Oliveira & Fernandes (2009), severity 1
    "none": np.eye(3),
    "protan": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deutan": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
}


def nearest(colours, matrix):
    seen = [lab(np.clip(np.array(matrix) @ linear(colour), 0, 1)) for colour in colours]
    return min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2))


@pytest.mark.parametrize("ground", ["light", "dark"])
@pytest.mark.parametrize("blindness", BLINDNESS)
def test_the_first_colours_can_be_told_apart(ground, blindness):
    colours = [getattr(shade, ground) for shade in CATEGORICAL[:4]]
    assert nearest(colours, BLINDNESS[blindness]) > 12
    alike = ["#d62728", "#2ca02c", *colours[:1]]  # matplotlib's red and green
    assert blindness != "deutan" or nearest(alike, BLINDNESS["deutan"]) < 30
