"""The estimators and their estimates: from their classes, and the sentences of a report."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import yaml

from sweep_engine.densities import Estimate
from sweep_engine.densities.estimator import Estimator, Quantity, Takes, Verdict
from sweep_engine.densities.registry import ESTIMATORS, FUNCTIONS, QUANTITIES, SUITED
from sweep_engine.explain.docstrings import told
from sweep_engine.explain.entry import Entry, Listed, Topic
from sweep_engine.explain.examples import as_yaml
from sweep_engine.explain.templates import EXAMPLES

_OBSERVABLES: Mapping[Takes, str] = {
    Takes.ONE_COLUMN: "l2_norm",
    Takes.ONE_OR_TWO_COLUMNS: "l2_norm",
    Takes.TWO_COLUMNS: "l2_norm, test_error",
    Takes.TWO_COLUMNS_OR_MORE: "l2_norm, test_error",
    Takes.COLUMNS: "l2_norm, test_error",
    Takes.FUNCTIONS: "function",
}
"""An observable that an estimator takes, by the data that it looks at."""

_NUMBERS: dict[str, Any] = {
    "value": 0.25, "low": 0.125, "high": 0.375, "num_source": 1000, "n_eff_source": 1000.0,
    "num_reference": 1000, "n_eff_reference": 1000.0, "unit": "1", "method": "an example",
}  # fmt: skip
"""An estimate's numbers, to show what a report says of it."""


def estimators() -> dict[str, Topic]:
    """Give the topic of every estimator, those that a file need not name among them."""
    return {name: _topic(name, each) for name, each in _every().items()}


def estimates() -> dict[str, Topic]:
    """Give the topic of every estimate, by name."""
    return {
        name: Topic(f"estimate.{name}", _sentence(each), partial(_estimate_entry, each))
        for name, each in QUANTITIES.items()
    }


def _topic(name: str, estimator: Estimator[Any]) -> Topic:
    summary = told(type(estimator)).meaning.partition("\n")[0]
    return Topic(f"estimator.{name}", summary, partial(_estimator_entry, name, estimator))


def _estimator_entry(name: str, estimator: Estimator[Any]) -> Entry:
    meaning, source = told(type(estimator))
    is_named = name in ESTIMATORS
    needs = f"Needs {estimator.trust.min_draws:,} independent draws of each side, or more."
    quantities = {each.name: each for each in estimator.quantities}
    return Entry(
        path=f"estimator.{name}",
        title="estimator" if is_named else "estimator where a comparison names none",
        meaning=f"{meaning}\n\n{needs}",
        type=f"looks at {estimator.takes.value}",
        fields=tuple(Listed(each.name, _sentence(each)) for each in quantities.values()),
        example=as_yaml({"compare": [_comparison(name, estimator)]}),
        source=source,
    )


def _comparison(name: str, estimator: Estimator[Any]) -> dict[str, Any]:
    if estimator.takes is Takes.SIDES:
        return _packaged(name)
    sides = {"source": "sgd", "reference": "init"}
    comparison = sides | {"observable": _OBSERVABLES[estimator.takes]}
    return comparison | ({"estimator": name} if name in ESTIMATORS else {})


def _packaged(name: str) -> dict[str, Any]:
    """Give the first comparison of the packaged sweeps that names an estimator."""
    for path in sorted(EXAMPLES.glob("*.yaml")):
        for comparison in yaml.safe_load(path.read_text()).get("compare", ()):
            if comparison.get("estimator") == name:
                found: dict[str, Any] = comparison
                return found
    raise LookupError(f"no packaged sweep has a comparison with the estimator {name}")


def _sentence(quantity: Quantity) -> str:
    return quantity.says(Estimate(name=quantity.name, **_NUMBERS))


def _estimate_entry(quantity: Quantity) -> Entry:
    giving = [
        name
        for name, estimator in _every().items()
        if quantity.name in {each.name for each in estimator.quantities}
    ]
    value, low, high = (_NUMBERS[key] for key in ("value", "low", "high"))
    notes = [f"This is what a report says at the value {value:g}, interval {low:g} to {high:g}."]
    if quantity.is_lower_bound:
        notes.append(
            "It is a lower bound: the truth may be more, and the interval is open upwards."
        )
    if quantity.verdict is not Verdict.NONE:
        notes.append(f"The report adds that the sources differ if {quantity.verdict.value}.")
    return Entry(
        path=f"estimate.{quantity.name}",
        title=f"estimate, by {', '.join(giving)}",
        meaning="\n\n".join([_sentence(quantity), *notes]),
    )


def _every() -> dict[str, Estimator[Any]]:
    return {**ESTIMATORS, FUNCTIONS.name: FUNCTIONS, SUITED.name: SUITED}
