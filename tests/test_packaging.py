"""What is shipped (wheel, sdist, pins), and `./run` with a uv that installs nothing."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13")


# Wheel and sdist


def build(kind: str, source: Path, out: Path) -> Path:
    """Build with the setuptools at hand, as a build frontend would."""
    code = f"import sys, setuptools.build_meta as b; b.build_{kind}(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, out], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


def wheel_names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build reads: setuptools writes beside its input."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("sweep_engine", "kernels"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=ignore)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    return wheel_names(build("wheel", source, tmp_path_factory.mktemp("wheel")))


def test_wheel_has_every_file_of_the_package(source: Path, wheel: set[str]) -> None:
    files = {
        (Path(folder) / name).relative_to(source).as_posix()
        for folder, _, names in os.walk(source / "sweep_engine", followlinks=True)
        for name in names
        if not name.endswith(".png")  # the README's figures
    }
    assert files - wheel == set()
    assert "sweep_engine/py.typed" in wheel
    assert "sweep_engine/kernels/__init__.py" in wheel
    assert [name for name in wheel if re.fullmatch(r"sweep_engine/examples/[^/]+\.yaml", name)]


def test_wheel_takes_no_other_top_level_name(wheel: set[str]) -> None:
    top_level = {name.split("/")[0] for name in wheel}
    assert {name for name in top_level if not name.endswith(".dist-info")} == {"sweep_engine"}


def test_sdist_builds_the_same_wheel(source: Path, wheel: set[str], tmp_path: Path) -> None:
    sdist = build("sdist", source, tmp_path)
    subprocess.run(["tar", "-xf", sdist, "-C", tmp_path], check=True)
    unpacked = tmp_path / sdist.name.removesuffix(".tar.gz")
    assert not (unpacked / "kernels").exists()
    assert wheel_names(build("wheel", unpacked, tmp_path)) == wheel


# Pins


def pins() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_constraints_hold_no_address() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
    assert "@" not in text
    assert not re.search(r"^\s*-", text, re.MULTILINE), "an option of pip may name an address"


def test_constraints_are_exact() -> None:
    for pin in pins():
        assert re.fullmatch(r"==[^*,]+", str(pin.specifier)), str(pin)


def direct_requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [
        Requirement(line)
        for line in project["dependencies"] + project["optional-dependencies"]["dev"]
    ]


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_is_pinned_to_a_version_it_allows(python: str) -> None:
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    pinned: dict[str, str] = {}
    for pin in pins():
        if pin.marker is None or pin.marker.evaluate(environment):
            name = canonicalize_name(pin.name)
            assert name not in pinned, f"two pins of {name} on Python {python}"
            pinned[name] = str(pin.specifier).removeprefix("==")

    for wanted in direct_requirements():
        version = pinned[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version), f"{wanted} but {wanted.name}=={version}"


def test_what_the_requirements_require_is_pinned_too() -> None:
    """Followed through the packages installed here."""
    pinned = {canonicalize_name(pin.name) for pin in pins()}
    ahead, seen = direct_requirements(), set[tuple[str, str]]()
    while ahead:
        wanted = ahead.pop()
        assert canonicalize_name(wanted.name) in pinned
        for extra in {"", *wanted.extras}:
            if (wanted.name, extra) in seen:
                continue
            seen.add((wanted.name, extra))
            for line in importlib.metadata.requires(wanted.name) or []:
                further = Requirement(line)
                if further.marker is None or further.marker.evaluate({"extra": extra}):
                    ahead.append(further)


# ./run

FAKE_UV = """#!/bin/sh
echo "$*" >>"$CALLS"
case $1 in
venv)
    mkdir -p .venv/bin
    ln -s '@PYTHON@' .venv/bin/python
    for program in sweep-engine ruff mypy lint-imports pytest; do
        printf '#!/bin/sh\\necho "%s $*"\\n[ "%s" != "$FAILING" ] || exit 7\\n' \\
            $program $program >.venv/bin/$program
        chmod +x .venv/bin/$program
    done
    ;;
