"""Every observable that a sweep file can name, or Python can give, in one table of cases.

A new kind is met by being listed in the union; `SETTINGS` says how to make it small, `SCENES`
what it can be computed of.
"""

import dataclasses
import json
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from sweep_engine.columns import Column
from sweep_engine.lanes import STEADY, Program, over_lanes
from sweep_engine.models import build, canonicalise
from sweep_engine.observables import (
    OBSERVABLES,
    FittedObservable,
    Functions,
    Observable,
    Outcome,
    columns_of,
    fit_basis,
    observables,
)
from sweep_engine.observables.needs import NEEDS
from sweep_engine.spec.base import kinds
from sweep_engine.spec.models import Diagonal, Linear, Mlp, ScalarFactorisation
from sweep_engine.spec.observables import CustomObservable, Observables, ObservableSpec
from sweep_engine.spec.observables.kind import Bare
from sweep_engine.store.schema import runs_schema
from sweep_engine.tasks import LOGISTIC, SQUARED, all_inputs, cross_entropy, make_task
from tests.sources.test_places import assert_the_same_in_every_place

BINARY = make_task(
    (np.eye(3), np.array([0, 1, 1])),
    (np.eye(3) * 2, np.array([1, 1, 0])),
    LOGISTIC,
    ood=(np.eye(3) - 1, np.array([0, 1, 0])),
)
UNTESTED = make_task((np.eye(3), np.array([0, 1, 1])), None, LOGISTIC)
REAL = make_task((np.ones((1, 1)), np.array([2.0])), None, SQUARED)
MANY = make_task(
    (np.eye(3), np.array([0, 1, 2])), (np.eye(3), np.array([2, 1, 0])), cross_entropy(3)
)
BITS = make_task(
    (all_inputs(2), np.array([0, 1, 1, 0])),
    None,
    LOGISTIC,
    probe_inputs=np.arange(4),
    finite=True,
)
TASKS = (BINARY, UNTESTED, REAL, MANY, BITS)
LINEAR = Mlp(widths=(3, 2), activation="linear")
MODELS = (Mlp(widths=(4,)), Diagonal(), ScalarFactorisation())
SCENES = ((BINARY, MODELS[0]), (REAL, ScalarFactorisation()), (BITS, MODELS[0]), (REAL, LINEAR))
"""Tasks and models: every observable can be computed in one of them."""

KNOWN = (
    "needs a model of which is known what gradient flow conserves: mlp with activation relu or "
    "linear and no norm, deep_linear, matrix_factorisation, diagonal, scalar_factorisation"
)

DENSE = "needs a model of dense layers, such as mlp: no canonical form or path norm is known of"


def mean(outcome):
    return {"mean": jnp.mean(outcome.theta)}


OWN = Observable((Column("mean", "float32", "", "mean of theta"),), compute=mean)
SETTINGS = {
    "flatness": [{"steps": 4, "probes": 2, "ascent_steps": 2}],
    "local_volume": [
        {"directions": 4, "preconditioners": ["law"]},
        {
            "directions": 4,
            "cost": "error",
            "law": {"kind": "box"},
            "preconditioners": ["low_rank"],
        },
    ],
    "learning_coefficient": [{"chains": 2, "steps": 8}],
    "smoothness": [
        {"points": 4, "lines": 2},
        {"on": "plane", "points": 3},
        {"on": "grid", "points": 3},
    ],
    "volume_exponent": [{"draws": 100, "quantile": 0.1}],
    "lifting": [{}, {"projections": 2}],
    "normalised_loss": [{}, {"by": ["spectral", "path", "lipschitz"]}],
    "kernel_movement": [{}, {"inputs": "test", "examples": 2}],
    "calibration": [{"sets": ["test", "ood", "far"], "draws": 4}],
    "coordinates": [
        {"method": "random"},
        {"method": "random", "canonical": False, "components": 3},
        {"fitted_on": "sgd"},
        {"fitted_on": "sgd", "scaling": True, "components": 1},
    ],
}
"""Of the kinds with settings: small ones, where the defaults are expensive or are none."""


def _specs(kind):
    if kind is CustomObservable:
        return [CustomObservable.wrap(OWN)]
    return [kind(**fields) for fields in SETTINGS.get(kind.model_fields["kind"].default, [{}])]


SPECS = [spec for kind in kinds(ObservableSpec) for spec in _specs(kind)]
LANES = 8


def _numbers(chosen):
    numbers = [number for number, spec in enumerate(SPECS) if chosen(spec)]
    return pytest.mark.parametrize("number", numbers, ids=lambda number: SPECS[number].kind)


every_observable = _numbers(lambda spec: True)
every_one_of_canonical_form = _numbers(lambda spec: "dense" in observables((spec,))[0].needs)


