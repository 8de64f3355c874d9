"""The question of a report: sources that are compared, or looked at by themselves."""

import pytest

from sweep_engine.report.words import question
from sweep_engine.spec import Sweep

PRIOR = {"kind": "prior", "law": {"kind": "box"}, "draws": 100}
ACROSS = {"source": "a", "reference": "b", "observable": "train_loss"}
WITHIN = {"source": "c", "correlate": ["train_loss", "test_loss"]}


@pytest.mark.parametrize(
    ("compare", "asked"),
    [
        ([], "Where do these networks land?"),
        ([ACROSS], "Where do the networks of a land, compared with those of b?"),
        ([WITHIN], "What do the networks of c have in common?"),
        ([ACROSS, WITHIN], "Where do the networks of a land, compared with those of b?"),
    ],
)
def test_what_is_asked(compare, asked):
    sweep = Sweep.model_validate(
        {
            "name": "words",
            "task": {"kind": "boolean"},
            "model": {"kind": "linear"},
            "sources": dict.fromkeys("abc", PRIOR),
            "compare": compare,
        }
    )
    assert question(sweep).split("\n")[0] == asked