pip) [ "$FAILING" != install ] || { echo "the registry said no"; exit 1; } ;;
esac
"""


class Checkout:
    """A copy of what `./run` reads, a uv on PATH that only notes its calls, and no accelerator."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "check out"
        self.calls_file = folder / "calls"
        self.folder.mkdir(parents=True)
        (folder / "bin").mkdir()
        for name in ("run", ".ci/run", "pyproject.toml", "constraints.txt"):
            (self.folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, self.folder / name)
        uv = folder / "bin" / "uv"
        uv.write_text(FAKE_UV.replace("@PYTHON@", sys.executable))
        uv.chmod(0o755)
        python_folder = Path(sys.executable).parent
        self.environment = {
            "PATH": f"{uv.parent}:{python_folder}:/usr/local/bin:/usr/bin:/bin",
            "CALLS": str(self.calls_file),
            "FAILING": "",
            "SWEEP_ENGINE_ACCELERATOR": "cpu",
        }

    def run(
        self, *arguments: str, script: str = "run", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the script from another folder."""
        return subprocess.run(
            [self.folder / script, *arguments],
            cwd=self.folder.parent,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def calls(self) -> list[str]:
        """Tell what uv was called with since the last look."""
        text = self.calls_file.read_text() if self.calls_file.exists() else ""
        self.calls_file.write_text("")
        return text.splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize("name", ["run", ".ci/run"])
def test_scripts_are_executable(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)


def test_unknown_command_exits_2_with_usage(checkout: Checkout) -> None:
    done = checkout.run("nonsense")
    assert done.returncode == 2
    assert "no command 'nonsense'" in done.stderr
    assert "usage: ./run" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("help",), ("--help",)])
def test_help_installs_nothing(checkout: Checkout, arguments: tuple[str, ...]) -> None:
    done = checkout.run(*arguments)
    assert done.returncode == 0
    assert "usage: ./run" in done.stdout
    assert not (checkout.folder / ".venv").exists()


def test_demo_passes_its_arguments_on(checkout: Checkout) -> None:
    done = checkout.run("demo", "--out", "a folder")
    assert (done.returncode, done.stdout) == (0, "sweep-engine demo --out a folder\n")


def test_second_run_installs_nothing(checkout: Checkout) -> None:
    checkout.run("demo")
    assert checkout.calls()
    done = checkout.run("demo")
    assert checkout.calls() == []
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_requirements_install_again(checkout: Checkout, name: str) -> None:
    checkout.run("demo")
    checkout.calls()
    with (checkout.folder / name).open("a") as file:
        file.write("\n# changed\n")
    checkout.run("demo")
    assert any(call.startswith("pip install") for call in checkout.calls())


def test_extras_add_up(checkout: Checkout) -> None:
    checkout.run("demo")
    assert checkout.calls()[-1].endswith("-e .")
    checkout.run("test")
    assert checkout.calls()[-1].endswith("-e .[dev]")
    checkout.run("demo", SWEEP_ENGINE_ACCELERATOR="cuda13")
    assert checkout.calls()[-1].endswith("-e .[cuda13,dev]")
    checkout.run("test")
    assert checkout.calls() == []


def test_unknown_accelerator_is_refused(checkout: Checkout) -> None:
    done = checkout.run("demo", SWEEP_ENGINE_ACCELERATOR="abacus")
    assert done.returncode == 2
    assert "cpu, cuda13 or tpu, not abacus" in done.stderr
    assert checkout.calls() == []


def test_failed_install_shows_why_and_is_done_again(checkout: Checkout) -> None:
    done = checkout.run("demo", FAILING="install")
    assert done.returncode == 1
    assert "the registry said no" in done.stderr
    assert done.stdout == "", "the demo must not start"
    checkout.calls()
    done = checkout.run("demo")
    assert done.returncode == 0
    assert checkout.calls()[0].startswith("venv "), "what is there may be half a package"


def age(checkout: Checkout) -> None:
    python = checkout.folder / ".venv/bin/python"
    python.unlink()
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)


def move(checkout: Checkout) -> None:
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("moved"))


@pytest.mark.parametrize("spoil", [age, move])
def test_unusable_environment_is_made_anew(
    checkout: Checkout, spoil: Callable[[Checkout], None]
) -> None:
    checkout.run("demo")
    checkout.calls()
    spoil(checkout)
    assert checkout.run("demo").returncode == 0
    assert checkout.calls()[0].startswith("venv ")


def test_two_at_once_install_once(checkout: Checkout) -> None:
    """The second waits for the process that the first one's note names."""
    checkout.run("demo")
    checkout.calls()
    note = checkout.folder / ".venv/.installing"
    first = subprocess.Popen(["/bin/sh", "-c", 'sleep 2; rm "$1"', "sh", str(note)])
    note.write_text(f"{first.pid}\n")
    done = checkout.run("demo")
    first.wait(timeout=60)
    assert done.returncode == 0
    assert f"process {first.pid}" in done.stderr
    assert checkout.calls() == []


def test_no_python_says_what_to_install(checkout: Checkout) -> None:
    tools = checkout.folder.parent / "tools"
    tools.mkdir()
    needed = ["sh", "cat", "cksum", "dirname", "head", "mkdir", "paste", "rm", "sort", "tail", "tr"]
    for name in needed:
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    done = checkout.run("demo", PATH=str(tools))
    assert done.returncode == 1
    assert "no Python >= 3.11" in done.stderr
    assert "apt-get install python3" in done.stderr


def headings(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.removeprefix("== ") for line in done.stdout.splitlines() if line.startswith("== ")]


def test_test_takes_every_step_in_order(checkout: Checkout) -> None:
    done = checkout.run("test", "-k", "two words")
    assert done.returncode == 0
    *checks, tests = headings(done)
    assert checks == ["ruff check .", "ruff format --check .", "mypy", "lint-imports"]
    assert re.fullmatch(r"pytest( -n [345] --dist worksteal)? -m not long -k two words", tests)


def test_test_all_leaves_no_test_out(checkout: Checkout) -> None:
    done = checkout.run("test", "--all", "-x")
    assert re.fullmatch(r"pytest( -n [345] --dist worksteal)? -x", headings(done)[-1])


def test_test_stops_at_the_first_failure(checkout: Checkout) -> None:
    done = checkout.run("test", FAILING="mypy")
    assert done.returncode == 7
    assert headings(done)[-2:] == ["mypy", "mypy failed"]


def test_ci_runs_the_tests(checkout: Checkout) -> None:
    by_hand, by_ci = checkout.run("test"), checkout.run(script=".ci/run", CI="true")
    assert by_ci.returncode == 0
    assert headings(by_ci) == headings(by_hand)
