"""The sweep as a whole: the contract's file, Python objects, `sweep.json`, and its identity."""

import copy
import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax.linen as nn
import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweep_engine.errors import SpecError
from sweep_engine.planning import plan
from sweep_engine.spec import Comparison, Sweep, dump_sweep, load, restore, settings, spec_id
from sweep_engine.spec.axes import Axis, Sobol
from sweep_engine.spec.base import NAME_PATTERN
from sweep_engine.spec.custom import Custom, TracedCustom
from sweep_engine.spec.laws import Ball, Box, FanIn, Gaussian, Initialiser, ModuleInit, Sphere
from sweep_engine.spec.models import Diagonal, Linear, Mlp, ScalarFactorisation
from sweep_engine.spec.sources import Accept, GuessAndCheck, Prior, Stop, Train
from sweep_engine.spec.sources.acceptance import Bin
from sweep_engine.spec.sources.optimizers import (
    Adam,
    Constant,
    Cosine,
    Langevin,
    RmsProp,
    Sgd,
    StepDecay,
    WarmUp,
)
from sweep_engine.spec.sweep import Execution, Store
from sweep_engine.spec.tasks import Boolean, Digits, Factorisation, Planar, Regression

CONTRACT = """\
name: boolean-x1
seed: 0
task: {kind: boolean, bits: 7, target: x1, train: 16}
model: {kind: mlp, widths: [40, 40], activation: relu, bias: true}
sources:
  sgd:
    kind: train
    init: {kind: lecun_normal, scale: 1.0}
    optimizer: {kind: sgd, learning_rate: 0.1, momentum: 0.9, weight_decay: 0.0}
    batch_size: 16
    stop: {max_steps: 20000, fit: true, check_every: 4, extra_steps: 0}
    runs: 4096
  box:
    kind: prior
    law: {kind: box, half_width: 1.0}
    draws: 1000000
    keep: 4096
  box_fit:
    kind: guess_and_check
    law: {kind: box, half_width: 1.0}
    draws: 10000000
accept: {train_error: 0.0}
axes:
  sources.sgd.optimizer.learning_rate: {log_uniform: [0.01, 1.0], points: 8}
  model.widths: [[40, 40], [20, 20, 20]]
observables: [norms, function, complexity]
store: {params: all}
execution: {precision: exact, implementation: auto}
compare:
  - {source: sgd, reference: box_fit, observable: function, given: fit}
  - {source: sgd, reference: box, observable: l2_norm, by: sources.sgd.optimizer.learning_rate}
"""


def in_python() -> Sweep:
    """The contract's file, in Python."""
    return Sweep(
        name="boolean-x1",
        seed=0,
        task=Boolean(bits=7, target="x1", train=16),
        model=Mlp(widths=(40, 40), activation="relu", bias=True),
        sources={
            "sgd": Train(
                init=Initialiser(kind="lecun_normal", scale=1.0),
                optimizer=Sgd(learning_rate=0.1, momentum=0.9),
                batch_size=16,
                stop=Stop(max_steps=20000, fit=True, check_every=4, extra_steps=0),
                runs=4096,
            ),
            "box": Prior(law=Box(half_width=1.0), draws=1_000_000, keep=4096),
            "box_fit": GuessAndCheck(law=Box(half_width=1.0), draws=10_000_000),
        },
        accept=Accept(train_error=0.0),
        axes={
            "sources.sgd.optimizer.learning_rate": Axis(log_uniform=(0.01, 1.0), points=8),
            "model.widths": [(40, 40), (20, 20, 20)],
        },
        observables=("norms", "function", "complexity"),
        store=Store(params="all"),
        execution=Execution(precision="exact", implementation="auto"),
        compare=(
            Comparison(source="sgd", reference="box_fit", observable="function", given="fit"),
            Comparison(
                source="sgd",
                reference="box",
                observable="l2_norm",
                by="sources.sgd.optimizer.learning_rate",
            ),
        ),
    )


