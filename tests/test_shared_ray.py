"""The Ray that the tests share leaves nothing behind, however pytest ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.backends import heads

DEADLINE = 60.0
SLEEPER = "import sys, time; time.sleep(1000)"


def started(*words):
    return subprocess.Popen([sys.executable, "-c", SLEEPER, *words])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_the_process_that_is_watched(how):
    folder = Path("/tmp") / f"r-watched-{os.getpid()}-{how}"
    folder.mkdir()
    with started() as pytest_itself, started(f"--temp-dir={folder}") as ray:
        heads.Head(folder, "", "", folder).end_with(pytest_itself.pid)
        time.sleep(1.0)
        assert ray.poll() is None, "it is watched, and nothing is over"
        pytest_itself.send_signal(how)
        ray.wait(DEADLINE)
    await_that(lambda: not folder.exists())


def test_who_watches_ends_with_the_ray():
    folder = Path("/tmp") / f"r-ended-{os.getpid()}"
    folder.mkdir()
    with started() as pytest_itself:
        heads.Head(folder, "", "", folder).end_with(pytest_itself.pid)
        await_that(lambda: watchers(folder))
        heads.Head(folder, "", "", folder).end()
        await_that(lambda: not watchers(folder))
        pytest_itself.kill()


def watchers(folder):
    return heads.marked(folder.name)


def await_that(happens):
    end = time.monotonic() + DEADLINE
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.05)
