"""What every kind of source must do, whatever its law: the checks, and sweeps to try them on.

A kind is covered by a line in `CASES`; `test_every_kind` walks the sweep file's list of kinds,
so that one without a case fails.
"""

import contextlib
import dataclasses
import itertools
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, TypeAdapter

from sweep_engine.errors import Interrupted
from sweep_engine.execution import BucketCost, Programs, clock, costs, run
from sweep_engine.execution.programs.kept import KEPT
from sweep_engine.keys import run_ids
from sweep_engine.lanes import Program
from sweep_engine.planning import Plan, num_runs, plan
from sweep_engine.sources import KINDS, SourceKind
from sweep_engine.spec import Sweep
from sweep_engine.spec import settings as settings_module
from sweep_engine.spec.base import PartName
from sweep_engine.spec.sources import Source, SourceSpec, sizes
from sweep_engine.store import Results, open_results

LAW = {"kind": "gaussian", "std": 1.0}

CASES: dict[str, dict[str, Any]] = {
    "sgd": {
        "kind": "train",
        "init": LAW,
        "optimizer": {"kind": "sgd", "learning_rate": 0.5},
        "stop": {"max_steps": 64, "extra_steps": 2, "snapshots": [4]},
        "average": {"decay": 0.9},
        "runs": 15,
    },
    "again": {"kind": "train", "init": {"from": "sgd"}, "stop": {"max_steps": 4}, "runs": 15},
    "flow": {
        "kind": "flow", "init": LAW, "stop": {"max_time": 20.0, "max_steps": 64},
        "times": [0.0, 0.5], "snapshots": True, "record": {"observables": ["norms"]}, "runs": 15,
    },
    "all": {"kind": "prior", "law": LAW, "draws": 40},
    "first": {"kind": "prior", "law": LAW, "draws": 300, "keep": 7},
    "fits": {"kind": "prior", "law": LAW, "draws": 300, "keep": "fit"},
    "unkept": {"kind": "prior", "law": LAW, "draws": 300, "keep": "none"},
    "guess": {"kind": "guess_and_check", "law": LAW, "draws": 300},
    "until": {"kind": "guess_and_check", "law": LAW, "accepted": 30, "max_draws": 640},
    "rare": {"kind": "splitting", "law": LAW, "particles": 64, "repetitions": 3, "moves": 8},
    "bayes": {
        "kind": "posterior", "law": LAW, "method": "sgld", "step_size": 0.01, "chains": 3,
        "draws": 5, "warmup": 2,
    },
    "early": {"kind": "snapshot", "from": "sgd", "at": 4},
    "averaged": {"kind": "snapshot", "from": "sgd", "at": "average"},
}  # fmt: skip


def sweep_of(sources: Mapping[str, Any], compare: Sequence[Any] = ()) -> Sweep:
    return Sweep.model_validate(
        {
            "name": "conformance",
            "seed": 5,
            "task": {"kind": "boolean", "bits": 3, "target": "x1", "train": 4},
            "model": {"kind": "mlp", "widths": [3], "activation": "tanh"},
            "sources": sources,
            "compare": compare,
            "accept": {"train_error": 0.25},
            "observables": ["norms", "distance"],
            "execution": {"lanes": 4, "implementation": "xla"},
        }
    )


@contextlib.contextmanager
def shards_of(rows: int, draws: int, chains: int) -> Iterator[None]:
    """Cut shards of other sizes."""
    with mock.patch.multiple(
        sizes, RUNS_PER_SHARD=rows, DRAWS_PER_SHARD=draws, CHAINS_PER_SHARD=chains
    ):
        yield


@dataclasses.dataclass(frozen=True)
class Tried:
    """A sweep that was run whole; cut into other shards; and stopped and resumed."""

    plan: Plan
    whole: Results
    recut: Results
    resumed: Results
    compilations: int
    root: Path

    @cached_property
    def costs(self) -> list[BucketCost]:
        """What `plan` says of it."""
        return costs(self.plan, Programs(self.plan), clock(measures=False))


def try_out(sources: Mapping[str, Any], root: Path, compare: Sequence[Any] = ()) -> Tried:
    """Run a sweep of these sources in three ways."""
    sweep = sweep_of(sources, compare)
    with shards_of(6, 64, 2):
        KEPT.clear()
        before = Program.num_compilations
        summary = run(sweep, root / "whole")
        compilations = Program.num_compilations - before
        assert summary.is_complete
        for polls in (1, 3):
            with contextlib.suppress(Interrupted):
                run(sweep, root / "resumed", should_stop=stopping_after(polls))
        assert run(sweep, root / "resumed").is_complete
    with shards_of(11, 128, 3):
        assert run(sweep, root / "recut").is_complete
    opened = {name: open_results(root / name) for name in ("whole", "recut", "resumed")}
    return Tried(summary.plan, **opened, compilations=compilations, root=root / "whole")


