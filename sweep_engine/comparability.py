"""Which comparisons mean something: checked before anything runs, and again when estimating."""

from collections.abc import Iterator, Sequence

from sweep_engine.errors import SpecError
from sweep_engine.spec import Comparison, Sweep, axis_paths, touches
from sweep_engine.spec.observables import ObservableKind
from sweep_engine.spec.sources import SourceRole
from sweep_engine.spec.sweep import NETWORKS
from sweep_engine.spec.wording import nearest

RUN_COLUMNS = (
    "seed", "steps", "fit_step", "train_loss", "train_error", "test_loss", "test_error",
)  # fmt: skip
"""The columns of `runs`, beside observables and axes, that hold a number to compare."""

Observed = Sequence[tuple[str, str]]
"""(name, dtype) of the columns of observables."""

OF_NETWORKS = ("pairs", "ensemble")
"""The estimators that take networks."""


def check_comparisons(sweep: Sweep) -> None:
    """Refuse comparisons that mean nothing, and coordinates that cannot be fitted.

    Raises:
        SpecError: all problems of all comparisons, with their places.
    """
    problems = [
        sweep.problem(("compare", i, field), message)
        for i, comparison in enumerate(sweep.compare)
        for field, message in comparison_problems(sweep, comparison)
    ]
    problems += [
        sweep.problem(("observables", i, field), message)
        for i, named in enumerate(sweep.observables)
        for field, message in _fit_problems(sweep, named)
    ]
    if problems:
        raise SpecError(problems)


def comparison_problems(
    sweep: Sweep,
    comparison: Comparison,
    other: Sweep | None = None,
    stored: tuple[Observed | None, Observed | None] = (None, None),
) -> Iterator[tuple[str, str]]:
    """List what is wrong with a comparison, as (field, message).

    Args:
        sweep: Where the source stands.
        comparison: What is asked.
        other: Where the reference stands, if elsewhere.
        stored: Columns of observables that the two have in store; None of those that a sweep will
            have, which the observables are asked for, and JAX is imported.
    """
    sides = Sides({"source": sweep, "reference": other or sweep}, comparison)
    unknown = {f: n for f, n in sides.names.items() if n not in sides.sweeps[f].sources}
    for field, name in unknown.items():
        known = list(sides.sweeps[field].sources)
        yield field, f"no source named {name!r}{nearest(name, known)}"
    if not unknown:
        yield from _rule_problems(sides)
        yield from _kept_problems(sides, comparison)
    sweeps = [sweep] if other is None or other is sweep else [sweep, other]
    for one, observed in zip(sweeps, stored, strict=False):
        yield from _column_problems(one, comparison, observed)
    yield from _axis_problems(sides, comparison)
    if comparison.over is not None:
        yield from _over_problems(comparison)


class Sides:
    """The two sides of a comparison: by `source` and `reference`, sweep and name."""

    def __init__(self, sweeps: dict[str, Sweep], comparison: Comparison) -> None:
        self.sweeps = sweeps
        self.names = {"source": comparison.source, "reference": comparison.reference}
        self.given = comparison.given

    def touched_by(self, path: str) -> bool:
        """Whether an axis multiplies one of the two."""
        return any(
            path in axis_paths(sweep) and touches(sweep, path, self.names[field])
            for field, sweep in self.sweeps.items()
        )


