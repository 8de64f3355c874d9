"""The acceptance rules: what they say, on which scale, and that all sources obey the same one."""

import copy
import functools
import itertools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import ValidationError

from sweep_engine import spec
from sweep_engine.models import build
from sweep_engine.solutions import RunStatus
from sweep_engine.sources import Control, open_source, work
from sweep_engine.sources.acceptance import accepts, check_rule, level, output_scale
from sweep_engine.spec import Piece, Sweep
from sweep_engine.spec.models import CustomModel, Diagonal, Mlp
from sweep_engine.spec.sources import Accept
from sweep_engine.tasks import LOGISTIC, SQUARED, cross_entropy
from sweep_engine.tasks.losses import SQUARED_LABELS

# --- What a rule says, in plain NumPy -------------------------------------------------------

NUM_EXAMPLES = 4
EIGHTHS = st.integers(-16, 16).map(lambda i: i / 8)
"""Numbers that float32 adds and halves exactly, so that limits are hit exactly as well."""
BINS = st.tuples(EIGHTHS | st.none(), EIGHTHS | st.none()).filter(
    lambda ends: any(e is not None for e in ends) and (None in ends or ends[0] < ends[1])
)
LOSSES = {"logistic": LOGISTIC, "squared": SQUARED_LABELS, "real": SQUARED, "3": cross_entropy(3)}


@st.composite
def _cases(draw):
    """A loss, outputs with ties, zeros and numbers that are none, targets, and a rule."""
    name = draw(st.sampled_from(sorted(LOSSES)))
    shape = (NUM_EXAMPLES, 3 if name == "3" else 1)
    strange = st.sampled_from([0.0, np.inf, -np.inf, np.nan])
    outputs = draw(arrays.arrays(np.float32, shape, elements=EIGHTHS | EIGHTHS | strange))
    classes = st.integers(0, 2 if name == "3" else 1)
    targets = draw(arrays.arrays(np.int32, NUM_EXAMPLES, elements=classes))
    kinds = {"train_loss": st.integers(0, 16).map(lambda i: i / 8), "loss": _bins(1 / 8)}
    if name != "real":
        shares = st.integers(0, 5).map(lambda k: k / NUM_EXAMPLES)
        kinds |= {"train_error": shares, "margin": _bins()}
    if name in ("squared", "real"):
        kinds |= {"max_residual": st.integers(1, 16).map(lambda i: i / 8)}
    chosen = draw(st.sets(st.sampled_from(sorted(kinds)), min_size=1, max_size=2))
    rule = Accept(**{kind: draw(kinds[kind]) for kind in sorted(chosen)})
    return LOSSES[name], outputs, targets, rule


def _bins(lowest=-np.inf):
    wide = BINS.filter(lambda ends: ends[1] is None or ends[1] >= lowest)
    return wide.map(lambda ends: dict(zip(("above", "below"), ends, strict=True)))


def _inside(value, ends):
    low = -np.inf if ends.above is None else ends.above
    high = np.inf if ends.below is None else ends.below
    return np.isfinite(value) and low < value < high


def _margins(outputs, targets):
    """Signed margins; by the label alone, the first of equals, where there is none."""
    for f, y in zip(outputs.astype(float), targets, strict=True):
        if len(f) == 1:
            f, label = np.array([-f[0] / 2, f[0] / 2]), int(f[0] > 0)
        else:
            label = int(np.argmax(f))
        with np.errstate(invalid="ignore"):
            margin = f[y] - np.delete(f, y).max()
        if margin == 0 or np.isnan(margin):
            margin = np.inf if label == y and not np.any(np.isnan(f)) else -np.inf
        yield margin


def _holds(rule, loss, outputs, targets):
    signs = targets if loss is SQUARED else 2 * targets - 1
    mean = float(loss.mean(outputs, targets))
    says = {
        "train_error": lambda share: (
            sum(margin <= 0 for margin in _margins(outputs, targets)) <= share * len(targets)
        ),
        "margin": lambda ends: _inside(min(_margins(outputs, targets)), ends),
        "max_residual": lambda most: bool(np.all(np.abs(outputs[:, 0] - signs) <= most)),
        "loss": lambda ends: _inside(mean, ends),
        "train_loss": lambda most: mean <= np.float32(most),
    }
    return all(says[name](getattr(rule, name)) for name in rule.rules)


