"""Observables of the parameters."""

from typing import Literal

from sweep_engine.spec.observables.kind import Bare


class Norms(Bare):
    """Norms of theta and of each layer's weights, and their products over the layers."""

    kind: Literal["norms"] = "norms"


class Distance(Bare):
    """How far a run has moved from where it started; null for draws."""

    kind: Literal["distance"] = "distance"


class Path(Bare):
    """The path norm of a chain of dense layers, and the margin over it."""

    kind: Literal["path"] = "path"


class Balance(Bare):
    """Where a solution of ab = y lies along its curve."""

    kind: Literal["balance"] = "balance"


class Symmetry(Bare):
    """How many networks the symmetries of hidden units make of one."""

    kind: Literal["symmetry"] = "symmetry"