def _kept_problems(sides: Sides, comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Refuse rows of fits alone where all draws are asked for; functions are tallied for all."""
    tallied = comparison.observable == "function" and not (comparison.where or comparison.match)
    for field, sweep in sides.sweeps.items():
        spec = sweep.sources[sides.names[field]]
        is_cut = spec.role is SourceRole.PRIOR and spec.keeps_fits_only
        if is_cut and sides.given == "all" and not tallied:
            yield (
                field,
                f"{sides.names[field]} keeps only the draws that fit (keep: fit): give "
                "`given: fit`, or keep all",
            )


def _axis_problems(sides: Sides, comparison: Comparison) -> Iterator[tuple[str, str]]:
    paths = list(dict.fromkeys(p for sweep in sides.sweeps.values() for p in axis_paths(sweep)))
    asked = [("by", path) for path in comparison.split_by]
    asked += [("at", path) for path in comparison.at or {}]
    if comparison.over is not None:
        asked.append(("over", comparison.over))
    for field, path in asked:
        if path not in paths:
            yield field, f"{path!r} is no axis of this sweep{nearest(path, paths)}"
        elif not sides.touched_by(path):
            yield field, f"{path!r} touches neither of the two sources"


def _over_problems(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Refuse what has no interval where both sources met the same few data sets."""
    if comparison.estimator not in {None, "mean"}:
        yield "estimator", "over data sets only the mean has an interval: give `mean`, or none"
    if not comparison.is_of_columns or len(split_columns(comparison.observable)) > 1:
        yield "observable", "over data sets the mean of one column is compared"


def _rule_problems(sides: Sides) -> Iterator[tuple[str, str]]:
    names = list(sides.names.values())
    rules = [
        sweep.accept_of(sides.names[field]).model_dump(exclude_none=True)
        for field, sweep in sides.sweeps.items()
    ]
    rejection = any(
        sweep.sources[sides.names[field]].role is SourceRole.CONDITIONED
        for field, sweep in sides.sweeps.items()
    )
    if (sides.given == "fit" or rejection) and rules[0] != rules[1]:
        yield (
            "reference",
            f"{names[0]} and {names[1]} have different acceptance rules, {rules[0]} and "
            f"{rules[1]}: their difference would be that of the rules; give both one rule",
        )


def _column_problems(
    sweep: Sweep, comparison: Comparison, observed: Observed | None
) -> Iterator[tuple[str, str]]:
    observed = _observed(sweep) if observed is None else observed
    columns = _numeric(sweep, observed)
    asked = [("where", name) for name in comparison.where or {}]
    if comparison.match is not None:
        asked.append(("match", comparison.match.column))
    if comparison.observable == "function":
        if comparison.estimator not in {None, "decomposition"}:
            yield "estimator", f"{comparison.estimator} is for columns: functions are counted"
    elif comparison.observable == NETWORKS:
        yield from _network_problems(sweep, comparison)
    else:
        if comparison.estimator in OF_NETWORKS:
            yield "observable", f"{comparison.estimator} takes networks: give `{NETWORKS}`"
        asked += [("observable", name) for name in _asked_columns(comparison.observable, observed)]
    for field, name in asked:
        if name not in columns:
            yield field, f"no numeric column {name!r}{nearest(name, columns)}"
    for name, (low, high) in (comparison.where or {}).items():
        if low > high:
            yield "where", f"{name}: the low end {low:g} is above the high end {high:g}"


def _asked_columns(observable: str, observed: Observed) -> list[str]:
    """List the columns that must each be one number; a list alone is compared entry by entry."""
    return [] if observable in _lists(observed) else split_columns(observable)


def _network_problems(sweep: Sweep, comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Refuse networks whose parameters are not stored, or that have no numbers to weigh by."""
    if comparison.estimator not in {None, *OF_NETWORKS}:
        yield "estimator", f"{comparison.estimator} is not for networks: {' or '.join(OF_NETWORKS)}"
    if comparison.estimator == "ensemble" and comparison.source != comparison.reference:
        yield "reference", "ensemble is of one source's networks: leave the reference out"
    if comparison.match is not None:
        yield "match", "networks are not weighed: `match` is for columns and functions"
    stored = sweep.store.params
    if stored == "none":
        yield "observable", "networks are not stored: `store: {params: none}`"
    elif stored == "fit" and comparison.given != "fit":
        yield "given", "only networks that fit are stored (`store: {params: fit}`): `given: fit`"


def _fit_problems(sweep: Sweep, named: ObservableKind) -> Iterator[tuple[str, str]]:
    """List what keeps principal components from being fitted."""
    source = named.fit_source
    if source is None:
        return
    if source not in sweep.sources:
        yield "fitted_on", f"no source named {source!r}{nearest(source, sweep.sources)}"
    if sweep.store.params == "none":
        yield "method", "pca is fitted on stored parameters: `store: {params: none}` keeps none"


def columns_fitted_on(sweep: Sweep, source: str) -> set[str]:
    """The columns of coordinates that were fitted on half of a source's networks.

    Those networks have no value there.
    """
    fitted = [named for named in sweep.observables if named.fit_source == source]
    return {name for named in fitted for name, _ in _columns_of(named)}


def split_columns(observable: str) -> list[str]:
    """Split an observable into its columns."""
    return [name.strip() for name in observable.split(",")]


def list_columns(sweep: Sweep) -> list[str]:
    """The columns of `runs` that hold a list of numbers a run."""
    return _lists(_observed(sweep))


def numeric_columns(sweep: Sweep) -> list[str]:
    """The columns of `runs` that hold one number a run."""
    return _numeric(sweep, _observed(sweep))


def _lists(observed: Observed) -> list[str]:
    return [name for name, dtype in observed if dtype == "list<float32>"]


def _numeric(sweep: Sweep, observed: Observed) -> list[str]:
    numbers = (name for name, dtype in observed if dtype.startswith(("float", "int")))
    return [*RUN_COLUMNS, *sweep.own_columns, *numbers]


def _observed(sweep: Sweep) -> Observed:
    return [column for named in sweep.observables for column in _columns_of(named)]


def _columns_of(named: ObservableKind) -> Observed:
    from sweep_engine.observables import columns_of  # JAX, which stored columns do not need

    return columns_of(named)
