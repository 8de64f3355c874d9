"""The optimisers as plain NumPy in float64: what the engine's training is held to.

An optimiser is given as a sweep's mapping. The gradient is a function of theta, so that those
which ask for it elsewhere than at the network can.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Gradient = Callable[[np.ndarray], np.ndarray]

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class PlainOptimizer:
    """One run's optimiser.

    Args:
        spec: The optimiser with all its fields.
        shapes: Of the parts of theta in order; matrices have two sides.
        is_bias: Of each part, whether it is a bias.
        direction: A unit vector from which power iteration starts.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        shapes: list[tuple[int, ...]],
        is_bias: list[bool],
        direction: np.ndarray,
    ) -> None:
        self.spec, self.shapes, self.steps = spec, shapes, 0
        self.is_bias = np.concatenate(
            [np.full(np.prod(s), bias) for s, bias in zip(shapes, is_bias, strict=True)]
        )
        self.first = self.second = 0.0
        self.power = direction
        self.latent: np.ndarray | None = None

    def step(self, theta: np.ndarray, gradient: Gradient, rate: float) -> np.ndarray:
        """Take one step."""
        match self.spec["kind"]:
            case "straight_through":
                return self._straight_through(theta, gradient, rate)
            case "sam":
                return self._along(theta, self._uphill(theta, gradient), rate)
            case "sharpness_limited":
                rate = min(rate, 2 * self.spec["share"] / self._curvature(theta, gradient))
        return self._along(theta, gradient(theta), rate)

    def _along(self, theta: np.ndarray, g: np.ndarray, rate: float) -> np.ndarray:
        spec, limit = self.spec, self.spec.get("clip_norm")
        if limit is not None:
            g = g * min(1.0, limit / np.linalg.norm(g))
        self.steps += 1
        u = DIRECTIONS.get(spec["kind"], PlainOptimizer._momentum)(self, g + spec["l2"] * theta)
        return theta - rate * (u + spec["weight_decay"] * theta)

    def _momentum(self, g: np.ndarray) -> np.ndarray:
        momentum = self.spec.get("momentum", 0.0)
        self.first = momentum * self.first + g
        return g + momentum * self.first if self.spec.get("nesterov") else self.first

    def _adam(self, g: np.ndarray) -> np.ndarray:
        mean, square = self._moments(g)
        return mean / (np.sqrt(square) + self.spec["eps"])

    def _moments(self, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        b1, b2 = self.spec["b1"], self.spec["b2"]
        self.first = b1 * self.first + (1 - b1) * g
        self.second = b2 * self.second + (1 - b2) * g**2
        return self.first / (1 - b1**self.steps), self.second / (1 - b2**self.steps)

    def _rmsprop(self, g: np.ndarray) -> np.ndarray:
        self.second = self.spec["decay"] * self.second + (1 - self.spec["decay"]) * g**2
        return self._momentum(g / np.sqrt(self.second + self.spec["eps"]))

    def _adagrad(self, g: np.ndarray) -> np.ndarray:
        self.second = self.second + g**2
        total = self.spec["initial"] + self.second
        return g / np.sqrt(total + self.spec["eps"])

    def _group_rmsprop(self, g: np.ndarray) -> np.ndarray:
        decay = self.spec["decay"]
        self.second = decay * self.second + (1 - decay) * (g @ g)
        return g / (np.sqrt(self.second / (1 - decay**self.steps)) + self.spec["eps"])

    def _sign(self, g: np.ndarray) -> np.ndarray:
        return np.sign(self._momentum(g))

    def _lion(self, g: np.ndarray) -> np.ndarray:
        b1, b2 = self.spec["b1"], self.spec["b2"]
        before, self.first = self.first, b2 * self.first + (1 - b2) * g
        return np.sign(b1 * before + (1 - b1) * g)

    def _muon(self, g: np.ndarray) -> np.ndarray:
        spec, t = self.spec, self.steps
        kept = np.where(self.is_bias, spec["b1"], spec["momentum"])
        self.first = kept * self.first + (1 - kept) * g
        ahead = kept * self.first / (1 - kept ** (t + 1)) + (1 - kept) * g / (1 - kept**t)
        self.second = spec["b2"] * self.second + (1 - spec["b2"]) * g**2
        square = self.second / (1 - spec["b2"] ** t)
        vectors = spec["vector_scale"] * ahead / (np.sqrt(square) + spec["eps"])
        cuts = np.cumsum([np.prod(shape) for shape in self.shapes])[:-1]
        parts = [
            part if len(shape) < 2 else self._orthogonal(of_kernel.reshape(shape)).ravel()
            for shape, part, of_kernel in zip(
                self.shapes, np.split(vectors, cuts), np.split(ahead, cuts), strict=True
            )
        ]
        return np.concatenate(parts)

    def _orthogonal(self, matrix: np.ndarray) -> np.ndarray:
        """Apply the polynomial to the singular values themselves."""
        u, s, v = np.linalg.svd(matrix, full_matrices=False)
        s = s / (np.linalg.norm(s) + self.spec["eps"])
        a, b, c = NEWTON_SCHULZ
        for _ in range(self.spec["iterations"]):
            s = a * s + b * s**3 + c * s**5
        fan_in, fan_out = matrix.shape
        return np.sqrt(max(1, fan_out / fan_in)) * (u * s) @ v

    def _uphill(self, theta: np.ndarray, gradient: Gradient) -> np.ndarray:
        g = gradient(theta)
        return gradient(theta + self.spec["radius"] * g / np.linalg.norm(g))

    def _curvature(self, theta: np.ndarray, gradient: Gradient) -> float:
        """Iterate with central differences of the gradient."""
        size = 0.0
        for _ in range(self.spec["iterations"] + (32 if self.steps == 0 else 0)):
            ahead, behind = (gradient(theta + e * self.power) for e in (1e-5, -1e-5))
            image = (ahead - behind) / 2e-5
            size = float(np.linalg.norm(image))
            self.power = image / size
        return size + self.spec["l2"] + self.spec["weight_decay"]

    def _straight_through(self, theta: np.ndarray, gradient: Gradient, rate: float) -> np.ndarray:
        scale = self.spec["scale"]
        latent = theta if self.latent is None else self.latent
        latent = self._along(latent, gradient(self._binary(latent)), rate)
        self.latent = np.where(self.is_bias, latent, np.clip(latent, -scale, scale))
        return self._binary(self.latent)

    def _binary(self, latent: np.ndarray) -> np.ndarray:
        scale = self.spec["scale"]
        return np.where(self.is_bias, latent, np.where(latent >= 0, scale, -scale))


DIRECTIONS = {
    "adam": PlainOptimizer._adam,
    "adamw": PlainOptimizer._adam,
    "rmsprop": PlainOptimizer._rmsprop,
    "adagrad": PlainOptimizer._adagrad,
    "group_rmsprop": PlainOptimizer._group_rmsprop,
    "sign": PlainOptimizer._sign,
    "lion": PlainOptimizer._lion,
    "muon": PlainOptimizer._muon,
}
"""What each makes of a gradient; the others accumulate it."""
