"""Sources: the laws from which networks are drawn, SGD among them; a file a kind."""

from typing import Annotated

from pydantic import Field

from sweep_engine.spec.sources.acceptance import Accept
from sweep_engine.spec.sources.drawn import GuessAndCheck, Prior
from sweep_engine.spec.sources.flow import Flow
from sweep_engine.spec.sources.posterior import Posterior
from sweep_engine.spec.sources.snapshot import Snapshot
from sweep_engine.spec.sources.source import Source, SourceRole
from sweep_engine.spec.sources.splitting import Splitting
from sweep_engine.spec.sources.stepped import Stepped
from sweep_engine.spec.sources.train import Record, Stop, Train

__all__ = [
    "Accept",
    "Flow",
    "GuessAndCheck",
    "Posterior",
    "Prior",
    "Record",
    "Snapshot",
    "Source",
    "SourceRole",
    "SourceSpec",
    "Splitting",
    "Stepped",
    "Stop",
    "Train",
]

SourceSpec = Annotated[
    Train | Flow | Prior | GuessAndCheck | Splitting | Posterior | Snapshot,
    Field(discriminator="kind"),
]
"""The kinds that can stand in a sweep file: this is the list of them."""
