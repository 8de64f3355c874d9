"""A plan as it travels to another machine: with the data files that its tasks name."""

import hashlib
import secrets
from dataclasses import dataclass, replace
from pathlib import Path

from sweep_engine.caches import cache_folder
from sweep_engine.planning import Plan


@dataclass(frozen=True)
class PackedPlan:
    """A plan and the contents of its data files, by their paths.

    Attributes:
        plan: The plan, of which the folder means nothing elsewhere.
        data: By path, relative to the sweep's folder.
    """

    plan: Plan
    data: dict[str, bytes]

    def unpack(self) -> Plan:
        """Make the plan of this machine, its data files in a cache under their contents' hash."""
        if not self.data:
            return self.plan
        folder = cache_folder("data") / self._digest()
        for path, content in self.data.items():
            _write(folder / path, content)
        sweep = self.plan.sweep.model_copy()
        sweep._folder = folder
        return replace(self.plan, sweep=sweep)

    def _digest(self) -> str:
        digests = [f"{p} {hashlib.sha256(c).hexdigest()}" for p, c in sorted(self.data.items())]
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:32]


def pack_plan(plan: Plan) -> PackedPlan:
    """Read a plan's data files, and leave behind what only error messages need."""
    sweep = plan.sweep.model_copy()
    sweep._document = None
    names = {file.path for setting in plan.settings.values() for file in setting.task.data_files}
    data = {name: (plan.sweep.folder / name).read_bytes() for name in sorted(names)}
    return PackedPlan(replace(plan, sweep=sweep), data)


def _write(path: Path, content: bytes) -> None:
    """Write a file whole, whoever else is writing it."""
    if not path.is_file():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
        temporary.write_bytes(content)
        temporary.replace(path)
