"""A cache is optional, and one that others can write to is not used."""

import errno
import json
import os
import stat
from pathlib import Path

import jax
import pytest

from sweep_engine import caches
from sweep_engine.caches import cache_folder
from sweep_engine.execution import Programs, clock, costs
from sweep_engine.execution.programs.programs import compilation_cache
from sweep_engine.planning import Plan
from sweep_engine.spec import dump_sweep
from sweep_engine.store import open_results
from tests.shell import call
from tests.sources.conformance import CASES, sweep_of

NAMES = ("xla", "native", "data")


@pytest.fixture
def base(tmp_path, monkeypatch):
    """Where caches are kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    caches._warn_once.cache_clear()
    return tmp_path / "cache"


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_this_users_alone_whatever_the_umask(base, name):
    before = os.umask(0)
    try:
        folder = cache_folder(name)
    finally:
        os.umask(before)
    assert folder == base / "sweep_engine" / name == cache_folder(name)
    assert mode_of(folder) == mode_of(folder.parent) == 0o700
    assert list(folder.iterdir()) == []


def test_it_is_below_the_home_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder("xla") == tmp_path / ".cache" / "sweep_engine" / "xla"


def open_to_all(base, monkeypatch):
    (base / "sweep_engine" / "xla").chmod(0o777)


def parent_open_to_a_group(base, monkeypatch):
    (base / "sweep_engine").chmod(0o770)


def base_open_to_all(base, monkeypatch):
    base.chmod(0o777)


def somebody_elses(base, monkeypatch):
    uid = os.getuid()
    monkeypatch.setattr(caches.os, "getuid", lambda: uid + 1)


def full(base, monkeypatch):
    def refuse(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)


def below_a_file(base, monkeypatch):
    (base / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(base / "file" / "cache"))


def no_home(base, monkeypatch):
    def refuse():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", refuse)


UNUSABLE = [
    open_to_all, parent_open_to_a_group, base_open_to_all, somebody_elses, full, below_a_file,
    no_home,
]  # fmt: skip


@pytest.mark.parametrize("spoil", UNUSABLE)
def test_one_that_cannot_be_used_is_left_alone_and_that_is_said_once(
    base, spoil, monkeypatch, caplog
):
    kept = cache_folder("xla")
    (kept / "theirs").write_bytes(b"theirs")
    with monkeypatch.context() as patch:
        spoil(base, patch)
        instead = [cache_folder("xla") for _ in range(2)]
    assert instead[0] == instead[1] != kept
    assert list(instead[0].iterdir()) == []
    assert mode_of(instead[0].parent) == 0o700
    assert [path.name for path in kept.iterdir()] == ["theirs"]
    assert len(caplog.records) == 1
    assert "nothing is kept in a cache" in caplog.text


def test_a_sticky_folder_is_as_good_as_a_home(base):
    base.mkdir()
    base.chmod(0o1777)
    assert cache_folder("data").parent.parent == base


@pytest.fixture
def no_xla_cache():
    before = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    jax.config.update("jax_compilation_cache_dir", before)


@pytest.mark.parametrize("is_safe", [True, False])
def test_xla_reads_no_program_that_others_could_have_put_there(base, is_safe, no_xla_cache):
    folder = cache_folder("xla")
    folder.chmod(0o700 if is_safe else 0o777)
    compilation_cache()
    assert (jax.config.values["jax_compilation_cache_dir"] == str(folder)) == is_safe


def test_what_a_plan_compiles_is_kept_for_the_run(base, no_xla_cache):
    nothing = Plan(sweep_of({"init": CASES["all"]}), {}, {}, ())
    assert costs(nothing, Programs(nothing), clock(measures=True)) == []
    assert jax.config.values["jax_compilation_cache_dir"] == str(cache_folder("xla"))


def test_xla_does_without_where_nothing_can_be_written(base, no_xla_cache, monkeypatch):
    def refuse(name):
        raise OSError("no room for temporary files")

    monkeypatch.setattr("sweep_engine.execution.programs.programs.cache_folder", refuse)
    compilation_cache()
    assert jax.config.values["jax_compilation_cache_dir"] is None


def test_a_sweep_is_planned_and_run_where_nothing_can_be_kept(base, no_xla_cache, monkeypatch):
    base.mkdir()
    below_a_file(base, monkeypatch)
    file, out = base.parent / "sweep.json", base.parent / "out"
    file.write_text(json.dumps(dump_sweep(sweep_of({"init": CASES["all"]}))))
    for words in (["plan", file], ["run", file, "--out", out]):
        ended = call(*words)
        assert ended.code == 0, ended.err
    assert open_results(out).runs().num_rows == CASES["all"]["draws"]
    assert [path.name for path in base.iterdir()] == ["file"]
