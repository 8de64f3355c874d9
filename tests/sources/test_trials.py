"""What a race between a kernel and XLA times is work that has been done."""

import dataclasses

import jax
import numpy as np
import pytest

from sweep_engine.lanes import Program
from sweep_engine.sources import KINDS, kind_of, open_source
from sweep_engine.spec import settings
from tests.sources.conformance import CASES, sweep_of

TRIED = ["sgd", "all", "guess", "rare", "bayes"]


@dataclasses.dataclass
class Pending:
    """A result of a program as JAX hands it out: its size is known before it is computed."""

    value: jax.Array
    is_done: bool = False

    @property
    def size(self):
        return self.value.size

    def block_until_ready(self):
        self.is_done = True
        return self

    def __array__(self, dtype=None, copy=None):
        self.is_done = True
        return np.asarray(self.value, dtype)


def opened(name):
    sweep = sweep_of({name: CASES[name]})
    (setting,) = settings(sweep)
    return open_source(setting, sweep.seed, sweep.folder, sweep.observables, sweep.execution)


def test_every_kind_that_has_kernels_is_tried():
    tried = {type(opened(name).bucket.setting.spec) for name in TRIED}
    assert tried == {spec for spec, kind in KINDS.items() if kind.trial is not None}


@pytest.mark.parametrize("name", TRIED)
def test_a_rehearsal_waits_for_every_call(name, monkeypatch):
    programs, results = opened(name), []
    compute = Program.__call__

    def call(self, *arguments):
        results.append(jax.tree.map(Pending, compute(self, *arguments)))
        return results[-1]

    rehearsal = kind_of(programs).trial.rehearse(programs, 32)
    monkeypatch.setattr(Program, "__call__", call)
    assert rehearsal(0).units > 0
    assert results
    assert all(any(leaf.is_done for leaf in jax.tree.leaves(found)) for found in results)
