"""Whoever reads the output does not decide the work: reader gone, disk full, stream closed.

Run as a module, this file forks children that have the imports behind them and whose streams
are as the test says.
"""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sweep_engine import cli, streams
from sweep_engine.execution.driver.progress import PlainLines, Standing
from sweep_engine.store import open_results

SWEEP = {
    "name": "streams",
    "task": {"kind": "boolean", "bits": 2, "target": "x1", "train": 2},
    "model": {"kind": "linear"},
    "sources": {"init": {"kind": "prior", "law": {"kind": "gaussian"}, "draws": 16}},
    "execution": {"lanes": 4, "implementation": "reference"},
}
GONE, FULL, CLOSED = "a reader that has left", "a full disk", "closed"
STREAMS = {
    "2>&1 | true": {1: GONE, 2: GONE},
    "> /dev/full 2>&1": {1: FULL, 2: FULL},
    ">&- 2>&-": {1: CLOSED, 2: CLOSED},
    "<&- >&- 2> /dev/full": {0: CLOSED, 1: CLOSED, 2: FULL},
}


def spoil(descriptor, how):
    if how == CLOSED:
        os.close(descriptor)
        return
    if how == FULL:
        opened = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, opened = os.pipe()
        os.close(reader)
    os.dup2(opened, descriptor)
    os.close(opened)


def restart_streams():
    """Make them as Python does when it starts: None for a descriptor that is closed."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        try:
            os.fstat(descriptor)
            stream = os.fdopen(descriptor, "w", buffering=1, closefd=False)
        except OSError:
            stream = None
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def serve():
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        how, words = json.loads(line)
        child = os.fork()
        if not child:
            for descriptor, spoiled in how.items():
                spoil(int(descriptor), spoiled)
            restart_streams()
            sys.argv = ["sweep-engine", *words]
            cli.main()
            sys.exit()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)


@pytest.fixture(scope="module")
def shell():
    """Calls the command line with its streams spoiled; returns the exit code."""
    with subprocess.Popen(
        [sys.executable, "-m", __spec__.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    ) as process:

        def call(how, *words):
            process.stdin.write(json.dumps([how, [str(word) for word in words]]) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield call
        process.stdin.close()


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    path = tmp_path_factory.mktemp("streams") / "sweep.yaml"
    path.write_text(json.dumps(SWEEP))
    return path


@pytest.mark.parametrize("how", STREAMS.values(), ids=STREAMS)
def test_the_exit_code_is_that_of_the_work(shell, spec, tmp_path, how):
    out = tmp_path / "out"
    assert shell(how, "run", spec, "--out", out) == 0
    assert len(open_results(out).runs()) == 16
    assert shell(how, "run", spec, "--out", out) == 0, "it is complete"
    assert shell(how, "status", out, "--json") == 0
    assert shell(how, "run", spec.parent / "nothing.yaml", "--out", out) == 2


def test_a_results_file_is_not_taken_for_the_output(shell, spec, tmp_path):
    """What is opened first after a stream was closed would get its number."""
    out = tmp_path / "out"
    assert shell(STREAMS[">&- 2>&-"], "run", spec, "--out", out) == 0
    assert not [p for p in out.rglob("*") if p.is_file() and b"shards done" in p.read_bytes()]


def test_what_is_lost_is_told_but_not_to_a_reader_that_has_left(capsys):
    for number, told in ((errno.EPIPE, ""), (errno.ENOSPC, "cannot be written"), (errno.EIO, "ca")):
        tell = streams._tell_once()
        for _ in range(2):
            tell(OSError(number, os.strerror(number)))
        err = capsys.readouterr().err
        assert told in err
        assert err.count("\n") == bool(told)


def test_all_is_written_to_a_slow_reader(tmp_path):
    """A pipe that does not block takes a part at a time, or nothing."""
    text = "".join(f"line {i} ü\n" for i in range(40_000))
    copier = "import sys, time; time.sleep(0.3); sys.stdout.write(sys.stdin.read())"
    with (
        (tmp_path / "copy").open("w") as copy,
        subprocess.Popen(
            [sys.executable, "-c", copier], stdin=subprocess.PIPE, stdout=copy
        ) as reader,
    ):
        os.set_blocking(reader.stdin.fileno(), False)
        stream = streams.unfailing(reader.stdin.fileno(), "utf-8")
        stream.write(text)
        stream.flush()
        stream.detach().detach()
        reader.stdin.close()
    assert (tmp_path / "copy").read_text() == text


def test_characters_that_an_encoding_lacks_are_escaped():
    reader, writer = os.pipe()
    with streams.unfailing(writer, "ascii") as stream:
        stream.write("ε\n")
    os.close(writer)
    assert os.read(reader, 100) == b"\\u03b5\n"
    os.close(reader)


def test_progress_goes_on_without_its_stream(tmp_path):
    stream = (tmp_path / "log").open("w")
    lines = PlainLines(stream, "sweep")
    lines.note("begun")
    stream.close()
    lines.note("lost")
    lines.show(Standing(1, 1, 1, 1, 0, 1.0, 0))
    assert (tmp_path / "log").read_text() == "sweep: begun\n"


if __name__ == "__main__":
    serve()
