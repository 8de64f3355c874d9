"""Kinds of models, tasks, observables and laws: listed once, with every question answered."""

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field, TypeAdapter

from sweep_engine.laws.laws import DISTRIBUTIONS
from sweep_engine.models.network import MODULES
from sweep_engine.observables import OBSERVABLES
from sweep_engine.spec.base import Spec, check_complete, kinds
from sweep_engine.spec.laws import Law, LawSpec
from sweep_engine.spec.models import ModelKind, ModelSpec
from sweep_engine.spec.observables import ObservableKind, ObservableSpec
from sweep_engine.spec.tasks import TaskKind, TaskSpec
from sweep_engine.tasks import LOADERS


class Asked(Spec):
    @property
    @abstractmethod
    def answer(self) -> int: ...


class One(Asked):
    answer: ClassVar[int] = 1
    kind: Literal["one"] = "one"


class Two(Asked):
    kind: Literal["two"] = "two"

    @property
    def answer(self) -> int:
        return 2


class Silent(Asked):
    kind: Literal["silent"] = "silent"


Both = Annotated[One | Two, Field(discriminator="kind")]


def test_the_classes_of_a_union():
    assert kinds(Both) == (One, Two)
    assert kinds(Annotated[One, Field(description="one alone")]) == (One,)
    assert kinds(One) == (One,)


def test_a_whole_table_passes():
    check_complete(Both, {One: 1, Two: 2}, "here.TABLE")


@pytest.mark.parametrize(
    ("union", "table", "message"),
    [
        (Both, {One: 1}, "^Two has no entry in here.TABLE$"),
        (One, {One: 1, Two: 2}, "^Two stands in here.TABLE, but in no union of .*test_kinds"),
        (One | Silent, {One: 1, Silent: 2}, "^Silent lacks answer: answer it in .*test_kinds$"),
        (One | Silent, {}, "lacks answer.*One has no entry.*Silent has no entry"),
    ],
)
def test_what_is_missing_is_named_with_its_place(union, table, message):
    with pytest.raises(TypeError, match=message):
        check_complete(union, table, "here.TABLE")


def test_a_kind_without_an_answer_cannot_be_loaded():
    adapter = TypeAdapter(Annotated[One | Silent, Field(discriminator="kind")])
    assert adapter.validate_python({"kind": "one"}).answer == 1
    with pytest.raises(TypeError, match="answer"):
        adapter.validate_python({"kind": "silent"})


@pytest.mark.parametrize(
    ("union", "table", "base"),
    [
        (ModelSpec, MODULES, ModelKind),
        (TaskSpec, LOADERS, TaskKind),
        (ObservableSpec, OBSERVABLES, ObservableKind),
        (LawSpec, DISTRIBUTIONS, Law),
    ],
)
def test_every_kind_is_in_its_table_and_may_leave_no_question_out(union, table, base):
    check_complete(union, table, "the table")
    questions = base.__abstractmethods__
    assert questions
    assert not questions & set(base.model_fields), "ids would change"
    for kind in kinds(union):
        assert issubclass(kind, base)
        assert kind.__doc__
        assert not questions & set(kind.model_fields)