@pytest.fixture
def contract(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(CONTRACT)
    return load(path)


def plain(**changes: Any) -> dict[str, Any]:
    return {
        "name": "small",
        "task": {"kind": "boolean"},
        "model": {"kind": "mlp"},
        "sources": {"sgd": {"kind": "train", "runs": 3}},
        **changes,
    }


# --- the contract -------------------------------------------------------------------------


def test_the_contracts_file_is_what_it_says(contract):
    sgd, box, box_fit = contract.sources.values()
    assert contract.task == Boolean(bits=7, target="x1", train=16)
    assert contract.model.widths == (40, 40)
    assert sgd.stop.max_steps == 20000
    assert sgd.optimizer.momentum == 0.9
    assert (box.draws, box.keep, box.law.half_width) == (1_000_000, 4096, 1.0)
    assert (box_fit.draws, box_fit.accepted) == (10_000_000, None)
    assert contract.accept_of("box") == Accept(train_error=0.0)
    assert contract.compare[1].given == "all"
    by_source = [setting.source for setting in settings(contract)]
    assert [by_source.count(name) for name in contract.sources] == [8 * 2, 2, 2]


def test_a_file_and_python_objects_are_the_same(contract):
    built = in_python()
    assert dump_sweep(built) == dump_sweep(contract)
    assert spec_id(built) == spec_id(contract)
    assert [s.id for s in settings(built)] == [s.id for s in settings(contract)]


def test_a_source_may_override_the_rule():
    rule = Accept(train_loss=0.1)
    sweep = Sweep(
        name="a",
        task=Boolean(),
        model=Linear(),
        sources={"own": Train(runs=1, accept=rule), "common": Train(runs=1)},
    )
    assert sweep.accept_of("own") == rule
    assert sweep.accept_of("common") == Accept(train_error=0.0)


def test_a_sweep_cannot_be_changed(contract):
    with pytest.raises(ValidationError, match="frozen"):
        contract.seed = 1


KINDS = ("train", "flow", "prior", "guess_and_check", "splitting", "posterior", "snapshot")


def test_json_schema():
    schema = Sweep.model_json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert set(schema["required"]) == {"name", "task", "model", "sources"}
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(Sweep.model_fields)
    assert schema["properties"]["name"]["pattern"] == NAME_PATTERN
    (source,) = schema["properties"]["sources"]["patternProperties"].values()
    assert set(source["discriminator"]["mapping"]) == set(KINDS)
    train = schema["$defs"]["Train"]["properties"]
    assert train["runs"]["minimum"] == 1
    assert {"init", "optimizer", "batch_size", "stop", "accept"} <= set(train)


def test_json_schema_allows_an_axis_as_a_list():
    axis = Sweep.model_json_schema()["$defs"]["Axes"]["additionalProperties"]
    assert "array" in {option.get("type") for option in axis.get("anyOf", [])}


def test_json_schema_knows_the_short_form_of_a_comparison():
    """And a reference that is left out: both stand in files that are read."""
    schema = Sweep.model_json_schema()["$defs"]["Comparison"]
    short = {"source": "sgd", "correlate": ["a", "b"]}
    for good in (short, {"source": "sgd", "observable": "networks"}):
        jsonschema.validate(good, {**schema, "$defs": Sweep.model_json_schema()["$defs"]})
        assert Comparison.model_validate(good).reference == "sgd"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"source": "sgd"}, schema)


# --- sweep -> sweep.json -> sweep ----------------------------------------------------------

positive = st.floats(1e-6, 1e6)
non_negative = st.just(0.0) | positive
fraction = st.floats(0, 0.999).map(lambda share: share if share > 1e-30 else 0.0)
counts = st.integers(1, 2**31 - 1)
few = st.integers(1, 2**14)  # of a task, which is held in memory
names = st.from_regex(r"\A[a-z0-9][a-z0-9_-]{0,20}\Z").map(lambda name: f"s{name}")
reals = st.floats(-1e6, 1e6).map(lambda real: real if abs(real) > 1e-30 else 0.0)

