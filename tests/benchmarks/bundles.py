"""Read cycles off the instructions that a TPU's compiler made of a kernel, or of an operation.

Its last listing has a line for each bundle, which the core issues in one cycle. It says how deep
in loops a bundle lies (`>>>`), where a loop begins (`LB:`), and how many turns that takes (`loop
exit test`). Cycles are the sum over bundles of the turns around them; waits on memory off the chip
are not in it.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

FLAGS = (
    "--xla_jf_dump_to={folder} --xla_jf_dump_llo_text=true "
    "--xla_jf_dump_llo_pass_label_regex=final_bundles"
)
"""Have libtpu write its last listings to a folder; they stand in LIBTPU_INIT_ARGS."""

OUTER = 2
"""A kernel's outermost loops, over blocks and over steps, whose turns are not wanted."""

_LINE = re.compile(r"\s*(?:0x[0-9a-f]+|0)\s+(\w\w)?\s*:\s*(>*)\s*\{(.*)")
_TEST = re.compile(
    r"%(\w+) = scmp\.ge\.s32\.totalorder (?:\(%\w+\), )?%\w+, (\d+) /\* loop exit test"
)
_BACK = re.compile(r"sbr\.rel \(!%(\w+)\)")


@dataclass
class Loop:
    """A loop, or what is in none: bundles of its own, and its turns where they are known."""

    around: "Loop | None" = None
    bundles: int = 0
    turns: int | None = None


def listing(folder: Path, kernel: str) -> str:
    """Find the last listing of a kernel among those that libtpu wrote."""
    (found,) = folder.glob(f"*{kernel}*-final_bundles.txt")
    return found.read_text()


def listings(folder: Path) -> dict[str, str]:
    """Return the last listing of each operation of a program, by its name."""
    found = folder.glob("*-final_bundles.txt")
    return {one.name.split("-", 1)[1].rsplit("-", 2)[0]: one.read_text() for one in found}


def cycles_of_operation(text: str, windows: int) -> int:
    """Count the cycles of an operation of XLA, whose outermost loop is over its windows.

    That loop turns once or twice more, to fetch the first window and to store the last one; then
    it skips the work. Inner loops of unknown length count once: they end copies.
    """
    lines = [match for match in map(_LINE.match, text.splitlines()) if match]
    cycles = sum(not match[2] for match in lines)
    for loop in _loops(text, outer=0):
        _, *inner = _around(loop)
        cycles += loop.bundles * windows * math.prod(each.turns or 1 for each in inner)
    return cycles


def cycles_of_turn(text: str, leave_out: int | None = None) -> int:
    """Count the cycles of a turn of the second loop, which is over steps; the first is over blocks.

    Args:
        text: A listing.
        leave_out: Loops of so many turns, which are not done every step.
    """
    turns = [(loop.bundles, [each.turns or 1 for each in _around(loop)]) for loop in _loops(text)]
    return sum(
        bundles * math.prod(around)
        for bundles, around in turns
        if len(around) >= OUTER and leave_out not in around
    )


def _around(loop: Loop) -> list[Loop]:
    """List the loops that a loop lies in, the outermost first, and itself."""
    return [*(_around(loop.around) if loop.around else []), loop]


def _loops(text: str, outer: int = OUTER) -> list[Loop]:
    tests = {name: int(turns) for name, turns in _TEST.findall(text)}
    found: list[Loop] = []
    inside: list[Loop] = []
    for mark, depth, bundle in (m.groups() for m in map(_LINE.match, text.splitlines()) if m):
        if mark == "LB":
            del inside[len(depth) - 1 :]
            inside.append(Loop(inside[-1] if inside else None))
            found.append(inside[-1])
        if depth and inside:
            inside[min(len(depth), len(inside)) - 1].bundles += 1
        # Near a loop's end depths are told one less at times: the branch back is the innermost's.
        for test in set(_BACK.findall(bundle)) & set(tests):
            if len(inside) > outer:
                inside.pop().turns = tests[test]
    return found
