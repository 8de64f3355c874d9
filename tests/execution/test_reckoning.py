"""What `plan` reckons: operations off a jaxpr, this machine's rates, compiling and trials."""

import itertools
import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep_engine.execution import Programs, clock, costs, start_cost
from sweep_engine.execution.programs import costs as costs_module
from sweep_engine.execution.programs import rates
from sweep_engine.execution.programs.clocks import Reckoned
from sweep_engine.execution.programs.operations import Operations, count
from sweep_engine.execution.programs.rates import Rates
from sweep_engine.lanes import Program
from sweep_engine.planning import plan
from sweep_engine.spec import Sweep

KNOWN = Rates(products=1e11, elements=4e9)
A, B = np.ones((3, 4), np.float32), np.ones((4, 5), np.float32)
PRODUCT = 2 * 3 * 4 * 5
IMAGES, KERNEL = np.ones((2, 3, 8, 8), np.float32), np.ones((5, 3, 3, 3), np.float32)


def scan(a, b):
    return jax.lax.scan(lambda total, _: (total + a @ b, None), jnp.zeros((3, 5)), length=7)[0]


@pytest.mark.parametrize(
    ("function", "arguments", "products"),
    [
        (lambda a, b: a @ b, (A, B), PRODUCT),
        (jax.vmap(lambda a, b: a @ b), (np.ones((6, 3, 4)), np.ones((6, 4, 5))), 6 * PRODUCT),
        (jax.jit(lambda a, b: jax.nn.relu(a @ b) @ b.T), (A, B), 2 * PRODUCT),
        (scan, (A, B), 7 * PRODUCT),
        (
            lambda x, kernel: jax.lax.conv(x, kernel, (1, 1), "VALID"),
            (IMAGES, KERNEL),
            2 * (2 * 5 * 6 * 6) * (3 * 3 * 3),
        ),
    ],
    ids=["product", "of lanes", "two, inside jit", "seven turns", "convolution"],
)
def test_products_are_counted(function, arguments, products):
    found = count(jax.jit(function).trace(*arguments).jaxpr.jaxpr)
    assert found.products == products


@pytest.mark.parametrize(
    ("function", "elements"),
    [
        (lambda x: x + x, 12),
        (jnp.sum, 12),  # what goes in, though one number comes out
        (jnp.sin, 8 * 12),
        (lambda x: jax.lax.dynamic_update_slice(x, x[:1], (1, 0)), 4),
        (lambda x: x.reshape(4, 3), 0),
    ],
    ids=["sum of two", "sum of all", "sine", "a row written", "another shape"],
)
def test_elements_are_counted(function, elements):
    found = count(jax.jit(function).trace(A).jaxpr.jaxpr).elements
    assert found == elements


def test_a_branch_counts_as_often_as_it_is_taken():
    def checked(due, a, b):
        return jax.lax.cond(due, lambda: jnp.sum(a @ b), lambda: jnp.float32(0))

    jaxpr = jax.jit(checked).trace(True, A, B).jaxpr.jaxpr
    assert count(jaxpr).products == PRODUCT
    assert count(jaxpr, often=0.25).products == PRODUCT / 4


