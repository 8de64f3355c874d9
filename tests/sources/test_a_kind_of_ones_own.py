"""An eighth kind of source, written here: it meets the conformance table, or cannot be loaded.

A random walk: from a draw of a law, `steps` Gaussian steps that know nothing of the data.
"""

import inspect
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float, Int

from sweep_engine.keys import Purpose, run_key
from sweep_engine.lanes import Program, over_lanes
from sweep_engine.models import Network
from sweep_engine.report import write_report
from sweep_engine.solutions import RunStatus, Solutions
from sweep_engine.sources import Control, Finished, Inputs, SourceKind, SourcePrograms
from sweep_engine.sources.acceptance import accepts
from sweep_engine.sources.bucket import Hyper, Root, Run
from sweep_engine.sources.drawn import draw_rows
from sweep_engine.sources.lane_widths import usual_lanes
from sweep_engine.sources.observe import observe
from sweep_engine.sources.programs import Example, Timed
from sweep_engine.sources.tally import tally
from sweep_engine.sources.work import Runs
from sweep_engine.spec import Piece, Setting
from sweep_engine.spec.base import RunCount, TracedCount, with_traced
from sweep_engine.spec.laws import Gaussian, LawSpec
from sweep_engine.spec.sources import Source, SourceRole, sizes
from sweep_engine.spec.sources.source import only_final
from sweep_engine.tasks import Task
from tests.sources.conformance import CHECKS, Tried, added, plan_of, sweep_of, try_out


class Walk(Source):
    """A random walk from a draw of a law."""

    kind: Literal["walk"] = "walk"
    law: LawSpec = Gaussian()
    steps: TracedCount = 5
    runs: RunCount

    @property
    def role(self) -> SourceRole:
        return SourceRole.TRAINED

    @property
    def sentence(self) -> str:
        return f"a random walk of {self.steps} steps from the law {self.law.kind}"

    @property
    def deed(self) -> str:
        return "walked"

    @property
    def counted(self) -> frozenset[str]:
        return frozenset({"runs"})

    @property
    def selected(self) -> frozenset[str]:
        return frozenset()

    @property
    def watched(self):
        return frozenset()

    @property
    def recorded(self):
        return ()

    @property
    def has_time(self) -> bool:
        return False

    @property
    def own_columns(self):
        return ()

    @property
    def num_runs(self) -> int:
        return self.runs

    @property
    def num_rows(self) -> int:
        return self.runs

    @property
    def unit_size(self) -> int:
        return 1

    @property
    def runs_per_shard(self) -> int:
        return sizes.RUNS_PER_SHARD

    @property
    def runs_per_tiny_shard(self) -> int:
        return self.runs_per_shard

    @property
    def accepts_until(self) -> None:
        return None

    @property
    def work_per_run(self) -> int:
        return self.steps

    @property
    def records_per_run(self):
        return 0

    @property
    def states_per_run(self) -> int:
        return 1

    @property
    def start_law(self) -> LawSpec:
        return self.law

    @property
    def has_start(self) -> bool:
        return True

    @property
    def has_own_targets(self) -> bool:
        return False

    @property
    def curvature_limit(self) -> None:
        return None

    def missing_state(self, at: Any, name: str) -> str | None:
        return only_final(at, name)

    @property
    def keeps_fits_only(self) -> bool:
        return False

    @property
    def identifies_fits_only(self) -> bool:
        return False

    @property
    def weighs_law(self) -> bool:
        return False

    @property
    def measures_fit_of_law(self) -> bool:
        return False

    @property
    def estimates_fit_by_unit(self) -> bool:
        return False


