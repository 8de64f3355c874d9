"""The table of observables: names, columns and what they need."""

import dataclasses
from typing import get_args

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest

from sweep_engine.columns import Column
from sweep_engine.models import build
from sweep_engine.observables import OBSERVABLES, Observable, Outcome, observables
from sweep_engine.spec.custom import Custom
from sweep_engine.spec.models import Mlp, ScalarFactorisation
from sweep_engine.spec.observables import ObservableName
from sweep_engine.store.schema import runs_schema
from sweep_engine.tasks import LOGISTIC, SQUARED, cross_entropy, make_task

BINARY = make_task((np.eye(3), np.array([0, 1, 1])), (np.eye(3) * 2, np.array([1, 1, 0])), LOGISTIC)
UNTESTED = make_task((np.eye(3), np.array([0, 1, 1])), None, LOGISTIC)
REAL = make_task((np.ones((1, 1)), np.array([2.0])), None, SQUARED)
MANY = make_task(
    (np.eye(3), np.array([0, 1, 2])), (np.eye(3), np.array([2, 1, 0])), cross_entropy(3)
)


def outcome(task, model):
    network = build(model, task.input_shape, task.loss.num_outputs())
    theta = jnp.linspace(-1, 1, network.layout.num_params)
    params = network.layout.unflatten(theta)
    return Outcome(
        theta=theta,
        params=params,
        start=theta / 2 + 1,
        network=network,
        train_inputs=jnp.asarray(task.train.x),
        train_outputs=network.apply(params, task.train.x),
        train_targets=jnp.asarray(task.train.y),
        test_outputs=None if task.test is None else network.apply(params, task.test.x),
        test_targets=None if task.test is None else jnp.asarray(task.test.y),
        loss=task.loss,
    )


def values(name):
    """What an observable gives of one network, or of two functions."""
    observable = OBSERVABLES[name]
    if observable.describe:
        return observable.describe(np.array([[0b10100000], [0]], np.uint8), 3)
    balanced = "scalar_factorisation" in observable.needs
    task, model = (REAL, ScalarFactorisation()) if balanced else (BINARY, Mlp(widths=(4,)))
    found = observable.compute(outcome(task, model))
    return {column: np.asarray(value)[None] for column, value in found.items()}


def test_every_name_of_the_sweep_file_is_an_observable():
    assert set(get_args(ObservableName)) == set(OBSERVABLES)


@pytest.mark.parametrize("name", OBSERVABLES)
def test_what_is_returned_is_what_the_columns_say(name):
    columns = OBSERVABLES[name].columns
    found = values(name)
    assert set(found) == {column.name for column in columns}
    for column in columns:
        kind = found[column.name]
        if column.dtype == "list<float32>":
            assert kind.ndim == 2
            assert kind.dtype == np.float32
        elif column.dtype == "string":
            assert all(isinstance(value, str) for value in kind)
        else:
            assert kind.dtype == column.dtype
            assert kind.ndim == 1
        field = runs_schema(observables=columns).field(column.name)
        assert len(pa.array(list(kind), field.type)) == len(kind)


@pytest.mark.parametrize("name", OBSERVABLES)
def test_every_column_says_what_it_holds(name):
    for column in OBSERVABLES[name].columns:
        assert column.meaning
        assert column.nullable


def test_all_observables_fit_in_one_table():
    chosen = observables(tuple(OBSERVABLES))
    columns = [column for observable in chosen for column in observable.columns]
    assert set(runs_schema(observables=columns).names) >= {column.name for column in columns}


def test_an_observable_named_twice_is_refused():
    with pytest.raises(ValueError, match="one is named twice"):
        observables(("norms", "norms"))


def test_a_users_own_observable():
    own = Observable((Column("size", "float32", "", "mean of theta"),), compute=mean)
    assert observables(("norms", Custom.wrap(own)))[1] is own
    with pytest.raises(ValueError, match="two observables fill one column"):
        observables((Custom.wrap(own), Custom.wrap(own)))
    with pytest.raises(ValueError, match="Observable"):
        observables((Custom.wrap(dataclasses.replace(own.columns[0])),))


def mean(outcome):
    return {"size": jnp.mean(outcome.theta)}


@pytest.mark.parametrize(
    ("name", "task", "model", "problem"),
    [
        ("norms", REAL, "linear", None),
        ("margin", BINARY, "mlp", None),
        ("margin", MANY, "mlp", None),
        ("margin", REAL, "linear", "needs a task with labels"),
        ("path", REAL, "linear", None),
        ("path", BINARY, "diagonal", "needs a model of dense layers (mlp, linear)"),
        ("confidence", MANY, "mlp", None),
        ("confidence", UNTESTED, "mlp", "needs a test set"),
        ("confidence", REAL, "linear", "needs a task with labels"),
        ("function", BINARY, "mlp", None),
        ("function", MANY, "mlp", "needs a task with two labels"),
        ("complexity", REAL, "linear", "needs a task with two labels"),
        ("balance", REAL, "scalar_factorisation", None),
        ("balance", REAL, "linear", "needs the model scalar_factorisation"),
    ],
)
def test_what_an_observable_needs(name, task, model, problem):
    assert OBSERVABLES[name].problem(task, model) == problem