@settings(max_examples=150, deadline=None)
@given(_cases())
def test_a_rule_holds_where_its_level_is_positive_and_where_numpy_says(case):
    loss, outputs, targets, rule = case
    found = float(level(rule, loss, outputs, targets))
    assert not np.isnan(found)
    assert bool(accepts(rule, loss, outputs, targets)) == (found > 0)
    assert (found > 0) == _holds(rule, loss, outputs, targets)


# --- Networks of random scale ---------------------------------------------------------------

NUM_NETWORKS = 200
INPUTS = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
LABELS = np.array([0, 1, 1, 0, 1, 0])
NETWORK = build(Mlp(widths=(5, 4)), (3,), 1)


@functools.cache
def _thetas():
    """Networks with relu units and biases, of very different size, none of them constant."""
    rng, num_params = np.random.default_rng(1), NETWORK.layout.num_params
    scale = np.exp(rng.normal(size=(NUM_NETWORKS + 50, 1)))
    drawn = scale * rng.normal(size=(NUM_NETWORKS + 50, num_params))
    return np.array([theta for theta in drawn if np.any(_pass(theta)[1])])[:NUM_NETWORKS]


def _layers(theta):
    """(weights, bias) of every layer."""
    leaves = [theta[x.offset : x.offset + x.size].reshape(x.shape) for x in NETWORK.layout.leaves]
    return list(zip(leaves[::2], leaves[1::2], strict=True))


@functools.cache
def _rescaled():
    """The same functions: a unit's incoming weights and bias times a factor, outgoing over it."""
    rng, found = np.random.default_rng(2), []
    for theta in _thetas():
        layers = _layers(theta.copy())
        for (weights, bias), (outgoing, _) in itertools.pairwise(layers):
            factor = np.exp(rng.normal(size=len(bias)))
            weights *= factor
            bias *= factor
            outgoing /= factor[:, None]
        found.append(np.concatenate([part.ravel() for layer in layers for part in layer]))
    return np.array(found)


def _pass(theta):
    """Outputs (N,) in float64, and their gradients by the inputs (N, D)."""
    x, slope = INPUTS.astype(float), np.eye(3)[None]
    for i, (weights, bias) in enumerate(_layers(theta)):
        active = x > 0 if i else np.ones_like(x, bool)
        x, slope = np.where(active, x, 0) @ weights + bias, slope * active[:, None] @ weights
    return x[:, 0], slope[..., 0]


def _path_norm(theta):
    """One path after another."""
    layers = _layers(theta)
    total = 0.0
    for first, (_, bias) in [(-1, (None, np.ones(3))), *enumerate(layers)]:
        # A path starts at an input, or at a bias of layer `first`, and visits one unit a layer.
        widths = [len(bias)] + [len(b) for _, b in layers[first + 1 :]]
        for units in itertools.product(*map(range, widths)):
            weights = (w for w, _ in layers[first + 1 :])
            edges = zip(weights, itertools.pairwise(units), strict=True)
            total += abs(bias[units[0]] * np.prod([w[edge] for w, edge in edges]))
    return total


SCALES = {
    "frobenius": lambda theta: np.prod([np.linalg.norm(w) for w, _ in _layers(theta)]),
    "spectral": lambda theta: np.prod([np.linalg.norm(w, 2) for w, _ in _layers(theta)]),
    "path": _path_norm,
    "lipschitz": lambda theta: np.linalg.norm(_pass(theta)[1], axis=1).max(),
}


@functools.cache
def _scales(normalise):
    return np.array([SCALES[normalise](theta) for theta in _thetas()])


def _values(kind, normalise):
    """Normalised margin or loss of every network, in float64."""
    signs = 2 * LABELS - 1
    outputs = np.array([_pass(theta)[0] for theta in _thetas()]) / _scales(normalise)[:, None]
    if kind == "margin":
        return (signs * outputs).min(axis=1)
    return np.logaddexp(0, -signs * outputs).mean(axis=1)


def _evaluate(rule, thetas):
    """Whether the rule accepts each network, and at which level."""

    def evaluate(theta):
        params = NETWORK.layout.unflatten(theta)
        scale = output_scale(rule, NETWORK, params, INPUTS)
        arguments = (rule, LOGISTIC, NETWORK.apply(params, INPUTS), LABELS, scale)
        return accepts(*arguments), level(*arguments), scale

    found = jax.jit(jax.vmap(evaluate))(thetas.astype(np.float32))
    return tuple(np.asarray(value) for value in found)