# --- the machine --------------------------------------------------------------------------


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """How often this machine was measured, from an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    calls = []
    monkeypatch.setattr(rates, "measured", lambda: calls.append(1) or Rates(2e9, 3e9))
    return calls


def test_a_machine_is_measured_once(asked):
    assert rates.rates() == rates.rates() == Rates(2e9, 3e9)
    assert len(asked) == 1


def test_another_processor_is_measured_too_and_neither_is_forgotten(asked, monkeypatch):
    for name in ("one", "other", "one", "other"):
        monkeypatch.setattr(rates, "processor", lambda name=name: name)
        rates.rates()
    assert len(asked) == 2


@pytest.mark.parametrize("content", ["", "[]", '{"one": {"products": "fast"}}', '{"one": {}}'])
def test_what_cannot_be_read_is_measured_again_and_replaced(asked, monkeypatch, content):
    monkeypatch.setattr(rates, "processor", lambda: "one")
    rates._file().write_text(content)
    rates.rates()
    assert json.loads(rates._file().read_text())["one"] == {"products": 2e9, "elements": 3e9}


def test_a_rate_is_the_work_of_the_quickest_series_over_its_time(monkeypatch):
    """By a clock of ours: each series takes 2 s, but the third, which takes 1."""
    ticks = itertools.cycle([0.0, 2.0, 0.0, 2.0, 0.0, 1.0] + 4 * [0.0, 2.0])
    monkeypatch.setattr(rates.time, "process_time", lambda: next(ticks))
    found = rates.measured()
    assert found.products == pytest.approx(2 * 128**3 * rates.PRODUCTS)
    assert found.elements == pytest.approx(rates.LENGTH * rates.PASSES)


# --- a plan -------------------------------------------------------------------------------

SWEEP = {
    "name": "reckoned",
    "task": {"kind": "boolean", "bits": 3, "target": "x1", "train": 4},
    "model": {"kind": "mlp", "widths": [3]},
    "sources": {
        "sgd": {"kind": "train", "stop": {"max_steps": 100}, "runs": 20},
        "guess": {"kind": "guess_and_check", "law": {"kind": "box"}, "draws": 5000},
    },
    "observables": ["norms"],
}


def reckoned(changes, rates=KNOWN):
    planned = plan(Sweep.model_validate(SWEEP | changes))
    programs = Programs(planned)
    return planned, programs, costs(planned, programs, Reckoned(rates))


def test_nothing_is_compiled(monkeypatch):
    def refuse(self, *arguments):
        raise AssertionError("compiled")

    monkeypatch.setattr(Program, "compiled", refuse)
    planned, programs, found = reckoned({})
    assert all(cost.seconds > 0 and cost.lane_bytes > 0 for cost in found)
    assert not any(cost.is_measured for cost in found)
    assert start_cost(planned, programs, found).programs == 5


def test_a_machine_half_as_fast_takes_longer_but_not_twice():
    """Reckon by two given machines: no clock is read, and what a call takes at any size stays."""
    _, _, fast = reckoned({"model": {"kind": "mlp", "widths": [256]}})
    _, _, slow = reckoned({"model": {"kind": "mlp", "widths": [256]}}, Rates(5e10, 2e9))
    for a, b in zip(fast, slow, strict=True):
        assert 1.5 < b.seconds / a.seconds < 2


def test_wider_networks_and_dearer_steps_take_longer():
    def sgd(source, width=64):
        sources = {"sgd": SWEEP["sources"]["sgd"] | source}
        model = {"kind": "mlp", "widths": [width]}
        return reckoned({"sources": sources, "model": model, "observables": []})[2][0].seconds

    plain = sgd({"stop": {"max_steps": 1000, "check_every": 100}})
    assert sgd({"stop": {"max_steps": 2000, "check_every": 100}}) == pytest.approx(2 * plain)
    assert sgd({"stop": {"max_steps": 1000, "check_every": 1}}) > plain
    assert sgd({"stop": {"max_steps": 1000, "check_every": 100}}, width=256) > 1.5 * plain
    sam = {"optimizer": {"kind": "sam", "learning_rate": 0.1}}
    dearer = sgd(sam | {"stop": {"max_steps": 1000, "check_every": 100}})
    assert 1.3 * plain < dearer < 3 * plain  # a step has two gradients


def test_a_nuts_transition_has_as_many_gradients_as_it_may_make():
    def posterior(**fields):
        law = {"kind": "gaussian", "std": 1.0}
        source = {"kind": "posterior", "law": law, "draws": 20, "chains": 2, "warmup": 20}
        sources = {"bayes": source | fields}
        return reckoned({"sources": sources, "observables": []})[2][0].seconds

    deep, shallow = (posterior(method="nuts", max_doublings=d) for d in (6, 3))
    assert deep == pytest.approx(8 * shallow)
    assert posterior(method="hmc", integration_steps=8) == pytest.approx(shallow)


def test_compiling_and_trials_are_reckoned_too(monkeypatch):
    monkeypatch.setattr(costs_module, "num_workers", lambda: 2)
    planned, programs, found = reckoned({})
    start = start_cost(planned, programs, found)
    assert (start.programs, start.trials) == (5, 0)  # a segment, a scan, a draw; two that observe
    assert start.seconds == start.compile_seconds == 5 * costs_module.COMPILE_SECONDS / 2

    monkeypatch.setattr(Programs, "undecided", lambda self: [(found[0].bucket,)])
    most, share = costs_module.KERNEL_SECONDS, costs_module.TRIAL_SHARE
    for implementation, seconds, trial in [
        ("auto", most, share * most),
        ("auto", 2 * most / share, most),
        ("cpu", most, most),  # asked for: it is built, however long that takes
    ]:
        cost = replace(found[0], implementation=implementation, seconds=seconds)
        start = start_cost(planned, programs, [cost, *found[1:]])
        assert start.trials == 1
        assert start.seconds == pytest.approx(start.compile_seconds + trial)


@pytest.mark.parametrize(("platform", "measures"), [("cpu", False), ("gpu", True)])
def test_only_what_is_known_of_a_device_is_reckoned(platform, measures, asked, monkeypatch):
    monkeypatch.setattr(costs_module.jax, "default_backend", lambda: platform)
    assert clock(measures=False).measures == measures
    assert clock(measures=True).measures


def test_operations_add_up():
    one, other = Operations(1, 2, 3), Operations(10, 20, 30)
    assert one + other * 2 == Operations(21, 42, 63)
