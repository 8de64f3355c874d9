"""Every script of the repository passes shellcheck; the container file hadolint and our rules."""

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sysconfig.get_path("scripts"))
CONTAINER_FILE = ROOT / "cluster" / "Dockerfile"


def scripts() -> list[str]:
    """Tell all files of the repository that a shell runs, by their first line."""
    found = []
    for folder, below, names in os.walk(ROOT):
        below[:] = [name for name in below if name not in (".venv", ".git", "build", "dist")]
        for name in names:
            path = Path(folder) / name
            with path.open("rb") as file:
                first = file.readline(100)
            if re.match(rb"#!.*\b(ba|da)?sh$", first.rstrip()):
                found.append(path.relative_to(ROOT).as_posix())
    return sorted(found)


SCRIPTS = scripts()


def test_scripts_are_found() -> None:
    assert {"run", ".ci/run", "cluster/slurm/sweep.sbatch", "cluster/slurm/node.sh"} <= set(SCRIPTS)


def lint(program: str, *arguments: str | Path, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAMS / program, *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_passes_shellcheck(script: str) -> None:
    done = lint("shellcheck", ROOT / script, text="")
    assert done.returncode == 0, done.stdout


def test_shellcheck_catches_a_mistake() -> None:
    assert "SC2086" in lint("shellcheck", "-", text="#!/bin/sh\nrm -rf $1\n").stdout


@pytest.mark.parametrize("script", ["cluster/slurm/node.sh", "run", ".ci/run"])
def test_script_is_executable(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)


def test_container_file_passes_hadolint() -> None:
    done = lint("hadolint", "-", text=CONTAINER_FILE.read_text())
    assert done.returncode == 0, done.stdout
    wrong = CONTAINER_FILE.read_text().replace("USER 1000:1000", "USER root")
    assert "DL3002" in lint("hadolint", "-", text=wrong).stdout


def test_container_is_pinned_small_and_not_root() -> None:
    text = re.sub(r"\\\n", " ", CONTAINER_FILE.read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert sum(line.startswith("FROM ") for line in lines) == 2, "what builds is left behind"
    for line in re.findall(r"pip install.*?(?:&&|$)", text, re.MULTILINE):
        assert "-c constraints.txt" in line
    assert [line for line in lines if line.startswith("USER ")] == ["USER 1000:1000"]
    assert lines.index("USER 1000:1000") > max(
        number for number, line in enumerate(lines) if line.startswith(("RUN ", "COPY "))
    )
    assert not re.search(r"(?i)token=(?!token)|secret|password", text)


def test_container_takes_only_what_a_build_needs() -> None:
    """The build's context holds what the container file copies, and no `.venv` or results."""
    context = (CONTAINER_FILE.parent / "Dockerfile.dockerignore").read_text().split()
    allowed = {line.removeprefix("!") for line in context if line.startswith("!")}
    copied = set[str]()
    for line in re.findall(r"^COPY (?!--from)(.*)$", CONTAINER_FILE.read_text(), re.MULTILINE):
        copied |= set(line.split()[:-1])
    assert context[0] == "*"
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