laws = st.one_of(
    st.builds(Box, half_width=positive, shared=st.booleans()),
    st.builds(Ball, radius=positive),
    st.builds(Sphere, radius=positive),
    st.builds(Gaussian, std=positive),
    st.builds(FanIn, weight_std=positive, bias_std=non_negative),
    st.builds(Initialiser, kind=st.sampled_from(["he_normal", "glorot_uniform"]), scale=positive),
    st.builds(ModuleInit, scale=positive),
)
schedules = st.one_of(
    st.builds(Constant),
    st.builds(Cosine, steps=counts, final_fraction=non_negative),
    st.builds(WarmUp, steps=counts),
    st.builds(StepDecay, every=counts, factor=positive),
)
optimizers = st.one_of(
    st.builds(Sgd, learning_rate=positive, momentum=fraction, schedule=schedules),
    st.builds(Adam, kind=st.sampled_from(["adam", "adamw"]), b1=fraction, l2=non_negative),
    st.builds(RmsProp, decay=fraction, eps=positive),
    st.builds(Langevin, temperature=non_negative),
)
rules = st.one_of(
    st.builds(Accept, train_error=non_negative),
    st.builds(Accept, train_loss=non_negative),
    st.builds(Accept, max_residual=positive),
    st.builds(Accept, margin=st.builds(Bin, above=non_negative), normalise=st.just("path")),
)
stops = st.builds(
    Stop,
    max_steps=counts,
    fit=st.booleans(),
    train_loss=st.none() | positive,
    check_every=st.none() | counts,
)
sources = st.one_of(
    st.builds(
        Train,
        init=laws,
        optimizer=optimizers,
        batch_size=st.just("full") | counts,
        stop=stops,
        runs=counts,
        accept=st.none() | rules,
    ),
    st.builds(Prior, law=laws, draws=counts, keep=st.sampled_from(["all", "fit", "none"]) | counts),
    st.builds(GuessAndCheck, law=laws, draws=counts),
    st.builds(GuessAndCheck, law=laws, accepted=counts, max_draws=counts),
)
tasks = st.one_of(
    st.builds(Boolean, bits=st.integers(5, 16), target=st.text(max_size=20)),
    st.builds(Boolean, train=st.lists(st.integers(0, 127), min_size=1, unique=True).map(tuple)),
    st.builds(Regression, examples=few, inputs=few, noise=non_negative),
    st.lists(reals, min_size=1, max_size=4).map(
        lambda y: Regression(x=tuple((v, 1.0) for v in y), y=tuple(y))
    ),
    st.builds(Factorisation, target=reals),
    st.builds(Planar, set=st.sampled_from(["two_slab", "kink"]), margin=st.floats(0, 0.99)),
    st.builds(Digits, classes=st.sampled_from([(0, 1), tuple(range(10))])),
)
models = st.one_of(
    st.builds(Mlp, widths=st.lists(counts, min_size=1, max_size=3).map(tuple)),
    st.builds(Linear, bias=st.booleans()),
    st.builds(Diagonal),
    st.builds(ScalarFactorisation),
)
paths = names.map(lambda name: f"model.{name}")
values = st.lists(st.one_of(reals, st.integers(), st.text(), st.lists(counts)), min_size=1)
axes = st.one_of(
    values.map(lambda listed: Axis(values=tuple(listed))),
    st.builds(Axis, log_grid=st.just((0.1, 1.0)), points=st.integers(1, 10**6)),
    st.builds(Axis, integer=st.just((1, 5)), points=st.integers(1, 10**6)),
)
sobols = st.builds(
    Sobol,
    points=st.integers(1, 10**6),
    over=st.dictionaries(paths, st.just(Axis(uniform=(0.0, 1.0))), min_size=1, max_size=3),
)


@st.composite
def sweeps(draw):
    crossed = draw(st.dictionaries(paths, axes, max_size=3))
    groups = {
        "zip": draw(st.lists(st.dictionaries(paths, axes, min_size=1, max_size=2), max_size=2)),
        "sobol": draw(st.lists(sobols, max_size=2)),
    }
    return Sweep(
        name=draw(names),
        seed=draw(st.integers(0, 2**63 - 1)),
        task=draw(tasks),
        model=draw(models),
        sources=draw(st.dictionaries(names, sources, min_size=1, max_size=3)),
        accept=draw(rules),
        axes={**crossed, **groups},
        observables=tuple(draw(st.lists(st.sampled_from(["norms", "margin"]), unique=True))),
        store=Store(params=draw(st.sampled_from(["all", "fit", "none"]))),
    )


@given(sweep=sweeps())
@hypothesis_settings(deadline=None, max_examples=60)
def test_a_sweep_survives_sweep_json(sweep):
    data = json.loads(json.dumps(dump_sweep(sweep), allow_nan=False))
    again = restore(data, Path("elsewhere"))
    assert dump_sweep(again) == data
    assert spec_id(again) == spec_id(sweep)
    assert again.folder == Path("elsewhere")


