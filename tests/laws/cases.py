"""Every law, with what SciPy says of its marginals: a new law is a line here.

A case's oracle gives, for an array of parameters, the law of one entry, or None where the
entry is fixed at 0.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from pydantic import TypeAdapter
from scipy import stats

from sweep_engine import laws
from sweep_engine.models import Layout, Leaf
from sweep_engine.spec.laws import LawSpec
from tests.statistics import assert_p_value

DRAWS = 6000
ROWS = 1000
ADAPTER = TypeAdapter(LawSpec)


def law_of(kind, **fields):
    return ADAPTER.validate_python({"kind": kind, **fields})


def layout_of(**arrays):
    """Lay out arrays by name, as in dense_kernel=(3, 4)."""
    leaves, offset = [], 0
    for name, shape in arrays.items():
        leaves.append(Leaf(tuple(name.split("_")), shape, offset))
        offset += leaves[-1].size
    return Layout(tuple(leaves))


LAYOUT = layout_of(first_kernel=(3, 4), first_bias=(4,), second_kernel=(4, 2), second_bias=(2,))
LAYER_SIZES = {"first": 16, "second": 10}
PLANE = layout_of(dense_kernel=(2, 1))
CONVOLUTION = layout_of(
    conv_kernel=(2, 2, 3, 5), conv_bias=(5,), dense_kernel=(5, 9), dense_bias=(9,)
)

VARIANCES = {
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "he": lambda fan_in, fan_out: 2 / fan_in,
}


@dataclass(frozen=True)
class Case:
    """A law and its oracle.

    Attributes:
        law: The law.
        marginal: From an array to a frozen SciPy law of its entries, or None for fixed zeros.
        independent: Whether parameters are independent.
        discrete: Whether they take finitely many values.
    """

    law: Any
    marginal: Callable[[Leaf], Any]
    independent: bool = True
    discrete: bool = False


def _always(marginal):
    return lambda leaf: marginal


def _coordinate(exponent, radius):
    """The law on [-radius, radius] with density proportional to (1 - x²/radius²)^exponent."""
    return stats.beta(exponent + 1, exponent + 1, loc=-radius, scale=2 * radius)


def _sphere(num_params, radius):
    return _coordinate((num_params - 3) / 2, radius)


def _ball(num_params, radius):
    return _coordinate((num_params - 1) / 2, radius)


def _fan_in(leaf):
    return stats.norm(scale=0.2 if leaf.is_bias else 1.4 / math.sqrt(leaf.shape[0]))


def _torch(leaf):
    """Of a layer of the layout, whose weights have fan-in 3 or 4."""
    half = 1.3 / math.sqrt(3 if leaf.path[0] == "first" else 4)
    return stats.uniform(-half, 2 * half)


def _initialiser(family, shape):
    def marginal(leaf):
        if leaf.is_bias:
            return None
        std = 1.7 * math.sqrt(VARIANCES[family](*leaf.shape))
        half = std * math.sqrt(3)
        return {
            "normal": stats.norm(scale=std),
            "uniform": stats.uniform(-half, 2 * half),
            "truncated_normal": stats.truncnorm(-2, 2, scale=std / stats.truncnorm(-2, 2).std()),
        }[shape]

    return Case(law_of(f"{family}_{shape}", scale=1.7), marginal)


def _mixed(leaf):
    if leaf.path[0] == "first":
        return _sphere(16, 0.8)
    return None if leaf.is_bias else stats.uniform(-0.5 * math.sqrt(3 / 4), math.sqrt(3 / 4))


N = LAYOUT.num_params
CASES = [
    Case(law_of("box", half_width=2.5), _always(stats.uniform(-2.5, 5))),
    Case(law_of("gaussian", std=0.3), _always(stats.norm(scale=0.3))),
    Case(law_of("laplace", scale=0.6), _always(stats.laplace(scale=0.6))),
    Case(law_of("student_t", degrees_of_freedom=1, scale=0.4), _always(stats.cauchy(scale=0.4))),
    Case(law_of("student_t", degrees_of_freedom=3, scale=2.0), _always(stats.t(3, scale=2.0))),
    Case(
        law_of("binary", scale=0.3),
        _always(stats.rv_discrete(values=([-1, 1], [0.5, 0.5]))),
        discrete=True,
    ),
    Case(
        law_of("ternary", scale=1.5, zero_probability=0.3),
        _always(stats.rv_discrete(values=([-1, 0, 1], [0.35, 0.3, 0.35]))),
        discrete=True,
    ),
    Case(law_of("ball", radius=3.0), _always(_ball(N, 3.0)), independent=False),
    Case(law_of("sphere", radius=0.7), _always(_sphere(N, 0.7)), independent=False),
    Case(
        law_of("ball", radius=3.0, per_layer=True),
        lambda leaf: _ball(LAYER_SIZES[leaf.path[0]], 3.0),
        independent=False,
    ),
    Case(
        law_of("sphere", radius=0.7, per_layer=True),
        lambda leaf: _sphere(LAYER_SIZES[leaf.path[0]], 0.7),
        independent=False,
    ),
    Case(law_of("fan_in", weight_std=1.4, bias_std=0.2), _fan_in),
    Case(law_of("torch", scale=1.3), _torch),
    _initialiser("lecun", "truncated_normal"),
    _initialiser("glorot", "uniform"),
    _initialiser("he", "normal"),
    Case(
        law_of("orthogonal", scale=1.3),
        lambda leaf: None if leaf.is_bias else _sphere(4, 1.3),
        independent=False,
    ),
    Case(
        law_of(
            "layers",
            layers=[{"kind": "sphere", "radius": 0.8}, {"kind": "lecun_uniform", "scale": 0.5}],
        ),
        _mixed,
        independent=False,
    ),
    Case(
        law_of(
            "scaled",
            scale=2.0,
            law={
                "kind": "layers",
                "layers": [
                    {"kind": "sphere", "radius": 0.4},
                    {"kind": "lecun_uniform", "scale": 0.25},
                ],
            },
        ),
        _mixed,
        independent=False,
    ),
]
CONTINUOUS = [case for case in CASES if not case.discrete]
DISCRETE = [case for case in CASES if case.discrete]


def name_of(case):
    law = getattr(case, "law", case)
    return law.kind + "_per_layer" * getattr(law, "per_layer", False)


@functools.cache
def _program(function, law, layout):
    return jax.jit(jax.vmap(lambda argument: function(law, layout, argument)))


def sample(law, layout, draws, seed=0):
    keys = jax.random.split(jax.random.key(seed), draws)
    # Not compiled as a whole: generators take long to compile, and laws share them.
    return np.asarray(jax.vmap(lambda key: laws.sample(law, layout, key))(keys))


def normals(law, layout, draws, seed=1):
    """Standard normals from another generator than that of `sample`."""
    z = np.random.default_rng(seed).normal(size=(draws, laws.num_normals(law, layout)))
    return z.astype(np.float32)


def from_normals(law, layout, z):
    """Map rows of normals, padded to the one size that is compiled."""
    return _in_one_shape(_program(laws.from_normals, law, layout), z, DRAWS)


def log_density(law, layout, theta):
    """Compute the density of every row, padded to the one size that is compiled."""
    return _in_one_shape(_program(laws.log_density, law, layout), theta, ROWS).astype(float)


def _in_one_shape(program, rows, size):
    rows = np.asarray(rows, np.float32)
    size = max(size, len(rows))
    padded = np.resize(rows, (size, rows.shape[1]))
    return np.asarray(program(padded))[: len(rows)]


def entries(theta, layout):
    """Give every array and its part of theta, one draw a row."""
    for leaf in layout.leaves:
        yield leaf, theta[:, leaf.offset : leaf.offset + leaf.size]


def assert_smallest(p_values, message):
    """Check several p-values as one check, which they share."""
    assert_p_value(min(p_values) * len(p_values), message)


def assert_same_functions(pair):
    """Two-sample chi-squared; functions of fewer than 20 draws are one cell."""
    pair = np.array(pair)
    frequent = pair.sum(axis=0) >= 20
    table = np.column_stack([pair[:, frequent], pair[:, ~frequent].sum(axis=1)])
    p_value = stats.chi2_contingency(table[:, table.sum(axis=0) > 0]).pvalue
    assert_p_value(float(p_value), "two laws over functions")
