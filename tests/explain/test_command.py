"""`sweep-engine explain`: its exit codes, its JSON, and an entry for every command."""

import json

import pytest
import typer

from sweep_engine.cli import app
from sweep_engine.explain import Book, commands
from tests.shell import call

BAD_INPUT = 2


def test_explain_alone_is_a_map():
    ended = call("explain")
    assert ended.code == 0
    assert {"task", "sources", "estimators", "column"} <= set(ended.out.split())


@pytest.mark.parametrize("path", [("column.l2_norm",), ("column", "l2_norm")])
def test_a_path_is_one_word_or_several(path: tuple[str, ...]):
    ended = call("explain", *path, "--json")
    assert (ended.code, json.loads(ended.out)["path"]) == (0, "column.l2_norm")


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("sources.train.opt", {"sources.train.optimizer"}),
        ("sources.train.optimizer.sgd.mo", {"sources.train.optimizer.sgd.momentum"}),
        ("optimizer.sgd.mo", {"optimizer.sgd.momentum"}),
        ("comp", {"compare"}),
        ("task.boolean.b", {"task.boolean.bits"}),
        ("column l2_n", {"l2_norm"}),
        ("command.re", {"command.report", "command.retry"}),
        ("estimate.reference_quantile_0.05", {"estimate.reference_quantile_0.05"}),
        ("nothing.like_it", set()),
    ],
)
def test_a_shell_completes_a_path(monkeypatch, words: str, completed: set[str]):
    """As bash asks: by the words of the line, and which of them is to be completed."""
    line = f"sweep-engine explain {words}"
    monkeypatch.setenv("_SWEEP_ENGINE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    assert set(call().out.split()) == completed


def test_a_misspelt_path_is_bad_input():
    ended = call("explain", "task.boolen")
    assert (ended.code, ended.out) == (BAD_INPUT, "")
    assert "did you mean task.boolean?" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_every_command_has_an_entry():
    group = typer.main.get_command(app)
    book = Book(commands(group))
    for name, command in group.commands.items():
        entry = book.find(f"command.{name}").entry
        assert entry.meaning == command.help
        assert entry.type.startswith(f"sweep-engine {name}")
    assert {"--out DIR", "--fail-fast"} <= {
        each.name for each in book.find("command.run").entry.fields
    }
