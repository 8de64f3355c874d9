"""Every kind of source, alone and beside every other, goes through run, compare and report.

One sweep holds all of them and is computed once for each way of sweeping. What a sweep of fewer
sources would have computed is cut out of its results.
"""

import dataclasses
import functools
import itertools
import json
import shutil

import pytest
from matplotlib.figure import Figure

from sweep_engine.execution import run
from sweep_engine.planning import plan
from sweep_engine.sources import KINDS
from sweep_engine.spec import Sweep
from sweep_engine.store import OutputDirectory
from sweep_engine.store.layout import ledger_path
from sweep_engine.store.manifest import Manifest, read_manifest, write_manifest
from tests.shell import call
from tests.sources.conformance import CASES, sweep_of

SOURCES = {
    "sgd": CASES["sgd"] | {"runs": 120},
    "flow": CASES["flow"] | {"runs": 120, "record": None},
    "all": CASES["all"] | {"draws": 120},
    "unkept": CASES["unkept"],
    "guess": CASES["guess"] | {"draws": 1200},
    "rare": CASES["rare"] | {"repetitions": 12},
    "bayes": CASES["bayes"] | {"chains": 120, "draws": 2},
    "early": CASES["early"],
}
OWN = {"sgd": "optimizer.learning_rate", "flow": "rtol", "bayes": "step_size", "early": None}
"""A number of each source's own; of all others it is the width of their law."""

SWEPT = {
    "nothing": lambda _: {},
    "their own": lambda names: {
        f"sources.{name}.{path}": [0.25, 0.5]
        for name in names
        if (path := OWN.get(name, "law.std"))
    },
    "all together": lambda _: {"task.seed": [0, 1]},
}
SUBSETS = [*((name,) for name in SOURCES), *itertools.combinations(SOURCES, 2)]


def is_quick(swept, names):
    """The rest is left to the long tests."""
    return swept == "their own" or (swept == "nothing" and len(names) == 1)


WALK = [
    pytest.param(
        swept,
        names,
        id=f"{swept}-{' and '.join(names)}",
        marks=[pytest.mark.long] * (not is_quick(swept, names)),
    )
    for swept, names in itertools.product(SWEPT, SUBSETS)
]


def sweep(names, swept):
    """A sweep of these sources, with all comparisons of two of them."""
    parents = {SOURCES[name]["from"]: None for name in names if "from" in SOURCES[name]}
    compare = [
        {"source": source, "reference": reference, "observable": observable}
        for source, reference in itertools.permutations(names, 2)
        for observable in ("margin", "function")
    ]
    held = {name: SOURCES[name] for name in {**parents, **dict.fromkeys(names)}}
    whole = sweep_of(held, compare).model_dump(mode="json", by_alias=True, exclude_none=True)
    small = {"observables": ["margin"], "execution": {"lanes": 32, "implementation": "xla"}}
    return Sweep.model_validate(whole | small | {"axes": SWEPT[swept](held)})


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Where the results of all sources in one sweep are, by what is swept."""

    @functools.cache
    def results(swept):
        out = tmp_path_factory.mktemp("everything") / "out"
        assert run(sweep(SOURCES, swept), out).is_complete
        return out

    return results


def cut_out(whole, out, part):
    """Make the results of a sweep of some of the sources."""
    planned, frozen = plan(part), read_manifest(OutputDirectory(whole)).frozen
    for source in part.sources:
        for folder in whole.glob(f"*/source={source}"):
            shutil.copytree(folder, out / folder.relative_to(whole))
    OutputDirectory(out).files.create(["ledger", "logs"])
    for shard in planned.shards:
        shutil.copy(whole / ledger_path(shard.id), out / ledger_path(shard.id))
    of_buckets = {
        field: {name: getattr(frozen, field)[name] for name in planned.buckets}
        for field in ("implementation", "lanes")
    }
    manifest = Manifest(planned, dataclasses.replace(frozen, **of_buckets))
    write_manifest(OutputDirectory(out), manifest)


def test_no_kind_is_left_out():
    assert {type(source) for source in sweep(SOURCES, "nothing").sources.values()} == KINDS.keys()


@pytest.mark.parametrize(("swept", "names"), WALK)
def test_every_command_works(swept, names, everything, tmp_path, monkeypatch):
    part, out, spec = sweep(names, swept), tmp_path / "out", tmp_path / "sweep.yaml"
    cut_out(everything(swept), out, part)
    spec.write_text(part.model_dump_json(by_alias=True, exclude_none=True))
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: None)  # it takes most of the time
    assert call("run", spec, "--out", out).code == 0

    compared = call("compare", out, "--json")
    said = json.loads(compared.out)
    assert compared.code == 0, said["refused"]
    pairs = {(row["source"], row["reference"]) for row in said["estimates"]}
    assert pairs == set(itertools.permutations(names, 2))
    refused = [line for line in said["refused"] if not line.startswith(_without_rows(names))]
    assert refused == []

    assert call("report", out).code == 0
    page = (out / "report.html").read_text()
    assert all(name in page for name in names)


def _without_rows(names):
    """What may be refused: a column of a source that keeps no rows."""
    if "unkept" not in names:
        return ()
    return tuple(f"{a} against {b}, margin" for a, b in itertools.permutations(names, 2))
