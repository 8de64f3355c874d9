"""Requests that were not met, though all was done that could be: they are not complete."""

from collections.abc import Mapping
from dataclasses import dataclass

from sweep_engine.planning import Plan, num_runs
from sweep_engine.spec import Piece, Setting
from sweep_engine.spec.wording import value_text


@dataclass(frozen=True)
class Shortfall:
    """A setting that made all its draws and found fewer acceptances than were asked for.

    Attributes:
        setting: The setting.
        draws: How many it made.
        accepted: How many of them were accepted.
        target: How many were to be.
    """

    setting: Setting
    draws: int
    accepted: int
    target: int

    def __str__(self) -> str:
        at = ", ".join(
            f"{path} = {value_text(value)}" for path, value in self.setting.values.items()
        )
        return (
            f"{self.setting.source}{f' at {at}' if at else ''}: {self.accepted:,} of "
            f"{self.target:,} acceptances in {self.draws:,} draws: raise its max_draws, ask for "
            "fewer, or use splitting"
        )


def shortfalls(plan: Plan, fits: Mapping[str, int]) -> list[Shortfall]:
    """List the requests for acceptances that were not met, though every draw was made."""
    found = []
    for setting in plan.settings.values():
        target = setting.spec.accepts_until
        if target is None:
            continue
        shards = plan.shards_of(Piece(setting, 0, num_runs(setting)))
        accepted = sum(fits.get(shard, 0) for shard in shards)
        if accepted < target and all(shard in fits for shard in shards):
            found.append(Shortfall(setting, num_runs(setting), accepted, target))
    return found