@dataclass(frozen=True)
class WalkPrograms(SourcePrograms):
    """One walk, mapped over lanes."""

    @classmethod
    def choose_lanes(cls, setting: Setting, task: Task, network: Network) -> int:
        return usual_lanes(network, len(task.train), trains=False)

    def prepare(self) -> None:
        bucket = self.bucket
        _ = bucket.root, bucket.data, bucket.draw, bucket.observe, self.walk

    @cached_property
    def walk(self) -> Program:
        """(start, runs, hyper, root) -> where each walk ended, and whether it fits."""
        return self.bucket.program(over_lanes(self._walk_one, (0, 0, 0, None)))

    def _walk_one(
        self, start: Float[Array, " P"], run: Run, hyper: Hyper, root: Root
    ) -> tuple[Float[Array, " P"], Array]:
        spec: Walk = with_traced(self.bucket.setting.spec, hyper)
        key = run_key(root, run, Purpose.OPTIMIZER)

        def step(i: Int[Array, ""], theta: Float[Array, " P"]) -> Float[Array, " P"]:
            return theta + 0.1 * jax.random.normal(jax.random.fold_in(key, i), theta.shape)

        theta = jax.lax.fori_loop(0, spec.steps, step, start)
        bucket, data = self.bucket, self.bucket.data.train
        outputs = bucket.network.apply(bucket.network.layout.unflatten(theta), data.x)
        return theta, accepts(bucket.setting.accept, bucket.task.loss, outputs, data.y, None)

    def to_compile(self) -> Iterator[Example]:
        bucket, timed = self.bucket, self.timed()
        yield bucket.draw, bucket.draw_example()
        yield timed.program, timed.arguments
        yield bucket.observe, bucket.observe_example()

    def timed(self) -> Timed:
        words, hyper, root = self.bucket.draw_example()
        start = jnp.zeros((self.bucket.lanes, self.bucket.network.layout.num_params))
        assert isinstance(self.bucket.setting.spec, Walk)
        units = self.bucket.lanes * self.bucket.setting.spec.steps
        return Timed(self.walk, (start, words, hyper, root), units)

    def counted(self) -> Timed:
        """A draw is about one step: the steps are a loop whose turns the program does not tell."""
        return Timed(self.bucket.draw, self.bucket.draw_example(), self.bucket.lanes)


def walk(
    programs: WalkPrograms, pieces: Sequence[Piece], control: Control, inputs: Inputs
) -> Finished:
    bucket, runs = programs.bucket, Runs.of(programs.bucket, pieces)
    start = draw_rows(bucket, runs)
    theta, fit = np.empty_like(start), np.empty(len(runs), bool)
    for first in range(0, len(runs), bucket.lanes):
        index = np.arange(first, min(first + bucket.lanes, len(runs)))
        block = runs.take(index).padded(bucket.lanes)
        padded = start[np.minimum(np.arange(first, first + bucket.lanes), len(runs) - 1)]
        found = programs.walk(padded, block.words, block.hyper, bucket.root)
        theta[index], fit[index] = (np.asarray(each)[: len(index)] for each in found)
    control.proceed(len(runs))
    columns, functions = observe(
        bucket, theta, control, start=start if bucket.needs_start else None
    )
    steps = np.array([setting_steps(p) for p in pieces for _ in range(len(p))])
    solutions = Solutions(
        run_id=runs.ids,
        setting=runs.setting,
        status=np.full(len(runs), RunStatus.MAX_STEPS, np.int32),
        steps=steps,
        fit=fit,
        fit_step=np.where(fit, steps, -1),
        log_weight=np.zeros(len(runs)),
        theta=theta,
    )
    return Finished(solutions, columns, functions, tally(runs.setting, fit, functions))


def setting_steps(piece: Piece) -> int:
    assert isinstance(piece.setting.spec, Walk)
    return piece.setting.spec.steps


SOURCES = {
    "walk": {"kind": "walk", "law": {"kind": "gaussian", "std": 1.0}, "runs": 15},
    "init": {"kind": "prior", "law": {"kind": "gaussian", "std": 1.0}, "draws": 15},
}
KIND = SourceKind(WalkPrograms, walk)
COMPARED = [{"source": "walk", "reference": "init", "observable": "l2_norm"}]


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Tried:
    with added(Walk, KIND):
        return try_out(SOURCES, tmp_path_factory.mktemp("walk"), COMPARED)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_conforms(check: Any, tried: Tried) -> None:
    with added(Walk, KIND):
        check(tried, "walk")


def test_its_report_shows_it_as_what_was_measured(tried: Tried) -> None:
    with added(Walk, KIND):
        page = Path(write_report(tried.root)).read_text()
    assert "walk: a random walk of 5 steps from the law gaussian" in page


def test_it_cannot_be_loaded_without_its_two_lines() -> None:
    with pytest.raises(ValueError, match="walk"):
        sweep_of(SOURCES)


MEMBERS = sorted(
    name for name, member in inspect.getmembers(Source)
    if getattr(member, "__isabstractmethod__", False)
)  # fmt: skip


def test_the_members_of_a_source_are_found() -> None:
    assert {"role", "sentence", "num_runs", "work_per_run", "missing_state"} <= set(MEMBERS)


@pytest.mark.parametrize("member", MEMBERS)
def test_a_kind_that_leaves_a_question_unanswered_cannot_be_loaded(member: str) -> None:
    unanswered = property(abstractmethod(lambda self: None))
    lacking = type("Lacking", (Walk,), {member: unanswered, "__module__": __name__})
    with added(lacking, KIND), pytest.raises(TypeError, match=member):
        plan_of({"walk": SOURCES["walk"]})
