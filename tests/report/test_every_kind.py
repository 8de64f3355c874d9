"""Sources that nobody trained go through compare and report alone, with an axis."""

import pytest

from sweep_engine.densities import Study, compare_all, write_comparisons
from sweep_engine.execution import run
from sweep_engine.report import write_report
from sweep_engine.spec import Sweep
from sweep_engine.store import OutputDirectory
from tests.sources.conformance import CASES, sweep_of


def walked(out, sources, axes, compare):
    """Run a sweep, and put all its pairs on a page: the page, and why what was refused was."""
    sweep = sweep_of(sources, compare).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert run(Sweep.model_validate(sweep | {"axes": axes}), out).is_complete
    study = Study.open(out)
    compared, refused = compare_all(study)
    write_comparisons(OutputDirectory(out).files, compared)
    write_report(out)
    return (out / "report.html").read_text(), compared, refused


ALONE = ("all", "guess")


@pytest.mark.parametrize("name", ALONE)
def test_a_sweep_of_one_untrained_source_with_an_axis_has_a_page(tmp_path, name):
    axes = {f"sources.{name}.law.std": [0.5, 1.0]}
    page, compared, refused = walked(tmp_path / "out", {name: CASES[name]}, axes, ())
    assert (compared, refused) == ([], [])
    assert "0.5" in page
