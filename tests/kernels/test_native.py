"""Libraries that are built at first use."""

import ctypes
import stat
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from sweep_engine.kernels import native
from tests.kernels.compilers import needs_compiler

SOURCE = 'extern "C" int answer() { return ANSWER; }\n'
FUNCTIONS = """
#include "{vectors}"
extern "C" void apply(int which, const float* x, float* y, int n) {{
  using namespace sweep;
  for (int i = 0; i < n; i += LANES) {{
    const Vec v = load(x + i);
    store(y + i, which == 0   ? exp_nonpositive(v)
                 : which == 1 ? log1p_unit(v)
                 : which == 2 ? tanh(v)
                              : erf(v));
  }}
}}
extern "C" void directions(const float* angle, float* cosine, float* sine, int n) {{
  for (int i = 0; i < n; i++) {{
    const sweep::Direction found = sweep::direction_of(angle[i]);
    cosine[i] = found.cosine;
    sine[i] = found.sine;
  }}
}}
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "answers" / "cpu" / "answer.cc"
    path.parent.mkdir(parents=True)
    path.write_text(SOURCE)
    return path


def test_what_was_built_is_found_again_and_what_changed_is_built(source: Path) -> None:
    first = native.build(source, [], ["ANSWER=1"])
    born = first.stat().st_mtime_ns
    assert native.load(first).answer() == 1
    assert native.build(source, [], ["ANSWER=1"]) == first
    assert first.stat().st_mtime_ns == born
    assert native.load(native.build(source, [], ["ANSWER=2"])).answer() == 2
    source.write_text(SOURCE.replace("ANSWER;", "ANSWER + 1;"))
    assert native.load(native.build(source, [], ["ANSWER=1"])).answer() == 2


def test_nobody_else_can_read_the_folder_and_nothing_is_left_in_it(source: Path) -> None:
    folder = native.build(source, [], ["ANSWER=1"]).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.suffix for path in folder.iterdir()] == [".so"]


def test_a_library_that_others_could_have_put_there_is_not_loaded(source: Path) -> None:
    theirs = native.build(source, [], ["ANSWER=1"])
    theirs.parent.chmod(0o777)
    theirs.write_bytes(b"theirs")
    built = native.build(source, [], ["ANSWER=1"])
    assert built.name == theirs.name
    assert native.load(built).answer() == 1


def test_no_compiler_is_said(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(source.parent))
    with pytest.raises(native.CannotBuild, match=r"no C\+\+ compiler .* install one"):
        native.build(source, [], ["ANSWER=1"])


@needs_compiler
def test_what_the_compiler_says_is_passed_on(source: Path) -> None:
    with pytest.raises(native.CannotBuild, match="WRONG"):
        native.build(source, [], ["ANSWER=WRONG"])
    assert list(native.cache_folder("native").iterdir()) == []


def test_a_library_that_is_not_one_is_refused(source: Path) -> None:
    built = native.build(source, [], ["ANSWER=1"])
    built.write_bytes(b"half")
    with pytest.raises(native.CannotBuild, match="cannot be loaded"):
        native.load(built)


def test_nowhere_to_write_is_said(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> Path:
        raise OSError("no room for temporary files")

    monkeypatch.setattr(native, "cache_folder", refuse)
    with pytest.raises(native.CannotBuild, match="cannot be kept"):
        native.build(source, [], ["ANSWER=1"])


@pytest.fixture
def functions(source: Path) -> ctypes.CDLL:
    vectors = Path(native.__file__).parent / "vectors.h"
    source.write_text(FUNCTIONS.format(vectors=vectors))
    return native.load(native.build(source, [], []))


@pytest.mark.parametrize(
    ("which", "truth", "low", "high", "ulps"),
    [
        (0, np.exp, -86.0, 0.0, 2),
        (1, np.log1p, 0.0, 1.0, 2),
        (2, np.tanh, -12.0, 12.0, 6),
        (3, special.erf, -6.0, 6.0, 6),
    ],
    ids=["exp", "log1p", "tanh", "erf"],
)
def test_vector_functions_to_so_many_units_in_the_last_place(
    functions: ctypes.CDLL, which: int, truth: np.ufunc, low: float, high: float, ulps: int
) -> None:
    size = 2**18
    small = np.geomspace(1e-30, 1, size // 2) * (low if high == 0 else high)
    x = np.concatenate([np.linspace(low, high, size // 2), small]).astype(np.float32)
    y = np.zeros_like(x)
    pointer = ctypes.POINTER(ctypes.c_float)
    functions.apply(which, x.ctypes.data_as(pointer), y.ctypes.data_as(pointer), size)
    exact = truth(x.astype(np.float64))
    unit = np.spacing(np.maximum(np.abs(exact), 1e-30).astype(np.float32))
    assert np.max(np.abs(y - exact) / unit) <= ulps


def test_directions_are_exact_to_half_a_unit_all_round(functions: ctypes.CDLL) -> None:
    """A cosine or sine near 0 is as exact as float64's quarter turns are."""
    quarters = np.arange(-9, 10) * np.pi / 2
    angles = np.concatenate([np.linspace(-15, 15, 2**14), quarters]).astype(np.float32)
    found = np.zeros((2, len(angles)), np.float32)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (angles, *found)]
    functions.directions(*pointers, len(angles))
    truth = np.stack([np.cos(angles.astype(np.float64)), np.sin(angles.astype(np.float64))])
    unit = np.spacing(np.maximum(np.abs(truth), 1e-2).astype(np.float32))
    assert np.max(np.abs(found - truth) / unit) <= 0.51


@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_vector_functions_keep_nan(functions: ctypes.CDLL, which: int) -> None:
    x = np.full(16, np.nan, np.float32)
    y = np.zeros_like(x)
    pointer = ctypes.POINTER(ctypes.c_float)
    functions.apply(which, x.ctypes.data_as(pointer), y.ctypes.data_as(pointer), 16)
    assert np.isnan(y).all()