def _middle(values, kind, normalise):
    """The bin that half of the networks are in, and who is clear of its ends."""
    low, high = np.quantile(values, [0.25, 0.75])
    clear = np.minimum(abs(values - low), abs(values - high)) > 1e-4 * (high - low)
    rule = {kind: {"above": low, "below": high}, "normalise": normalise}
    return Accept.model_validate(rule), (low < values) & (values < high), clear


@pytest.mark.parametrize("kind", ["margin", "loss"])
@pytest.mark.parametrize("normalise", SCALES)
def test_normalised_rules_against_float64(normalise, kind):
    values = _values(kind, normalise)
    rule, inside, clear = _middle(values, kind, normalise)
    accepted, levels, scale = _evaluate(rule, _thetas())
    np.testing.assert_allclose(scale, _scales(normalise), rtol=1e-4)
    np.testing.assert_array_equal(accepted, levels > 0)
    np.testing.assert_array_equal(accepted[clear], inside[clear])
    assert clear.mean() > 0.9
    # A level has no ties, but that float32 rounds: normalised losses are all near ln 2.
    assert len(np.unique(levels)) >= (1.0 if kind == "margin" else 0.9) * NUM_NETWORKS


@pytest.mark.parametrize("normalise", SCALES)
def test_path_norm_and_slope_do_not_see_that_units_were_rescaled(normalise):
    """The products of norms do, and so accept other networks of the same functions."""
    rule, inside, clear = _middle(_values("margin", normalise), "margin", normalise)
    accepted, _, scale = _evaluate(rule, _rescaled())
    assert len(set(inside)) == 2
    same = normalise in ("path", "lipschitz")
    assert np.allclose(scale, _scales(normalise), rtol=1e-3) == same
    assert np.array_equal(accepted[clear], inside[clear]) == same


def test_the_path_norm_bounds_the_outputs():
    outputs = np.array([_pass(theta)[0] for theta in _thetas()])
    assert np.all(abs(outputs).max(axis=1) <= _scales("path") * max(1, abs(INPUTS).max()))


@pytest.mark.parametrize("normalise", SCALES)
def test_a_network_of_no_scale_is_not_accepted(normalise):
    rule = Accept.model_validate({"margin": {"above": -1.0}, "normalise": normalise})
    accepted, levels, _ = _evaluate(rule, np.zeros_like(_thetas()[:1]))
    assert not accepted
    assert levels == -np.inf


def test_a_scale_cannot_be_forgotten():
    rule = Accept.model_validate({"margin": {"above": 0.0}, "normalise": "path"})
    with pytest.raises(ValueError, match="output_scale"):
        accepts(rule, LOGISTIC, np.ones((6, 1)), LABELS)


# --- All sources inside one bin --------------------------------------------------------------

TRAIN = {
    "kind": "train",
    "init": {"kind": "gaussian", "std": 0.3},
    "optimizer": {"kind": "sgd", "learning_rate": 0.02},
    "batch_size": 2,
    "stop": {"max_steps": 1000, "check_every": 1},
    "runs": 32,
}
DRAWS = 2000
LAW = {"kind": "gaussian", "std": 1.0}
SOURCES = {
    "sgd": TRAIN,
    "prior": {"kind": "prior", "law": LAW | {"shared": True}, "draws": DRAWS},
    "guess": {"kind": "guess_and_check", "law": LAW | {"shared": True}, "draws": DRAWS},
}
BIN = {"above": 0.005, "below": 0.05}


@functools.cache
def _finished():
    """All sources by one rule, and their normalised margins."""
    sweep = Sweep(
        name="bins",
        task={"kind": "boolean", "bits": 2, "target": "x1", "train": 4, "inputs": "plus_minus"},
        model={"kind": "mlp", "widths": [4]},
        sources=SOURCES,
        accept={"margin": BIN, "normalise": "path"},
        observables=("path",),
        execution={"lanes": 32},
    )
    found = {}
    for setting in spec.settings(sweep):
        names, execution = sweep.observables, sweep.execution
        programs = open_source(setting, sweep.seed, sweep.folder, names, execution)
        runs = TRAIN["runs"] if setting.source == "sgd" else DRAWS
        found[setting.source] = work(programs, [Piece(setting, 0, runs)], Control())
    return found