def outcome(task, model, theta, start):
    network = build(model, task.input_shape, task.loss.num_outputs())
    params = network.layout.unflatten(theta)
    return Outcome(
        theta=theta,
        params=params,
        start=start,
        network=network,
        train_inputs=jnp.asarray(task.train.x),
        train_outputs=network.apply(params, task.train.x),
        train_targets=jnp.asarray(task.train.y),
        test_inputs=None if task.test is None else jnp.asarray(task.test.x),
        test_outputs=None if task.test is None else network.apply(params, task.test.x),
        test_targets=None if task.test is None else jnp.asarray(task.test.y),
        loss=task.loss,
        curvature_limit=jnp.float32(2.0),
        ood_inputs=None if task.ood is None else jnp.asarray(task.ood.x),
        ood_targets=None if task.ood is None else jnp.asarray(task.ood.y),
    )


def scene_of(observable):
    """A task and a model that it can be computed of."""
    return next(scene for scene in SCENES if observable.problem(*scene) is None)


def num_params(task, model):
    return build(model, task.input_shape, task.loss.num_outputs()).layout.num_params


@cache
def made(number):
    """The observable of a case, with a basis where it needs one."""
    (observable,) = observables((SPECS[number],))
    if not isinstance(observable, FittedObservable):
        return observable
    size = num_params(*scene_of(observable))
    points = np.random.default_rng(5).normal(size=(observable.components + 2, size))
    return observable.on_basis(fit_basis(points, observable.components))


@cache
def program(number):
    """What computes a block, as `Bucket.observe` does; compiled once for all tests."""
    observable = made(number)
    scene = scene_of(observable)
    return Program(
        over_lanes(lambda theta, start: observable.compute(outcome(*scene, theta, start))),
        options=STEADY,
    )


def block(observable):
    """theta and start of every lane."""
    shape = (2, LANES, num_params(*scene_of(observable)))
    return tuple(np.random.default_rng(4).normal(size=shape).astype(np.float32))


def values(number):
    """What an observable gives of a few networks, or of two functions."""
    observable = made(number)
    if observable.describe:
        return observable.describe(Functions(np.array([[0b10100000], [0]], np.uint8), 4))
    found = program(number)(*block(observable))
    return {name: np.asarray(value) for name, value in found.items()}


def filled_elsewhere(observable):
    """The columns that have values in other scenes: some are of linear networks alone."""
    filled = set()
    for scene in filter(lambda scene: observable.problem(*scene) is None, SCENES):
        theta = jax.ShapeDtypeStruct((num_params(*scene),), np.float32)
        shapes = jax.eval_shape(
            lambda theta, scene=scene: observable.compute(outcome(*scene, theta, theta)), theta
        )
        filled |= set(shapes)
    return filled


@every_observable
def test_what_is_returned_is_what_the_columns_say(number):
    spec, observable, found = SPECS[number], made(number), values(number)
    names = {column.name for column in observable.columns}
    assert set(found) == names or set(found) | filled_elsewhere(observable) == names
    assert columns_of(spec) == [(column.name, column.dtype) for column in observable.columns]
    for column in observable.columns:
        if column.name not in found:
            continue
        cells = found[column.name]
        if column.dtype == "list<float32>":
            assert cells.ndim == 2
            assert cells.dtype == np.float32
        elif column.dtype == "string":
            assert all(isinstance(cell, str) for cell in cells)
        else:
            assert cells.ndim == 1
            assert cells.dtype == column.dtype
        field = runs_schema(observables=observable.columns).field(column.name)
        assert len(pa.array(list(cells), field.type)) == len(cells)


@every_observable
def test_every_column_says_what_it_holds(number):
    for column in made(number).columns:
        assert column.meaning
        assert column.nullable
        assert column.name.replace("_", "").isalnum()
        assert column.name.islower()
        assert column.unit in {"", "nats", "bits", "inputs", "lines", "units", "cycles"}


@every_observable
def test_it_is_a_pure_function_of_one_network(number):
    """The same bits whatever the lane and the neighbours, and again."""
    observable = made(number)
    if observable.describe:
        functions = np.array([[3], [200], [7]], np.uint8)
        whole = observable.describe(Functions(functions, 8))
        alone = observable.describe(Functions(functions[1:2], 8))
        assert all(np.array_equal(whole[name][1], value[0]) for name, value in alone.items())
        return
    assert_the_same_in_every_place(program(number), block(observable), turns=1)


@every_one_of_canonical_form
def test_equal_networks_have_equal_values(number):
    """What needs a chain of dense layers does not tell the points of an orbit apart."""
    observable = made(number)
    task, model = scene_of(observable)
    network = build(model, task.input_shape, task.loss.num_outputs())
    theta, start = block(observable)
    form = np.asarray(jax.vmap(lambda row: canonicalise(network, row).theta)(theta))
    assert not np.array_equal(form, theta)
    found, moved = (program(number)(points, start) for points in (theta, form))
    for name, value in found.items():
        # Sums of up to 20 terms of order 1, in another order.
        np.testing.assert_allclose(moved[name], value, rtol=1e-5, atol=1e-5, err_msg=name)


