"""Closed forms of gradient flow, for the models and tasks that have one.

dtheta/dt = -gradient of the loss, the mean of half the squared errors over the examples. In
float64 on the host; arguments broadcast.
"""

import math

import numpy as np
from jaxtyping import Float
from scipy import special

Numbers = Float[np.ndarray, "..."] | float


def scalar_product_flow(
    a: Numbers, b: Numbers, target: Numbers, time: Numbers
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Compute a(t) and b(t) of f = ab trained to `target`, from any start with a + b != 0.

    With c = a^2 - b^2, which the flow conserves, p = (a + b)^2 obeys the logistic equation
    dp/dt = -(p - p_+)(p - p_-)/2 with p_+- = 2y +- 2 sqrt(y^2 + c^2/4). Balanced (c = 0), the
    product is s(t) = y e^(2yt) / (e^(2yt) - 1 + y/s(0)): each mode of a balanced two-layer
    linear network with whitened inputs goes so.

    Source:
        Saxe, McClelland & Ganguli (2014), ICLR, for c = 0.

    >>> a, b = scalar_product_flow(0.5, 0.5, target=1.0, time=2.0)
    >>> round(float(a * b), 6) == round(math.exp(4) / (math.exp(4) - 1 + 4), 6)
    True
    """
    a, b, y = (np.asarray(value, float) for value in (a, b, target))
    conserved, root = a**2 - b**2, np.hypot(2 * y, a**2 - b**2)
    square = _logistic((a + b) ** 2, 2 * y - root, 2 * y + root, root, time)
    plus = np.sign(a + b) * np.sqrt(square)
    minus = conserved / plus
    return (plus + minus) / 2, (plus - minus) / 2


def balanced_two_layer_flow(
    first: Float[np.ndarray, "h n"],
    second: Float[np.ndarray, "m h"],
    target: Float[np.ndarray, "m n"],
    time: float,
) -> Float[np.ndarray, "m n"]:
    """Compute W2(t) W1(t) with whitened inputs, from W2'W2 = W1 W1' and any singular vectors.

    x = [W1'; W2] obeys dx/dt = Q x - x x'x / 2 with Q = [0 Y'; Y 0]. So P = x x' solves a Riccati
    equation, P(t) = e^(Qt) x (I + x' S x)^-1 x' e^(Qt) with S the integral of e^(2Qs) to t. Where
    the singular vectors are those of Y, each mode goes as in `scalar_product_flow`.

    Source:
        Fukumizu (1998), Effect of batch learning in multilayer neural networks, ICONIP.

    >>> one = np.ones((1, 1))
    >>> found = balanced_two_layer_flow(0.5 * one, 0.5 * one, one, time=2.0)
    >>> round(found.item(), 6) == round(math.exp(4) / (math.exp(4) - 1 + 4), 6)
    True
    """
    x = np.vstack([np.transpose(first), second]).astype(float)
    outputs, inputs = np.shape(target)
    q = np.zeros((inputs + outputs,) * 2)
    q[inputs:, :inputs], q[:inputs, inputs:] = target, np.transpose(target)
    rates, axes = np.linalg.eigh(q)
    grown = np.where(
        rates == 0, time, np.expm1(2 * rates * time) / np.where(rates == 0, 1, 2 * rates)
    )
    turned = axes.T @ x
    inverse = np.linalg.inv(np.eye(x.shape[1]) + (turned.T * grown) @ turned)
    moved = axes @ (np.exp(rates * time)[:, None] * turned)
    product: np.ndarray = moved[inputs:] @ inverse @ moved[:inputs].T
    return product


def diagonal_flow(
    alpha: Float[np.ndarray, " D"], target: float, time: Float[np.ndarray, " T"]
) -> Float[np.ndarray, "T D"]:
    """Compute beta(t) of beta = w_plus^2 - w_minus^2 from w_plus = w_minus = alpha.

    On the one example x = (1, ..., 1), y = `target`: beta_i = alpha_i^2 (z - 1/z) with dz/dt =
    4 (yz - az^2 + a), a = sum alpha^2, z(0) = 1. It lands at y alpha_i^2 / a.
    """
    squares = np.asarray(alpha, float) ** 2
    total = np.sum(squares)
    root = math.hypot(target, 2 * total)
    low, high = (target - root) / (2 * total), (target + root) / (2 * total)
    z = _logistic(1.0, low, high, 4 * root, time)
    return np.multiply.outer(z - 1 / z, squares)


def time_to_product(
    product: Numbers, start: Numbers, target: Numbers, depth: float
) -> Float[np.ndarray, "..."]:
    """Compute when the product s of balanced scalar factors gets from `start` to `product`.

    For 0 < start, product < target: the integral of ds / (L s^(2 - 2/L) (y - s)). At depth inf
    that of ds / (s^2 (y - s)): time is that of an infinitely deep network, t times L at depth L.

    Source:
        Saxe, McClelland & Ganguli (2014), ICLR, section 1.2 and 3.
    """
    y = np.asarray(target, float)
    return _time_from_zero(product, y, depth) - _time_from_zero(start, y, depth)


def _time_from_zero(s: Numbers, y: Float[np.ndarray, "..."], depth: float) -> np.ndarray:
    """An integral of dt/ds, up to a constant."""
    s = np.asarray(s, float)
    log_odds = np.log(s) - np.log(y - s)
    if depth == 1:
        return -np.log(y - s)
    if depth == 2:
        return log_odds / (2 * y)
    if depth == math.inf:
        return log_odds / y**2 - 1 / (y * s)
    # With s = x^L, the integral of x^(1-L) / (y - x^L) dx, a geometric series in x^L / y.
    power = (2 - depth) / depth
    series: np.ndarray = special.hyp2f1(1.0, power, power + 1, s / y)
    return s**power / (y * (2 - depth)) * series


def least_squares_flow(
    x: Float[np.ndarray, "N D"], y: Float[np.ndarray, " N"], time: float
) -> tuple[Float[np.ndarray, "D D"], Float[np.ndarray, " D"]]:
    """Compute A and b of w(t) = A w(0) + b for a linear model without bias.

    From w(0) ~ N(0, s^2 I), w(t) ~ N(b, s^2 A A'). As t grows A projects on the null space of
    x, and b is the solution of least norm.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    left, values, right = np.linalg.svd(x, full_matrices=False)
    decay = np.expm1(-(values**2) * time / len(x))
    shares = np.divide(-decay, values, out=np.zeros_like(values), where=values > 0)
    return np.eye(x.shape[1]) + (right.T * decay) @ right, right.T @ (shares * (left.T @ y))


def max_margin_flow(start: Numbers, time: Numbers) -> Float[np.ndarray, "..."]:
    """Compute w(t) of logistic loss ln(1 + e^-w) on one example: e^w + w = t + e^w(0) + w(0).

    Of n orthonormal examples with their labels' signs, whose mean loss it is, at time t / n.

    >>> round(float(max_margin_flow(0.0, 10.0)), 6)
    2.177325
    """
    total = np.asarray(time, float) + np.exp(start) + start
    return total - special.wrightomega(total)


def _logistic(start: Numbers, low: Numbers, high: Numbers, rate: Numbers, time: Numbers) -> Numbers:
    """Solve dz/dt = rate (z - low) (high - z) / (high - low)."""
    above, below = np.subtract(start, low), np.subtract(high, start)
    left = below * np.exp(-np.multiply(rate, time))
    solution: np.ndarray = (high * above + low * left) / (above + left)
    return solution