def _check_bin(finished):
    """Rows fit where their own column says that they are in the bin, and nowhere else."""
    values, fit = finished.columns["margin_path"].astype(float), finished.solutions.fit
    inside = (values > BIN["above"]) & (values < BIN["below"])
    # Two programs may round a value at the very end of the bin differently.
    edge = np.minimum(abs(values / BIN["above"] - 1), abs(values / BIN["below"] - 1)) < 1e-5
    np.testing.assert_array_equal(fit[~edge], inside[~edge])


@pytest.mark.parametrize("source", SOURCES)
def test_all_sources_fit_inside_the_same_bin(source):
    _check_bin(_finished()[source])


def test_sgd_stops_and_guess_and_check_accepts_where_the_rule_holds():
    sgd, prior, guess = (_finished()[source].solutions for source in SOURCES)
    np.testing.assert_array_equal(sgd.status == RunStatus.FIT, sgd.fit)
    assert sgd.fit.sum() > 10
    assert guess.fit.all()
    assert 10 < len(guess) < DRAWS / 2
    np.testing.assert_array_equal(guess.run_id & 0xFFFFFFFF, np.flatnonzero(prior.fit))


def test_a_bin_of_margins_that_are_not_normalised_is_caught():
    wrong = copy.deepcopy(_finished()["prior"])
    margin = wrong.columns["margin_path"] * wrong.columns["path_norm"]
    wrong.solutions.fit[:] = (margin > BIN["above"]) & (margin < BIN["below"])
    with pytest.raises(AssertionError, match="Mismatched"):
        _check_bin(wrong)


def test_of_two_rules_the_normalised_one_alone_is_divided():
    """An output of 3 is right, and its loss, ln(1 + e^-f), is in a bin that 3 / 6 reaches alone."""
    outputs, targets = np.full((2, 1), 3.0, np.float32), np.ones(2, np.int32)
    rule = Accept(
        train_error=0.0, train_loss=0.1, loss={"above": 0.4, "below": 0.6}, normalise="path"
    )
    assert bool(accepts(rule, LOGISTIC, outputs, targets, np.float32(6.0)))  # 0.474, and 0.049
    assert not bool(accepts(rule, LOGISTIC, outputs, targets, np.float32(1.0)))
    assert not bool(accepts(rule, LOGISTIC, -outputs, targets, np.float32(6.0)))
    assert not bool(accepts(rule, LOGISTIC, outputs / 2, targets, np.float32(3.0)))  # 0.201


# --- Rules that mean nothing -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"margin": {}}, "give above, below or both"),
        ({"margin": {"above": 1.0, "below": 1.0}}, "no number is above 1.0 and below 1.0"),
        ({}, "give one or more of train_error, train_loss"),
        ({"normalise": "path"}, "give one or more of"),
        ({"train_error": 0.0, "normalise": "path"}, "normalise goes with margin or loss"),
        ({"loss": {"below": 0.0}}, "no loss is below 0"),
        ({"margin": {"above": 0.0}, "normalise": "l2"}, "'path' or 'lipschitz'"),
    ],
)
def test_a_bad_rule_says_what_is_wrong(rule, message):
    with pytest.raises(ValidationError, match=message):
        Accept.model_validate(rule)


OWN = CustomModel(target="own:Module", fields={})


@pytest.mark.parametrize(
    ("rule", "loss", "model", "message"),
    [
        ({"train_error": 0.0}, SQUARED, Mlp(), "train_error needs labels"),
        ({"margin": {"above": 0.0}}, SQUARED, Mlp(), "margin needs labels"),
        ({"max_residual": 0.1}, LOGISTIC, Mlp(), "squared-error"),
        ({"loss": {"below": 1.0}, "normalise": "path"}, SQUARED, Mlp(), "normalise needs labels"),
        ({"margin": {"above": 0.0}, "normalise": "path"}, LOGISTIC, Diagonal(), "dense layers"),
        ({"loss": {"below": 1.0}}, SQUARED, Diagonal(), None),
        (
            {"margin": {"above": 0.0}, "normalise": "lipschitz"},
            LOGISTIC,
            CustomModel(target="own:Module", fields={}),
            None,
        ),
    ],
)
def test_a_rule_is_held_against_loss_and_model(rule, loss, model, message):
    rule = Accept.model_validate(rule)
    if message is None:
        return check_rule(rule, loss, model)
    with pytest.raises(ValueError, match=message):
        check_rule(rule, loss, model)
