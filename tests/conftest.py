"""Shared by all tests: fixed examples, a compilation cache of the session's own, a Ray."""

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import pytest
from hypothesis import settings
from jax._src import compiler

from sweep_engine.execution import run
from sweep_engine.spec import Sweep
from tests.backends import heads
from tests.examples import BOOLEAN
from tests.once import common_folder, controller, made_before, made_once

HEAD = "ray"

OPTIMISED = (
    "backends", "bench", "kernels", "theory", "test_lanes.py", "test_shared_ray.py",
    "execution/test_atlas_on_ray.py", "execution/test_backends_agree.py", "execution/test_choosing",
    "execution/test_models_everywhere.py", "execution/test_submission.py",
    "models/test_canonical.py", "models/test_lanes.py",
    "observables/test_every_observable.py", "observables/test_smoothness.py", "sources/draw",
    "sources/flow", "sources/test_compilations.py", "sources/test_invariants.py",
    "sources/test_lowering.py", "sources/test_recording.py", "sources/test_training",
)  # fmt: skip
"""Tests of what XLA's optimiser makes of a program (bits, rounding, speed), of long runs, on Ray.

The machines of a Ray are started once for many tests: all of these compile alike.

All others are of what the engine does with programs, which are compiled in half the time without.
"""

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
def _flags_are_read() -> None:
    """Have XLA read its flags, before tests change them for the processes that they start."""
    jax.jit(lambda: 0)()


@pytest.fixture(scope="module", autouse=True)
def _compiled_quickly(request: pytest.FixtureRequest, _flags_are_read: None) -> Iterator[None]:
    """Leave most of XLA's optimisation out, here and in processes that tests start.

    And its newest code generator, which takes twice as long to compile as the one before.
    """
    place = request.path.relative_to(Path(__file__).parent).as_posix()
    is_quick = not place.startswith(OPTIMISED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", str(int(is_quick)))
        jax.config.update("jax_disable_most_optimizations", is_quick)
        if is_quick:
            name, options = "xla_cpu_use_fusion_emitters", compiler.get_compile_options
            patch.setenv("XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} --{name}=false")
            patch.setattr(compiler, "get_compile_options", partial(_with_option, options, name))
        else:
            jax.clear_caches()  # of what other modules compiled quickly
        yield
    jax.config.update("jax_disable_most_optimizations", False)


def _with_option(make: Callable[..., Any], name: str, *args: Any, **kwargs: Any) -> Any:
    options = make(*args, **kwargs)
    options.env_option_overrides = [*options.env_option_overrides, (name, False)]
    return options


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
    alike = os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "0"
    assert alike, "its workers compile with all optimisations: name this test in OPTIMISED"
    with joined_ray.turn():
        yield joined_ray.home
