"""Shared by all tests: fixed examples, and a compilation cache of the test session's own."""

import os

import pytest
from hypothesis import settings

# The same examples in every run: a test that fails for one in a million is looked for with
# `pytest --hypothesis-profile=default --hypothesis-seed=N`, not met by chance.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
