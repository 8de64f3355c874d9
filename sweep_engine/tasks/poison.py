"""Wrong labels in the training set: of its own examples, or of some that are added to it."""

from dataclasses import replace

import numpy as np

from sweep_engine.keys import data_rng
from sweep_engine.spec.task_kind import Poison
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


def relabelled(task: Task, share: float, seed: int) -> Task:
    """Give a share of the training examples, rounded to a whole number of them, another label.

    The new label is any other one, equally likely; the test set stays as it is.

    Raises:
        ValueError: the task has no labels, or the share is less than half an example.
    """
    num_labels, y = task.loss.num_labels, task.train.y
    if num_labels is None:
        raise ValueError("label_noise: this task has no labels to change")
    count = round(share * len(y))
    if not count:
        raise ValueError(f"label_noise: {share:g} of {len(y)} examples is none of them")
    rng = data_rng(seed, "label_noise")
    chosen = rng.permutation(len(y))[:count]
    shift = rng.integers(1, num_labels, len(y))[chosen]
    wrong = y.copy()
    wrong[chosen] = (y[chosen] + shift) % num_labels
    return replace(task, train=Examples(task.train.x, wrong))
