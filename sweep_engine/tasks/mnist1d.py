"""Signals of the shape of MNIST-1D, for timing: 40 positions, 10 classes."""

from dataclasses import dataclass

import numpy as np

from sweep_engine.keys import data_rng
from sweep_engine.tasks.losses import cross_entropy
from sweep_engine.tasks.task import Task, make_task

POSITIONS, CLASSES = 40, 10


@dataclass(frozen=True)
class Signals:
    """A smooth template a class, shifted and with noise. What a step costs is MNIST-1D's.

    Attributes:
        train: Training examples.
    """

    train: int = 4000

    def load(self, seed: int) -> Task:
        """Draw the templates, then the examples."""
        rng = data_rng(seed, "signals")
        window = np.hanning(9) / np.hanning(9).sum()
        noise = rng.normal(size=(CLASSES, POSITIONS + 8))
        templates = np.stack([np.convolve(row, window, "valid") for row in noise])
        y = rng.integers(0, CLASSES, self.train)
        shift = rng.integers(0, POSITIONS, self.train)
        columns = (np.arange(POSITIONS) + shift[:, None]) % POSITIONS
        x = templates[y[:, None], columns] + 0.05 * rng.normal(size=(self.train, POSITIONS))
        return make_task((x, y), None, cross_entropy(CLASSES))
