"""The examples in docstrings are run: what they print is what stands below them."""

import doctest
import importlib
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sweep_engine

ROOT = Path(sweep_engine.__file__).parent
NAMES = {"jax": jax, "jnp": jnp, "np": np}
"""What an example may use without an import, beside the names of its own module."""

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def folders_with_examples():
    """By folder, its modules that have an example: a test a folder, so that workers share them."""
    found = {}
    for folder in (ROOT, ROOT / "kernels"):  # a symbolic link, which rglob does not follow
        for path in sorted(folder.rglob("*.py")):
            if re.search(r"^\s*>>> ", path.read_text(), re.MULTILINE):
                name = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
                found.setdefault(name.split(".")[1], set()).add(name.removesuffix(".__init__"))
    return {folder: sorted(names) for folder, names in found.items()}


FOLDERS = folders_with_examples()


def failures_of(module, names=NAMES):
    """What the examples of a module print that they should not; and how many there are."""
    runner, told = doctest.DocTestRunner(optionflags=OPTIONS), []
    finder = doctest.DocTestFinder(exclude_empty=True)
    for test in finder.find(module, extraglobs=dict(names)):
        runner.run(test, out=told.append)
    return told, runner.tries


@pytest.mark.parametrize("folder", FOLDERS)
def test_examples_give_what_they_say(folder):
    for name in FOLDERS[folder]:
        told, tries = failures_of(importlib.import_module(name))
        assert tries, f"{name} has examples that are in no docstring"
        assert not told, "".join(told)


def test_an_example_that_is_wrong_is_told():
    class Wrong:
        """
        >>> np.arange(2).sum()
        3
        """

    module = type(doctest)("wrong", Wrong.__doc__)
    told, tries = failures_of(module)
    assert tries == 1
    assert "Expected:\n    3\nGot:" in told[0]
