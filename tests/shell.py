"""The command line, called in this process."""

import io
import sys
from collections import namedtuple
from contextlib import redirect_stderr, redirect_stdout

import pytest

from sweep_engine import cli

Ended = namedtuple("Ended", "code out err")


def call(*words):
    """What a shell would see."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["sweep-engine", *map(str, words)])
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
    assert "Traceback" not in (said := out.getvalue() + err.getvalue()), said
    return Ended(code, out.getvalue(), err.getvalue())
