"""Renamed words: old files stay readable, and no id changes."""

import json
from importlib.resources import files

import pytest

from sweep_engine.errors import SpecError
from sweep_engine.spec import Sweep, dump_sweep, load, restore, spec_id
from sweep_engine.spec.renamed import RENAMED, first_written

EXAMPLES = files("sweep_engine") / "examples"
IDS = {
    "prior_vs_sgd": "99e3ec9a9e47934d",
    "prior_vs_sgd_digits": "5deaa88e646e9c8a",
}
"""As they were when the files said `estimator: ledger`."""


@pytest.fixture
def named():
    """A sweep file of today, and the same in the words of old."""
    text = (EXAMPLES / "prior_vs_sgd_digits.yaml").read_text()
    assert "estimator: decomposition" in text
    return text, text.replace("estimator: decomposition", "estimator: ledger")


@pytest.mark.parametrize("name", IDS)
def test_the_ids_of_examples_are_those_of_old(name):
    assert spec_id(load(EXAMPLES / f"{name}.yaml")) == IDS[name]


def test_a_file_in_the_words_of_old_is_the_same_sweep(named, tmp_path):
    sweeps = []
    for i, text in enumerate(named):
        path = tmp_path / f"{i}.yaml"
        path.write_text(text)
        sweeps.append(load(path))
    new, old = sweeps
    assert [each.estimator for each in old.compare] == [each.estimator for each in new.compare]
    assert spec_id(old) == spec_id(new)
    assert dump_sweep(old) == dump_sweep(new)


def test_a_stored_sweep_in_the_words_of_old_is_read(named, tmp_path):
    path = tmp_path / "new.yaml"
    path.write_text(named[0])
    sweep = load(path)
    stored = json.loads(json.dumps(dump_sweep(sweep)).replace('"decomposition"', '"ledger"'))
    assert dump_sweep(restore(stored, tmp_path)) == dump_sweep(sweep)


def test_only_the_renamed_key_is_translated(named, tmp_path):
    path = tmp_path / "new.yaml"
    path.write_text(named[0].replace("name: ", "name: decomposition-", 1))
    data = dump_sweep(load(path))
    old = first_written(data)
    assert old["name"].startswith("decomposition-")
    assert {each["estimator"] for each in old["compare"]} & {"ledger"}
    assert all(each["estimator"] != "decomposition" for each in old["compare"])
    assert data["compare"] != old["compare"], "what was given stays as it is"


def test_every_renamed_key_is_one_of_a_sweep(named, tmp_path):
    """A path that leads nowhere would translate nothing, and change ids."""
    path = tmp_path / "new.yaml"
    path.write_text(named[0])
    for renamed in RENAMED:
        level = dump_sweep(load(path))
        for key in renamed.path:
            level = level[0] if key == "*" else level[key]


def test_no_other_word_is_read():
    with pytest.raises((SpecError, ValueError), match="estimator"):
        Sweep.model_validate(
            {
                "name": "a", "task": {"kind": "boolean", "bits": 3, "target": "x1", "train": 4},
                "model": {"kind": "linear"}, "sources": {},
                "compare": [{"source": "a", "reference": "b", "observable": "function",
                             "estimator": "ledgers"}],
            }
        )  # fmt: skip
