"""Every kind of source that can stand in a sweep file meets the conformance table."""

import typing
from pathlib import Path

import pytest

from sweep_engine.execution import Programs
from sweep_engine.report.figures.plane import IS_MEASURED
from sweep_engine.spec.sources import SourceRole, SourceSpec
from tests.sources import conformance
from tests.sources.conformance import CASES, CHECKS, Tried, try_out


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Tried:
    return try_out(CASES, tmp_path_factory.mktemp("kinds"))


def test_every_kind_has_a_case() -> None:
    kinds = typing.get_args(typing.get_args(SourceSpec)[0])
    assert {kind.model_fields["kind"].default for kind in kinds} == {
        source["kind"] for source in CASES.values()
    }


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("source", CASES)
def test_a_kind_conforms(check: typing.Callable[..., None], source: str, tried: Tried) -> None:
    check(tried, source)


def test_a_program_is_compiled_once(tried: Tried) -> None:
    programs = Programs(tried.plan)
    needed = {
        id(program) for name in tried.plan.buckets for program, _ in programs.of(name).to_compile()
    }
    assert 0 < tried.compilations <= len(needed)


def test_every_role_has_a_place_in_one_of_the_two_pictures() -> None:
    assert set(IS_MEASURED) == set(SourceRole)


def test_the_checks_can_fail(tried: Tried, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind that announces too little is caught."""
    train = type(tried.plan.sweep.sources["sgd"])
    monkeypatch.setattr(train, "work_per_run", property(lambda self: 1))
    monkeypatch.setattr(train, "states_per_run", property(lambda self: 1))
    with pytest.raises(AssertionError):
        conformance.check_costs_are_bounds(tried, "sgd")


def test_a_report_is_made_of_all_of_them(tried: Tried) -> None:
    from sweep_engine.report import write_report

    assert Path(write_report(tried.root)).exists()
