"""Regression and planar sets: given in the sweep file, or drawn from the seed."""

import numpy as np

from sweep_engine.keys import data_rng
from sweep_engine.spec.tasks import Factorisation, Planar, Regression
from sweep_engine.tasks.losses import SQUARED, label_loss, squared
from sweep_engine.tasks.task import Task, make_task

Pair = tuple[np.ndarray, np.ndarray]


def load_regression(spec: Regression, seed: int) -> Task:
    """Make the task from the given rows, or draw a noisy linear teacher's."""
    if spec.x is not None and spec.y is not None:
        test = None
        if spec.test_x is not None and spec.test_y is not None:
            test = (np.array(spec.test_x), np.array(spec.test_y))
        y = np.array(spec.y)
        return make_task((np.array(spec.x), y), test, squared(*y.shape[1:]))
    assert spec.examples is not None
    assert spec.inputs is not None
    rng = data_rng(seed, "regression")
    num_outputs = spec.outputs or 1
    target_shape = () if num_outputs == 1 else (num_outputs,)
    weights = rng.standard_normal((spec.inputs, *target_shape)) / np.sqrt(spec.inputs)
    x = rng.standard_normal((spec.examples + spec.test_examples, spec.inputs))
    y = x @ weights + spec.noise * rng.standard_normal((len(x), *target_shape))
    return _split(x, y, spec.examples, squared(num_outputs))


def load_factorisation(spec: Factorisation) -> Task:
    """Make the one example x = 1, y = target."""
    return make_task((np.ones((1, 1)), np.array([spec.target])), None, SQUARED)


def load_planar(spec: Planar, seed: int) -> Task:
    """Make the task from the given points, or draw the named set."""
    loss = label_loss(spec.loss, 2, spec.label_smoothing)
    if spec.points is not None and spec.labels is not None:
        return make_task((np.array(spec.points), np.array(spec.labels)), None, loss)
    draw = SETS[str(spec.set)]
    x, y = draw(
        data_rng(seed, f"planar/{spec.set}"), spec.examples + spec.test_examples, spec.margin
    )
    return _split(x, y, spec.examples, loss)


def _split(x: np.ndarray, y: np.ndarray, count: int, loss: object) -> Task:
    test = (x[count:], y[count:]) if len(x) > count else None
    return make_task((x[:count], y[:count]), test, loss)  # type: ignore[arg-type]


def _two_slab(rng: np.random.Generator, count: int, margin: float) -> Pair:
    """x1 separates linearly; on x2 class 1 is the middle slab, class 0 both outer ones."""
    y = rng.integers(0, 2, count)
    x1 = (2 * y - 1) * (margin + (1 - margin) * rng.random(count))
    inner = rng.uniform(-1, 1, count) * (0.5 - margin / 2)
    outer = rng.choice([-1.0, 1.0], count) * rng.uniform(0.5 + margin / 2, 1, count)
    return np.stack([x1, np.where(y == 1, inner, outer)], axis=1), y


def _kink(rng: np.random.Generator, count: int, margin: float) -> Pair:
    """Class 1 lies above x2 = |x1| - 1/2, at least margin/2 away from it."""
    x1 = rng.uniform(-1, 1, count)
    y = rng.integers(0, 2, count)
    distance = margin / 2 + (0.5 - margin / 2) * rng.random(count)
    return np.stack([x1, np.abs(x1) - 0.5 + (2 * y - 1) * distance], axis=1), y


def _slabs(rng: np.random.Generator, count: int, margin: float) -> Pair:
    """Four slabs across [-1, 1], from above of class 1, 0, 1, 0, which x1 separates too."""
    number = 4
    slab = rng.integers(0, number, count)
    thickness = (2 - 2 * margin * (number - 1)) / number
    top = 1 - slab * (thickness + 2 * margin)
    y = 1 - slab % 2
    x1 = (1 - 2 * y) * (margin + (1 - margin) * rng.random(count))
    return np.stack([x1, top - thickness * rng.random(count)], axis=1), y


def _tents(rng: np.random.Generator, count: int, margin: float) -> Pair:
    """Class 1 on x2 = -|x1|, class 0 on the same line moved up by the margin."""
    x1 = rng.uniform(-1, 1, count)
    y = rng.integers(0, 2, count)
    return np.stack([x1, margin * (1 - y) - np.abs(x1)], axis=1), y


def _swiss_roll(rng: np.random.Generator, count: int, margin: float) -> Pair:
    """Two arms r = t / (7 pi / 2), half a turn apart, with bands of the same width around them."""
    outermost = 3.5 * np.pi
    y = rng.integers(0, 2, count)
    angle = rng.uniform(np.pi / 2, 3 * np.pi, count)
    half_width = max(0.0, (np.pi / outermost - margin) / 2)
    radius = angle / outermost + half_width * rng.uniform(-1, 1, count)
    direction = angle + np.pi * y
    return radius[:, None] * np.stack([np.cos(direction), np.sin(direction)], axis=1), y


SETS = {
    "two_slab": _two_slab,
    "slabs": _slabs,
    "kink": _kink,
    "tents": _tents,
    "swiss_roll": _swiss_roll,
}
"""What draws so many points of a named set, whose classes are a margin apart."""