@every_observable
def test_it_comes_back_from_sweep_json(number):
    spec, adapter = SPECS[number], TypeAdapter(Observables)
    stored = adapter.dump_json((spec,))
    again = adapter.validate_json(stored, context="stored")
    assert [type(one) for one in again] == [type(spec)]
    assert adapter.dump_json(again) == stored
    if isinstance(spec, Bare):
        assert json.loads(stored) == [spec.kind]


@every_observable
def test_what_it_does_not_suit_is_refused_in_words(number):
    for task in TASKS:
        for model in MODELS:
            problem = made(number).problem(task, model)
            assert problem is None or problem.startswith("needs ")


@every_observable
def test_a_plane_is_spanned_by_two_of_its_columns(number):
    plane = SPECS[number].projection_plane
    names = {column.name for column in made(number).columns}
    assert plane is None or (set(plane.columns) <= names and plane.point and plane.plane)


def test_the_fitted_ones_wait_for_their_source():
    for spec in SPECS:
        (observable,) = observables((spec,))
        assert (
            observable.is_late
            == (spec.fit_source is not None)
            == (isinstance(observable, FittedObservable))
        )


def test_all_observables_fit_in_one_table():
    """One of each kind, with the first of its settings."""
    chosen = {type(spec): spec for spec in reversed(SPECS)}
    assert set(chosen) == set(OBSERVABLES)
    columns = [column for made in observables(tuple(chosen.values())) for column in made.columns]
    assert set(runs_schema(observables=columns).names) >= {column.name for column in columns}


def test_an_observable_named_twice_is_refused():
    with pytest.raises(ValueError, match="one is named twice"):
        observables(("norms", "norms"))


def test_a_users_own_observable():
    own = CustomObservable.wrap(OWN)
    assert observables(("norms", own))[1] is OWN
    assert observables(("norms", OWN))[1] is OWN
    with pytest.raises(ValueError, match="two observables fill one column"):
        observables((own, own))
    with pytest.raises(ValueError, match="Observable"):
        observables((CustomObservable.wrap(OWN.columns[0]),))


@pytest.mark.parametrize(
    ("name", "task", "model", "problem"),
    [
        ("norms", REAL, Mlp(), None),
        ("margin", BINARY, Mlp(), None),
        ("margin", MANY, Mlp(), None),
        ("margin", REAL, Mlp(), "needs a task with labels"),
        ("path", REAL, Mlp(), None),
        (
            "path",
            BINARY,
            Diagonal(),
            f"{DENSE} diagonal",
        ),
        (
            "symmetry",
            BINARY,
            Mlp(norm="rms"),
            f"{DENSE} mlp with a norm",
        ),
        ("confidence", MANY, Mlp(), None),
        ("confidence", UNTESTED, Mlp(), "needs a test set"),
        ("confidence", REAL, Mlp(), "needs a task with labels"),
        ("function", BINARY, Mlp(), None),
        ("function", MANY, Mlp(), "needs a task with two labels"),
        ("complexity", MANY, Mlp(), None),
        ("complexity", REAL, Mlp(), "needs a task with labels, or a probe with levels"),
        ("compression", REAL, Mlp(), "needs a task with labels, or a probe with levels"),
        ("spectrum", BITS, Mlp(), None),
        ("spectrum", MANY, Mlp(), "needs a task with two labels"),
        ("distance", UNTESTED, Diagonal(), None),
        ("balance", REAL, ScalarFactorisation(), None),
        ("balance", REAL, Mlp(), "needs the model scalar_factorisation"),
        ("conservation", REAL, Mlp(activation="linear"), None),
        ("conservation", BINARY, Diagonal(), None),
        ("conservation", REAL, Mlp(activation="tanh"), KNOWN),
        ("conservation", REAL, Linear(), KNOWN),
        ("lifting", REAL, Mlp(activation="gelu"), KNOWN),
        ("lifting", REAL, Mlp(activation="linear", widths=(4096,)), None),
        (
            "lifting",
            BINARY,
            Mlp(widths=(64, 64)),
            "needs at most 4,096 coordinates of phi, and here are 16,449: give it `projections`",
        ),
        (
            "intrinsic_dynamics",
            BINARY,
            Mlp(widths=(10, 4)),
            "needs at most 128 parameters and coordinates of phi, and here are 89 and 165",
        ),
        ("kernel_movement", REAL, Mlp(activation="tanh"), None),
        (
            "alignment",
            REAL,
            Linear(),
            "needs a chain of dense layers with hidden ones, such as mlp",
        ),
        ("alignment", REAL, Mlp(widths=(1,), bias=False), None),
    ],
)
def test_what_an_observable_needs(name, task, model, problem):
    assert observables((name,))[0].problem(task, model) == problem


def test_a_need_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="no need 'label'; did you mean 'labels'"):
        dataclasses.replace(OWN, needs=("label",))
    assert dataclasses.replace(OWN, needs=tuple(NEEDS)).problem(REAL, Mlp())
