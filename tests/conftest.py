"""Shared by all tests: fixed examples, a compilation cache of the session's own, a Ray."""

import gc
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import pytest
from hypothesis import settings
from threadpoolctl import threadpool_limits

from sweep_engine.execution import run
from sweep_engine.execution.programs.kept import KEPT
from sweep_engine.execution.worker import worker
from sweep_engine.execution.worker.idle import Idle
from sweep_engine.machine import settled
from sweep_engine.spec import Sweep
from tests.backends import heads
from tests.compiling import as_users_do, for_long_runs, in_one_context, quickly
from tests.examples import BOOLEAN
from tests.once import common_folder, controller, made_before, made_once

HEAD = "ray"

OPTIMISED = (
    "test_lanes.py", "models/test_canonical.py", "models/test_lanes.py",
    "observables/test_every_observable.py", "sources/flow/test_flow.py",
    "sources/test_steps_and_checks.py", "sources/test_invariants.py", "sources/test_lowering.py",
    "sources/test_recording.py",
)  # fmt: skip
"""Lists tests of what XLA's optimiser makes of a program: bits, lane by lane."""

LONG_RUNS = (
    "kernels", "execution/test_choosing", "sources/draw", "sources/posterior/test_example.py",
    "sources/test_training_by_kernel.py", "theory/test_posterior.py",
    "theory/test_scalar_factorisation.py", "theory/test_splitting.py", "theory/test_stationary.py",
)  # fmt: skip
"""Lists tests that compute for longer than they compile.

All that stand in neither are of what the engine does with programs, which are compiled in half the
time without optimisations, on the Ray that they share too.
"""

SHAPES_NO_PROGRAM = (
    "sweep_engine.spec.sources.sizes", "sweep_engine.store", "sweep_engine.backends",
    "sweep_engine.cli", "sweep_engine.densities", "sweep_engine.execution.driver",
    "sweep_engine.execution.worker", "sweep_engine.report", "sweep_engine.stopping", "io",
    "matplotlib", "os", "sys", "time",
)  # fmt: skip
"""Where the code can be changed, and shards cut smaller, without another program."""

_setattr, _undo = pytest.MonkeyPatch.setattr, pytest.MonkeyPatch.undo


def _shapes_programs(target: object) -> bool:
    of_class = getattr(target, "__module__", type(target).__module__)
    return not getattr(target, "__name__", of_class).startswith(SHAPES_NO_PROGRAM) and (
        not of_class.startswith(SHAPES_NO_PROGRAM)
    )


def _changing(patch: pytest.MonkeyPatch, target: object, *arguments: Any, **options: Any) -> None:
    """Patch; programs of the code as it was are forgotten."""
    if _shapes_programs(target):
        KEPT.clear()
    _setattr(patch, target, *arguments, **options)


def _undoing(patch: pytest.MonkeyPatch) -> None:
    if any(_shapes_programs(target) for target, *_ in patch._setattr):
        KEPT.clear()
    _undo(patch)


# Of the class, since any test may patch, by the fixture or by a context of its own.
pytest.MonkeyPatch.setattr = _changing  # type: ignore[method-assign]  # mypy wants it never assigned
pytest.MonkeyPatch.undo = _undoing  # type: ignore[method-assign]  # mypy wants it never assigned

# The same examples in every run: a test that fails for one in a million is looked for with
# `pytest --hypothesis-profile=default --hypothesis-seed=N`, not met by chance.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One for all of pytest's workers, and for the programs that tests compile by themselves."""
    cache = common_folder(tmp_path_factory) / "cache"
    os.environ["XDG_CACHE_HOME"] = str(cache)
    jax.config.update("jax_compilation_cache_dir", str(cache / "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)


@pytest.fixture(scope="session", autouse=True)
def _one_thread_for_products() -> None:
    """Keep NumPy's products to one thread: pytest's workers have the cores already.

    Threads that wait for one another made permutation tests three times as long.
    """
    import scipy.linalg  # noqa: F401  # it brings a library of its own, whose threads are seen then

    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of the processes that tests start
    threadpool_limits(1)


@pytest.fixture(scope="session", autouse=True)
def _collect_rarely() -> Iterator[None]:
    """Leave what is imported out of all collections of garbage, which took 6 % of the time."""
    gc.collect()
    gc.set_threshold(20_000, 20, 50)
    with settled():
        yield


@pytest.fixture(scope="session", autouse=True)
def _flags_are_read() -> None:
    """Have XLA read its flags, before tests change them for the processes that they start."""
    jax.jit(lambda: 0)()


@pytest.fixture(scope="session", autouse=True)
def _one_context() -> Iterator[None]:
    with in_one_context():
        yield


@pytest.fixture(scope="module", autouse=True)
def _compiled(request: pytest.FixtureRequest, _flags_are_read: None) -> Iterator[None]:
    place = request.path.relative_to(Path(__file__).parent).as_posix()
    if place.startswith(OPTIMISED):
        compiling = as_users_do()
    else:
        compiling = for_long_runs() if place.startswith(LONG_RUNS) else quickly()
    with compiling:
        yield


@pytest.fixture(scope="session", autouse=True)
def _all_programs_of_a_file() -> Iterator[None]:
    """Keep those of more buckets than a run: tests walk many, and to empty JAX's caches is dear."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KEPT, "most", 64)
        patch.setattr(worker, "Idle", partial(Idle, kept=64))
        yield


@pytest.fixture(scope="session", autouse=True)
def _heed_signals() -> None:
    """Background commands ignore SIGINT, those of nohup SIGHUP: so would what tests start."""
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture(scope="session")
def boolean_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the form of boolean.yaml, smaller; made once in the whole run, to be read only."""

    def make(folder: Path) -> dict[str, str]:
        out = folder / "results"
        assert run(Sweep.model_validate(BOOLEAN), out).is_complete
        return {"out": str(out)}

    return Path(made_once(common_folder(tmp_path_factory) / "boolean", make)["out"])


@pytest.fixture(scope="session")
def ray_head(tmp_path_factory: pytest.TempPathFactory) -> heads.Head:
    """The one Ray of the whole run, with a token of its own.

    `pytest_sessionfinish` ends it, or a process that watches pytest, should pytest be killed.
    """

    def start(folder: Path) -> dict[str, str]:
        heads.put_token(folder / "home")
        started = heads.start_head(folder, folder / "home")
        started.end_with(controller())
        return started.record()

    return heads.Head.of(made_once(common_folder(tmp_path_factory) / HEAD, start))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the Ray, once no worker needs it."""
    if not hasattr(session.config, "workerinput"):
        made = made_before(session.config._tmp_path_factory.getbasetemp() / HEAD)
        if made is not None:
            heads.Head.of(made).end()


@pytest.fixture(scope="session")
def joined_ray(ray_head: heads.Head) -> Iterator[heads.Head]:
    """That Ray, joined by this process: backends without an address use it and do not end it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(ray_head.home))
        patch.chdir(heads.ROOT)  # where its workers find the tests' functions
        for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
            patch.delenv(name, raising=False)
        from sweep_engine.backends.ray import door

        patch.setattr(door.ray_constants, "ENABLE_RAY_CLUSTER", False)  # the head is on loopback
        assert door.connect(ray_head.gcs)
        yield ray_head
        door.leave()


@pytest.fixture
def local_ray(joined_ray: heads.Head) -> Iterator[Path]:
    """That Ray for this test alone; returns its home."""
    alike = os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1"
    assert alike, "its workers compile quickly, so this test must stand in neither list"
    with joined_ray.turn():
        yield joined_ray.home
