"""The density that chains have, and the sources that make no posterior."""

import dataclasses

import jax
import numpy as np
import pytest
from scipy import stats

from sweep_engine.sources import open_source
from sweep_engine.sources.bucket import Data
from sweep_engine.sources.posterior.target import Target
from sweep_engine.spec import Sweep, settings
from sweep_engine.tasks.losses import LOGISTIC, cross_entropy
from tests.statistics import assert_catches, assert_frequencies

BOOLEAN = {"kind": "boolean", "bits": 3, "train": 5}
REGRESSION = {"kind": "regression", "examples": 5, "inputs": 3}
LAWS = [
    {"kind": "gaussian", "std": 0.5},
    {"kind": "fan_in", "weight_std": 2.0, "bias_std": 0.5},
    {"kind": "fan_in"},
    {"kind": "box", "half_width": 2.0},
    {"kind": "ball", "radius": 3.0},
    {"kind": "sphere", "radius": 3.0, "per_layer": True},
    {"kind": "laplace"},
    {"kind": "student_t", "degrees_of_freedom": 3},
    {"kind": "he_truncated_normal"},
    {"kind": "glorot_uniform"},
    {"kind": "orthogonal"},
    {"kind": "layers", "layers": [{"kind": "gaussian"}, {"kind": "box"}]},
]


def opened(task=BOOLEAN, model=None, **source):
    sweep = Sweep(
        name="target",
        task=task,
        model=model or {"kind": "mlp", "widths": [4], "activation": "tanh"},
        accept={"train_loss": 0.1},
        sources={"a": {"kind": "posterior"} | source},
        execution={"lanes": 4},
    )
    (setting,) = settings(sweep)
    return open_source(setting, sweep.seed, sweep.folder, (), sweep.execution)


def target_of(programs):
    bucket = programs.bucket
    data = Data(bucket.data.train.x, bucket.data.train.y)
    return Target(programs.spec, bucket.network, bucket.task.loss, data)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law["kind"])
def test_every_continuous_law_has_a_density_with_slopes(law):
    target = target_of(opened(law=law))

    @jax.jit
    @jax.vmap
    def value_and_slopes(key):
        return jax.value_and_grad(target.log_density)(target.draw_normals(key))

    values, slopes = value_and_slopes(jax.random.split(jax.random.key(0), 8))
    assert np.isfinite(values).all()
    assert np.isfinite(slopes).all()
    assert np.count_nonzero(slopes) == slopes.size


def test_the_log_density_in_units_of_the_prior():
    """That of theta up to a constant: sums over examples, divided by temperature and noise."""
    source = {"law": {"kind": "gaussian", "std": 0.5}, "temperature": 3.0, "noise_std": 0.4}
    programs = opened(REGRESSION, {"kind": "linear"}, **source)
    target, task = target_of(programs), programs.bucket.task

    def by_hand(theta):
        residuals = task.train.x @ theta[:3] + theta[3] - task.train.y
        misfit = np.sum(residuals**2) / (2 * 0.4**2)
        return stats.norm(scale=0.5).logpdf(theta).sum() - misfit / 3.0

    z = np.random.default_rng(0).standard_normal((2, 4)).astype(np.float32)
    found = target.log_density(z[0]) - target.log_density(z[1])
    assert found == pytest.approx(by_hand(0.5 * z[0]) - by_hand(0.5 * z[1]), rel=1e-4)


def test_a_minibatch_estimates_the_log_density():
    target = target_of(opened())
    z = target.draw_normals(jax.random.key(0))
    halves = [Data(target.data.x[i : i + 1], target.data.y[i : i + 1]) for i in range(5)]
    estimates = [target.log_density(z, one) for one in halves]
    assert np.mean(estimates) == pytest.approx(float(target.log_density(z)), rel=1e-5)


@pytest.mark.parametrize("loss", [LOGISTIC, cross_entropy(3)], ids=["two labels", "three"])
def test_labels_are_drawn_from_the_likelihood(loss):
    """exp(-loss) is a probability."""
    target = dataclasses.replace(target_of(opened()), loss=loss)
    outputs = np.full((10_000, loss.num_outputs()), 0.3, np.float32)
    outputs[:, 0] = -1.0
    labels = np.asarray(target.draw_targets(jax.random.key(0), outputs))
    every = np.arange(loss.num_labels)
    expected = np.exp(-np.asarray(loss.per_example(outputs[: len(every)], every), float))
    assert expected.sum() == pytest.approx(1, abs=1e-6)
    expected /= expected.sum()
    counts = np.bincount(labels, minlength=len(every))
    assert_frequencies(counts, expected)
    assert_catches(lambda found: assert_frequencies(found, expected), lambda: counts[::-1])


REFUSED = [
    (BOOLEAN, {"noise_std": 1.0}, "noise_std: is for squared error"),
    (REGRESSION, {}, "noise_std: squared error is a likelihood only"),
    (BOOLEAN | {"loss": "squared"}, {}, "noise_std: squared error is a likelihood only"),
    (BOOLEAN, {"law": {"kind": "binary"}}, "law: binary is discrete"),
    (BOOLEAN, {"law": {"kind": "module"}}, "law: the module's own initialisers"),
    (BOOLEAN, {"law": {"kind": "box"}, "tempered_prior": True}, "tempered_prior: for Gaussian"),
    (BOOLEAN, {"start": "teacher", "temperature": 2.0}, "teacher needs temperature 1"),
    (BOOLEAN, {"start": "teacher", "tempered_prior": True}, "not a tempered one"),
    (
        BOOLEAN | {"loss": "squared"},
        {"start": "teacher", "noise_std": 1.0},
        "teacher needs real targets",
    ),
    (BOOLEAN, {"method": "sgld", "step_size": 0.1, "batch_size": 6}, "batch_size: 6 of 5"),
]


@pytest.mark.parametrize(("task", "source", "message"), REFUSED)
def test_what_is_no_posterior_is_refused_before_anything_is_compiled(task, source, message):
    with pytest.raises(ValueError, match=message):
        opened(task, **source)


SPELLED_WRONG = [
    ({"method": "sgld"}, "step_size: give one"),
    ({"warmup": 0}, "step_size: give one"),
    ({"batch_size": 2}, "batch_size is for sgld, not for nuts"),
    ({"integration_steps": 2}, "integration_steps is for hmc, not for nuts"),
    ({"method": "hmc", "max_doublings": 2}, "max_doublings is for nuts, not for hmc"),
    (
        {"method": "sgld", "step_size": 0.1, "target_acceptance": 0.9},
        "target_acceptance is for nuts and hmc, not for sgld",
    ),
]


@pytest.mark.parametrize(("source", "message"), SPELLED_WRONG)
def test_a_field_of_another_method_is_refused(source, message):
    with pytest.raises(ValueError, match=message):
        opened(**source)
