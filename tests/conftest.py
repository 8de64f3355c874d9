"""Shared by all tests: fixed examples, a compilation cache of the session's own, a Ray."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from hypothesis import settings

# The same examples in every run: a test that fails for one in a million is looked for with
# `pytest --hypothesis-profile=default --hypothesis-seed=N`, not met by chance.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One for all of pytest's workers, and for the programs that tests compile by themselves."""
    own = tmp_path_factory.getbasetemp()
    cache = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "cache"
    os.environ["XDG_CACHE_HOME"] = str(cache)
    jax.config.update("jax_compilation_cache_dir", str(cache / "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)


@pytest.fixture(scope="session", autouse=True)
def _heed_ctrl_c() -> None:
    """A shell's background command ignores SIGINT, and so would the commands that tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def local_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Ray of this process, which a backend without an address joins and does not end.

    It has a token of its own below the folder that is returned, which is HOME meanwhile.
    """
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))  # for the tests' functions
        for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
            patch.delenv(name, raising=False)
        from sweep_engine.backends.ray import door

        assert door.connect(None)
        yield home
        door.leave()
