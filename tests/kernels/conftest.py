"""Native kernels are built when they are tested, which needs a compiler: else a loud skip."""

import shutil
from contextlib import contextmanager

import pytest

from sweep_engine.kernels.native import COMPILERS, CannotBuild
from tests.kernels.compilers import NO_COMPILER


@contextmanager
def skipped_without_compiler():
    try:
        yield
    except CannotBuild:
        if any(map(shutil.which, COMPILERS)):
            raise
        pytest.skip(NO_COMPILER)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    with skipped_without_compiler():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    with skipped_without_compiler():
        return (yield)
