"""Poisoned training sets: examples with wrong labels are added."""

from dataclasses import replace

import numpy as np

from sweep_engine.keys import data_rng
from sweep_engine.spec.tasks import Poison
from sweep_engine.tasks.task import Examples, Task


def poisoned(task: Task, poison: Poison, seed: int) -> Task:
    """Add inputs of the test set, wrongly labelled, to the training set.

    The wrong label is any other one, equally likely. The test set stays as it is, and so do
    the probe inputs: functions are those of the same inputs as without poison.

    Raises:
        ValueError: the task has no labels, or not so many test examples.

    Source:
        Liu, Papailiopoulos & Achlioptas (2020), Bad global minima exist and SGD can reach them.
    """
    num_test = len(task.test) if task.test else 0
    if task.test is None or poison.examples > num_test:
        raise ValueError(f"poison: asks for {poison.examples} test examples of {num_test}")
    if task.loss.num_labels is None:
        raise ValueError("poison: this task has no labels to spoil")
    rng = data_rng(seed, "poison")
    chosen = rng.permutation(num_test)[: poison.examples]
    shift = rng.integers(1, task.loss.num_labels, num_test)[chosen]
    wrong = ((task.test.y[chosen] + shift) % task.loss.num_labels).astype(task.train.y.dtype)
    train = Examples(
        np.concatenate([task.train.x, task.test.x[chosen]]), np.concatenate([task.train.y, wrong])
    )
    is_test = task.probe_inputs >= len(task.train)
    probe_inputs = np.where(is_test, task.probe_inputs + len(chosen), task.probe_inputs)
    return replace(task, train=train, probe_inputs=probe_inputs)
