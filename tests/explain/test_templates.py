"""`sweep-engine new`: what it writes loads, and says what its keys mean."""

from pathlib import Path

import pytest

import sweep_engine
from sweep_engine.explain import SIMPLEST, Book, templates
from sweep_engine.explain.templates import SCHEMA_FILE
from sweep_engine.spec import load, spec_id
from tests.shell import call

BAD_INPUT = 2


@pytest.mark.parametrize("name", templates())
def test_what_is_written_is_the_sweep_of_the_template(name: str, tmp_path: Path):
    ended = call("new", name, "-o", tmp_path / "mine.yaml")
    assert ended.code == 0, ended.err
    packaged = Path(sweep_engine.__file__).parent / "examples" / f"{name}.yaml"
    assert spec_id(load(tmp_path / "mine.yaml")) == spec_id(load(packaged))


def test_the_simplest_is_written_here_with_a_comment_at_every_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert "next: sweep-engine plan minimal.yaml" in call("new").out
    text = (tmp_path / f"{SIMPLEST}.yaml").read_text()
    assert text.startswith(f"# yaml-language-server: $schema={SCHEMA_FILE}\n")
    assert f"sweep-engine schema > {SCHEMA_FILE}" in text
    at_the_top = [line for line in text.splitlines() if line[:1].isalpha()]
    assert [line for line in at_the_top if "#" not in line] == ["name: minimal"]


def test_what_it_tells_to_explain_can_be_explained():
    text = (Path(sweep_engine.__file__).parent / "examples" / f"{SIMPLEST}.yaml").read_text()
    asked = [rest.split()[0].rstrip(":") for rest in text.split("# explain ")[1:]]
    asked += [rest.split()[0].rstrip(":") for rest in text.split(": explain ")[1:]]
    assert len(asked) >= 4
    for path in asked:
        assert Book({}).find(path).entry.meaning


def test_a_file_that_is_there_is_left_as_it_is(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("mine")
    ended = call("new", "-o", file)
    assert (ended.code, file.read_text()) == (BAD_INPUT, "mine")
    assert "was left as it is" in ended.err


def test_a_template_that_is_not_there_names_those_that_are(tmp_path: Path):
    ended = call("new", "minimall", "-o", tmp_path / "x.yaml")
    assert (ended.code, list(tmp_path.iterdir())) == (BAD_INPUT, [])
    assert "did you mean 'minimal'?" in ended.err


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path):
    ended = call("new", "-o", tmp_path / "no" / "x.yaml")
    assert ended.code == BAD_INPUT
    assert len(ended.err.splitlines()) == 1


def test_templates_are_listed_with_what_they_ask():
    listed = call("new", "--list").out.splitlines()
    assert listed[0].startswith("minimal: A first sweep")
    assert len(listed) == len(templates())


def test_shell_completion_is_offered():
    assert "--install-completion" in call("--help").out
