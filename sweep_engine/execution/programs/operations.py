"""Count what a program does, off its jaxpr: arithmetic and calls. Nothing is compiled."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

UNKNOWN_TURNS = 4
"""Of a loop that ends when it likes, such as one that goes on until it has converged."""

FREE = ("broadcast_in_dim", "reshape", "squeeze", "expand_dims", "stop_gradient", "copy", "slice",
        "convert_element_type", "random_wrap", "random_unwrap", "split")  # fmt: skip
"""Operations that a compiler fuses into their neighbours, or that move nothing."""

SUMS = ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or",
        "argmax", "argmin", "cumsum", "cumprod", "cummax", "cumlogsumexp")  # fmt: skip
"""Operations that take an addition for every number that goes in."""

FACTORISATIONS = ("svd", "eigh", "eig", "qr", "geqrf", "householder_product", "cholesky", "lu",
                  "triangular_solve")  # fmt: skip
"""Calls of LAPACK."""

WEIGHTS = {
    name: weight
    for weight, names in (
        (3, "div sqrt rsqrt rem gather dynamic_slice transpose"),
        (8, "exp exp2 log log1p expm1 tanh logistic sin cos tan pow erf erf_inv erfc cbrt atan2"),
        (60, "random_bits threefry2x32"),
        (120, "random_fold_in random_seed random_split"),
    )
    for name in names.split()
}
"""Cost of an element of the result, over an addition; 1 of what is not listed."""


@dataclass(frozen=True)
class Operations:
    """Hold what a program does.

    Attributes:
        products: Floating-point operations of products and convolutions.
        elements: Additions, or as much, of arrays element by element.
        calls: Operations that it calls, whatever the size of their arrays.
    """

    products: float = 0.0
    elements: float = 0.0
    calls: float = 0.0

    def __add__(self, other: "Operations") -> "Operations":
        return Operations(
            self.products + other.products,
            self.elements + other.elements,
            self.calls + other.calls,
        )

    def __mul__(self, times: float) -> "Operations":
        return Operations(self.products * times, self.elements * times, self.calls * times)


def count(jaxpr: Any, often: float = 1.0) -> Operations:
    """Count what a jaxpr does, with what it calls and as often as its loops go round.

    Args:
        jaxpr: The program.
        often: The share of the times at which a condition takes its dearest branch; else it
            takes the cheapest.
    """
    return sum((_of_equation(one, often) for one in jaxpr.eqns), start=Operations())


def parts(equation: Any) -> Iterator[Any]:
    """List the programs that an operation calls."""
    for given in equation.params.values():
        for one in given if isinstance(given, tuple | list) else (given,):
            inner = getattr(one, "jaxpr", one)
            if hasattr(inner, "eqns"):
                yield inner


def _of_equation(equation: Any, often: float) -> Operations:
    name = equation.primitive.name
    if name.startswith("scatter"):
        return Operations(elements=3 * _size(equation.invars[2]), calls=1)
    if inner := [count(part, often) for part in parts(equation)]:
        return _of_calls(name, equation, inner, often)
    if name in FREE:
        return Operations()
    if name in _PRODUCTS:
        return Operations(products=_PRODUCTS[name](equation), calls=1)
    if name in _ELEMENTS:
        return Operations(elements=_ELEMENTS[name](equation), calls=1)
    return Operations(elements=WEIGHTS.get(name, 1) * _results(equation), calls=1)


def _of_calls(name: str, equation: Any, inner: list[Operations], often: float) -> Operations:
    together = sum(inner, start=Operations())
    if name == "scan":
        return together * equation.params["length"]
    if name == "while":
        return together * UNKNOWN_TURNS
    if name == "cond":
        cheapest, *_, dearest = sorted(inner, key=lambda one: (one.products, one.elements))
        return dearest * often + cheapest * (1 - often)
    if name.startswith("reduce"):  # the part joins two elements
        return Operations(elements=_operands(equation), calls=1)
    return together


def _size(variable: Any) -> int:
    return math.prod(variable.aval.shape)


def _results(equation: Any) -> float:
    return float(sum(map(_size, equation.outvars)))


def _operands(equation: Any) -> float:
    return float(sum(map(_size, equation.invars)))


def _update(equation: Any) -> float:
    """Count what is written in the place of an operand: the rest is not moved."""
    return float(_size(equation.invars[1]))


def _sorted(equation: Any) -> float:
    length = equation.invars[0].aval.shape[equation.params["dimension"]]
    return 4 * _operands(equation) * math.log2(max(2, length))


def _dot(equation: Any) -> float:
    (contracted, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    return 2 * _results(equation) * math.prod(shape[axis] for axis in contracted)


def _convolution(equation: Any) -> float:
    """Every result sums over the kernel's inputs and places."""
    kernel, numbers = equation.invars[1].aval.shape, equation.params["dimension_numbers"]
    return 2 * _results(equation) * math.prod(kernel) / kernel[numbers.rhs_spec[0]]


def _factorised(equation: Any) -> float:
    """LAPACK's n x m matrices one by one: some 10 n m min(n, m), much slower than products."""
    *batch, rows, columns = equation.invars[0].aval.shape
    return 20.0 * math.prod(batch) * rows * columns * min(rows, columns)


_PRODUCTS: dict[str, Callable[[Any], float]] = {
    "dot_general": _dot,
    "conv_general_dilated": _convolution,
}

_ELEMENTS: dict[str, Callable[[Any], float]] = {
    "dynamic_update_slice": _update,
    "sort": _sorted,
    **dict.fromkeys(SUMS, _operands),
    **dict.fromkeys(FACTORISATIONS, _factorised),
}