# --- identity -----------------------------------------------------------------------------


def leaves(data: Any, path: tuple = ()) -> list[tuple]:
    """The paths of all scalars in nested dicts and lists."""
    items: Any = []
    if isinstance(data, dict):
        items = data.items()
    elif isinstance(data, list):
        items = enumerate(data)
    elif data is not None:
        return [path]
    return [leaf for key, value in items for leaf in leaves(value, (*path, key))]


WORDS = ["tanh", "zero_one", "plus_minus", "squared", "with_replacement", "he_normal", "fit",
         "all", "margin", "distance", "balance", "fast", "reference", "adamw", "none"]  # fmt: skip


def others(value: Any) -> list[Any]:
    """Other values that may stand in a field's place."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, str):
        return [word for word in [*WORDS, value + "x"] if word != value]
    return [value + 1, value / 2 + 0.01]


def with_leaf(data: Any, path: tuple, value: Any) -> Any:
    changed = copy.deepcopy(data)
    target = changed
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return changed


def test_spec_id_changes_with_every_field(contract):
    data = dump_sweep(contract)
    seen = {spec_id(contract): "as it is"}
    for path in leaves(data):
        if path[-1] == "kind":
            continue
        for value in others(functools.reduce(lambda part, key: part[key], path, data)):
            try:
                changed = restore(with_leaf(data, path, value), Path())
            except ValidationError:
                continue
            assert seen.setdefault(spec_id(changed), path) == path
            break
        else:
            pytest.fail(f"no other value found for {path}")
    assert len(seen) > 50


def test_spec_id_does_not_depend_on_the_order_of_keys(contract):
    def reverse(data: Any) -> Any:
        if isinstance(data, dict):
            return {key: reverse(data[key]) for key in reversed(data)}
        return [reverse(item) for item in data] if isinstance(data, list) else data

    backwards = Sweep.model_validate(reverse(dump_sweep(contract)))
    assert list(backwards.sources) == ["box_fit", "box", "sgd"]
    assert spec_id(backwards) == spec_id(contract)


# --- strictness ---------------------------------------------------------------------------

BAD = {
    "a string for a number": {"seed": "1"},
    "a number for a string": {"name": 7},
    "a float for an integer": {"seed": 1.0},
    "a bool for an integer": {"seed": True},
    "a bool for a float": {"accept": {"train_error": False}},
    "an integer for a bool": {"model": {"kind": "mlp", "bias": 1}},
    "a string for a bool": {"model": {"kind": "mlp", "bias": "true"}},
    "nan": {"accept": {"train_loss": float("nan")}},
    "infinity": {"accept": {"train_loss": float("inf")}},
    "a negative seed": {"seed": -1},
    "a seed of 64 bits": {"seed": 2**63},
    "no runs": {"sources": {"sgd": {"kind": "train", "runs": 0}}},
    "no draws": {"sources": {"box": {"kind": "prior", "draws": 0}}},
    "no sources": {"sources": {}},
    **{
        f"a source that readers do not take for text: {name}": {
            "sources": {name: {"kind": "prior", "draws": 1}}
        }
        for name in (
            "7",
            "007",
            "1e5",
            "1_000",
            "0x1f",
            "2024-01-01",
            "20240101t000000z",
            "nan",
            "inf",
            "true",
            "null",
            "1d",
        )
    },
    "no widths": {"model": {"kind": "mlp", "widths": []}},
    "a zero width": {"model": {"kind": "mlp", "widths": [0]}},
    "an unknown key": {"sed": 1},
    "an unknown key below": {"model": {"kind": "mlp", "width": [3]}},
    "an unknown kind": {"model": {"kind": "transformer"}},
    "an unknown observable": {"observables": ["charm"]},
    "a key of another kind": {"model": {"kind": "linear", "widths": [3]}},
    "both draws and accepted": {
        "sources": {"g": {"kind": "guess_and_check", "draws": 1, "accepted": 1}}
    },
    "neither draws nor accepted": {"sources": {"g": {"kind": "guess_and_check"}}},
    "too many training inputs": {"task": {"kind": "boolean", "bits": 2, "train": 5}},
    "a training input twice": {"task": {"kind": "boolean", "train": [1, 1]}},
    "an input that is not there": {"task": {"kind": "boolean", "bits": 2, "train": [4]}},
    "x without y": {"task": {"kind": "regression", "x": [[1.0]]}},
    "ragged rows": {"task": {"kind": "regression", "x": [[1.0], [1.0, 2.0]], "y": [0.0, 1.0]}},
    "one digit": {"task": {"kind": "digits", "classes": [1]}},
    "one digit twice": {"task": {"kind": "digits", "classes": [1, 1]}},
    "a file elsewhere": {"task": {"kind": "file", "path": "../x.npz", "train": 1}},
    "a file from the root": {"task": {"kind": "file", "path": "/x.npz", "train": 1}},
    "a pickle": {"task": {"kind": "file", "path": "x.pkl", "train": 1}},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD.keys())
def test_what_does_not_fit_is_refused(changes):
    Sweep.model_validate(plain())
    with pytest.raises(ValidationError):
        Sweep.model_validate(plain(**changes))


def test_the_least_and_the_greatest_seed():
    for seed in (0, 2**63 - 1):
        assert Sweep.model_validate(plain(seed=seed)).seed == seed


BAD_NAMES = ["", "../up", "..", ".hidden", "a/b", "a\\b", "A", "a b", "a\n", "é", "-a", "a" * 65]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_cannot_lead_elsewhere(name):
    with pytest.raises(ValidationError):
        Sweep.model_validate(plain(name=name))
    with pytest.raises(ValidationError):
        Sweep.model_validate(plain(sources={name: {"kind": "train", "runs": 1}}))


@pytest.mark.parametrize(
    "rule", [{"train_error": 0.0, "train_loss": 0.1}, {"train_loss": 1.0, "max_residual": 0.1}]
)
def test_several_acceptance_rules_at_once(rule):
    assert Accept.model_validate(rule).rules == tuple(rule)


def test_no_acceptance_rule():
    with pytest.raises(ValidationError, match="give one or more of train_error"):
        Accept.model_validate({})


def test_every_problem_is_reported_with_its_place(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(
        "name: ../up\n"
        "seed: '1'\n"
        "task: {kind: boolean, bits: 0}\n"
        "model: {kind: mlp, widhts: [3]}\n"
        "sources: {sgd: {kind: train, runs: 0}}\n"
    )
    with pytest.raises(SpecError) as caught:
        load(path)
    lines = [problem.removeprefix(f"{path}:").split(":")[0] for problem in caught.value.problems]
    assert lines == ["1", "2", "3", "4", "5"]
    assert "did you mean 'widths'" in caught.value.problems[3]


# --- a user's own classes -------------------------------------------------------------------


class Scaled(nn.Module):
    width: int = 3
    activation: Callable = nn.relu

    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(self.activation(nn.Dense(self.width)(x)))


@dataclasses.dataclass(frozen=True)
class Noisy:
    level: float
    table: np.ndarray = dataclasses.field(default_factory=lambda: np.arange(3))

    def load(self, seed):
        raise AssertionError("describing a task does not load it")


@dataclasses.dataclass(frozen=True)
class One:
    size: int


@dataclasses.dataclass(frozen=True)
class Other:
    size: int


@dataclasses.dataclass(frozen=True)
class Holder:
    part: Any


def custom_sweep(**changes: Any) -> Sweep:
    return Sweep(**plain(**{"task": Noisy(0.5), "model": Scaled(width=7), **changes}))


def test_a_users_own_objects_are_described():
    sweep = custom_sweep()
    assert sweep.model.target == f"{__name__}:Scaled"
    assert sweep.model.fields == {"width": 7, "activation": f"{nn.relu.__module__}:relu"}
    assert sweep.model.value == Scaled(width=7)
    assert sweep.task.target == f"{__name__}:Noisy"
    assert sweep.task.fields["level"] == 0.5
    assert sweep.task.fields["table"].startswith("int64[3] sha256:")


@pytest.mark.parametrize(
    "changes",
    [
        {"model": Scaled(width=8)},
        {"model": Scaled(width=7, activation=nn.tanh)},
        {"task": Noisy(0.25)},
        {"task": Noisy(0.5, np.arange(1, 4))},
    ],
)
def test_other_objects_are_other_sweeps(changes):
    assert spec_id(custom_sweep()) == spec_id(custom_sweep())
    assert spec_id(custom_sweep(**changes)) != spec_id(custom_sweep())
    assert settings(custom_sweep(**changes))[0].id != settings(custom_sweep())[0].id


def test_a_users_own_objects_survive_without_an_import():
    sweep = custom_sweep()
    text = json.dumps(dump_sweep(sweep))
    again = restore(json.loads(text), Path())
    assert spec_id(again) == spec_id(sweep)
    assert again.model.fields == sweep.model.fields
    with pytest.raises(SpecError, match="run this sweep from Python"):
        _ = again.model.value
    elsewhere = restore(json.loads(text.replace(__name__, "no_such_module")), Path())
    assert elsewhere.model.target == "no_such_module:Scaled"


@pytest.mark.parametrize("field", ["task", "model"])
def test_a_file_cannot_name_a_class(tmp_path, field):
    path = tmp_path / "sweep.yaml"
    data = plain(**{field: {"kind": "custom", "target": "os:system", "fields": {}}})
    path.write_text(json.dumps(data))
    with pytest.raises(SpecError, match=r"in\s+Python only"):
        load(path)


def test_a_file_cannot_name_a_class_as_an_observable(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(json.dumps(plain(observables=[{"kind": "custom", "target": "os:system"}])))
    with pytest.raises(SpecError):
        load(path)


@pytest.mark.parametrize("value", [3, object(), Scaled, lambda x: x, {1, 2}])
def test_only_instances_of_dataclasses_are_taken(value):
    with pytest.raises(ValidationError):
        custom_sweep(model=value)


def test_a_field_that_cannot_be_described_is_refused():
    with pytest.raises(ValueError, match="cannot describe"):
        Custom.wrap(Noisy({"a": 1}))


@pytest.mark.parametrize(
    "function", [lambda x: x, nn.initializers.normal(1.0), functools.partial(max, 0)]
)
def test_a_function_without_a_name_of_its_own_is_refused(function):
    """Two lambdas of one module share their description, so it identifies neither."""
    with pytest.raises(ValueError, match="module level"):
        Custom.wrap(Holder(function))


@pytest.mark.parametrize("level", [float("nan"), float("inf")])
def test_a_field_that_is_not_finite_is_refused(level):
    with pytest.raises(ValueError, match="finite"):
        Custom.wrap(Noisy(level))


@pytest.mark.parametrize("level", [1e39, 1e-40])
def test_a_traced_field_that_float32_does_not_hold_is_refused(level):
    """Check it of a law and an optimiser, in the compiled program, and of a task by itself."""
    with pytest.raises(ValueError, match=r"level: 1e.* float32"):
        TracedCustom.wrap(Noisy(level))
    assert Custom.wrap(Noisy(level)).fields["level"] == level


def test_objects_inside_objects_are_told_apart_by_class():
    assert Custom.wrap(Holder(One(1))).fields != Custom.wrap(Holder(Other(1))).fields


@pytest.mark.parametrize("field", ["task", "model"])
def test_an_unknown_kind_is_offered_only_what_a_file_can_have(tmp_path, field):
    path = tmp_path / "sweep.yaml"
    path.write_text(json.dumps(plain(**{field: {"kind": "costum"}})))
    with pytest.raises(SpecError, match="unknown kind 'costum'") as caught:
        load(path)
    assert "custom" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["sgd", "s7", "7th", "16bit", "box_fit", "2x2", "e5", "not-a-number"]
)
def test_names_of_sources_that_are_text(name):
    assert Sweep.model_validate(
        plain(sources={name: {"kind": "prior", "draws": 1}})
    ).sources.keys() == {name}


def test_results_of_a_source_named_7_stay_readable(tmp_path):
    stored = dump_sweep(Sweep.model_validate(plain(sources={"s7": {"kind": "prior", "draws": 1}})))
    stored["sources"] = {"007": stored["sources"]["s7"]}
    assert restore(stored, tmp_path).sources.keys() == {"007"}


def test_the_sample_of_the_contract_loads_and_plans():
    """One of every kind of source, axis and comparison, as the contract has them."""
    sample = load(Path(__file__).with_name("contract.yaml"))
    planned = plan(sample)
    assert list(sample.sources) == ["sgd", "box", "box_fit", "rare", "bayes"]
    assert len([s for s in planned.settings.values() if s.source == "sgd"]) == 16
    assert len(planned.settings) == 16 + 4 * 2