def stopping_after(polls: int) -> Callable[[], bool]:
    """Stop when asked for the so-manieth time whether to."""
    asked = itertools.count(1)
    return lambda: next(asked) > polls


def setting_of(tried: Tried, source: str) -> Any:
    (setting,) = (s for s in tried.plan.settings.values() if s.source == source)
    return setting


def rows_of(results: Results, source: str) -> pa.Table:
    return results.runs(where=pc.field("source") == source).sort_by("run_id").drop(["bucket"])


# --- The checks ---------------------------------------------------------------------------


def check_shards_cover_the_runs_once(tried: Tried, source: str) -> None:
    setting = setting_of(tried, source)
    pieces = [p for s in tried.plan.shards for p in s.pieces if p[0] == setting.id]
    ids = np.concatenate([run_ids(*piece) for piece in pieces])
    assert sorted(ids) == list(run_ids(setting.id, 0, num_runs(setting)))
    unit, most = setting.spec.unit_size, max(stop - start for _, start, stop in pieces)
    assert all(start % unit == stop % unit == 0 for _, start, stop in pieces)
    with shards_of(6, 64, 2):
        assert most <= setting.spec.runs_per_shard
        assert setting.spec.runs_per_shard % unit == 0
        assert setting.spec.runs_per_tiny_shard >= setting.spec.runs_per_shard
        assert setting.spec.runs_per_tiny_shard % unit == 0


def check_rows_are_as_announced(tried: Tried, source: str) -> None:
    setting, rows = setting_of(tried, source), rows_of(tried.whole, source)
    announced = setting.spec.num_rows
    assert len(rows) == announced if announced is not None else len(rows) <= num_runs(setting)
    if setting.spec.keeps_fits_only:
        assert all(rows["fit"].to_pylist())
    has_start = rows["distance_from_init"].null_count == 0
    assert has_start == setting.spec.has_start or not len(rows)


def check_costs_are_bounds(tried: Tried, source: str) -> None:
    (cost,) = (c for c in tried.costs if c.source == source)
    assert cost.seconds > 0
    setting = setting_of(tried, source)
    rows = rows_of(tried.whole, source)
    steps = pc.sum(rows["steps"]).as_py() or 0
    if setting.spec.start_law is not None:  # else the steps are those of the parent's runs
        assert steps <= num_runs(setting) * setting.spec.work_per_run
    params = tried.whole.table("params").read(where=pc.field("source") == source)
    tallies = tried.whole.tallies(where=pc.field("source") == source)
    assert cost.rows_are_known == (setting.spec.num_rows is not None)
    if cost.rows_are_known:
        assert rows.nbytes + params.nbytes + tallies.nbytes <= cost.disk_bytes
    assert len(params) <= (setting.spec.num_rows or len(rows)) * setting.spec.states_per_run


def check_bits_do_not_depend_on_the_cut(tried: Tried, source: str) -> None:
    assert rows_of(tried.recut, source).equals(rows_of(tried.whole, source))


def check_resumed_is_whole(tried: Tried, source: str) -> None:
    assert rows_of(tried.resumed, source).equals(rows_of(tried.whole, source))
    where = pc.field("source") == source
    order = [("setting", "ascending"), ("unit", "ascending"), ("what", "ascending"),
             ("function_id", "ascending"), ("count", "ascending")]  # fmt: skip
    columns = ["setting", "unit", "what", "function_id", "count", "value"]
    tables = [r.tallies(columns, where).sort_by(order) for r in (tried.resumed, tried.whole)]
    assert tables[0].equals(tables[1])


def check_a_sentence(tried: Tried, source: str) -> None:
    spec = tried.plan.sweep.sources[source]
    assert len(spec.sentence.split()) > 2
    assert "None" not in spec.sentence
    assert spec.deed


CHECKS = [
    check_shards_cover_the_runs_once,
    check_rows_are_as_announced,
    check_costs_are_bounds,
    check_bits_do_not_depend_on_the_cut,
    check_resumed_is_whole,
    check_a_sentence,
]


# --- A kind that is not in the package ----------------------------------------------------


@contextlib.contextmanager
def added(spec: type[Source], kind: SourceKind) -> Iterator[None]:
    """Write a kind's two lines: in the list of kinds of a sweep file, and in the table."""
    members = typing.get_args(typing.get_args(SourceSpec)[0])
    union = Annotated[typing.Union[(*members, spec)], Field(discriminator="kind")]
    field = Sweep.model_fields["sources"]
    before = field.annotation
    adapters = {"source": TypeAdapter(union)}
    with (
        mock.patch.dict(KINDS, {spec: kind}),
        mock.patch.dict(settings_module.__globals__["_ADAPTERS"], adapters),
    ):
        field.annotation = dict[PartName, union]
        Sweep.model_rebuild(force=True)
        try:
            yield
        finally:
            field.annotation = before
            Sweep.model_rebuild(force=True)


def plan_of(sources: Mapping[str, Any]) -> Plan:
    return plan(sweep_of(sources))
