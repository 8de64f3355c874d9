"""Who trains a case, and what is said about it."""

import warnings
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from sweep_engine.kernels.fused_training import choice, cpu, reference
from sweep_engine.kernels.fused_training.choice import Disagrees, choose, self_test
from sweep_engine.kernels.native import CannotBuild
from tests.kernels.compilers import needs_compiler
from tests.kernels.fused_training.cases import CASES

CASE = CASES["ragged"]


@needs_compiler
def test_a_kernel_that_agrees_and_wins_is_taken() -> None:
    found = choose(CASE, rival=1.0)
    assert found.implementation == "cpu"
    assert found.reason.startswith("agreed with the reference to")
    assert "network-steps/s against 1" in found.reason
    assert found.train_segment is cpu.train_segment


@needs_compiler
def test_a_kernel_that_loses_is_not() -> None:
    found = choose(CASE, rival=1e12)
    assert found.implementation == "reference"
    assert found.reason.startswith("faster here")


def test_what_is_asked_for_is_taken_whoever_is_faster() -> None:
    assert choose(CASE, "cpu").reason.startswith("asked for; agreed")
    assert choose(CASE, "reference").train_segment is reference.train_segment


def test_a_kernel_for_another_device_is_refused() -> None:
    with pytest.raises(CannotBuild, match="needs a gpu, and this is a cpu"):
        choose(CASE, "cuda")


def test_without_a_compiler_auto_says_so_once_and_takes_xla(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    case = replace(CASE, num_examples=38)  # not built by another test
    with pytest.warns(RuntimeWarning, match=r"training by XLA.*no C\+\+ compiler"):
        found = choose(case)
    assert found.implementation == "reference"
    assert "no C++ compiler" in found.reason
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose(case) == found
    with pytest.raises(CannotBuild):
        choose(case, "cpu")


def wrong_rate(case, checks, state, hyper, *rest, num_records):
    hyper = hyper._replace(learning_rate=1.1 * hyper.learning_rate)
    return reference.train_segment(case, checks, state, hyper, *rest, num_records=num_records)


def one_step_too_few(case, checks, state, hyper, limits, data, segment, *, num_records):
    fewer = segment._replace(num_turns=jnp.maximum(segment.num_turns - 1, 0))
    return reference.train_segment(
        case, checks, state, hyper, limits, data, fewer, num_records=num_records
    )


@pytest.mark.parametrize("wrong", [wrong_rate, one_step_too_few])
@pytest.mark.parametrize("name", ["ragged"])
def test_the_self_test_catches_a_wrong_kernel(wrong, name, monkeypatch) -> None:
    monkeypatch.setitem(choice.TRAIN, "cpu", wrong)
    with pytest.raises(Disagrees, match="differs from the reference"):
        self_test(CASES[name], "cpu")


def test_layers_too_wide_for_the_cache_are_refused() -> None:
    with pytest.raises(CannotBuild, match="at most 1024"):
        choose(replace(CASE, widths=(3, 2048, 1)), "cpu")


def test_on_a_gpu_auto_takes_xla(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    found = choose(CASE)
    assert found.implementation == "reference"
    assert "verified" in found.reason
