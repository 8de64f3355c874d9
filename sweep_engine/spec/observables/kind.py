"""What every observable must answer."""

from abc import abstractmethod
from typing import ClassVar, NamedTuple

from pydantic import model_serializer

from sweep_engine.spec.base import Spec


class ProjectionPlane(NamedTuple):
    """Two columns that place a network in a plane.

    Attributes:
        columns: Their names.
        point: What is projected, in words.
        plane: What on, in words.
    """

    columns: tuple[str, str]
    point: str
    plane: str


class ObservableKind(Spec):
    """Base of all observables: what others must know of one, without a default."""

    kind: str

    @property
    @abstractmethod
    def fit_source(self) -> str | None:
        """The source on whose stored networks it is fitted, once all are there; else None."""

    @property
    @abstractmethod
    def projection_plane(self) -> ProjectionPlane | None:
        """The plane that its columns span, to draw networks in; None where they span none."""

    @property
    @abstractmethod
    def entry_names(self) -> tuple[str, ...]:
        """What each entry of its lists stands for; empty where the network's shape says that."""


class Bare(ObservableKind):
    """Base of the kinds without settings: in a file and in `sweep.json` they are names alone."""

    fit_source: ClassVar[None] = None
    projection_plane: ClassVar[None] = None
    entry_names: ClassVar[tuple[str, ...]] = ()

    @model_serializer
    def _name(self) -> str:
        return self.kind
