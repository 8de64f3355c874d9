"""Read what a compiled program moves off its text: bytes by memory, launches, estimated cycles.

XLA's own `cost_analysis` adds all up: what is done once a call, once a turn of the loop, and in
branches that are seldom taken. Here these are apart, a *region* each, and what stays in a TPU's
on-chip memory (`S(1)` in a layout) is not counted as traffic. Arrays count with the padding of
their tiles. An operand of a fusion counts whole, even where a slice of it is read: an upper
bound. A loop whose number of turns is known counts in the region around it, that many times.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from tests.benchmarks.bundles import cycles_of_operation

BYTES = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "f16": 2, "bf16": 2,
         "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}  # fmt: skip

FREE = {"parameter", "constant", "get-tuple-element", "tuple", "bitcast", "after-all", "iota",
        "copy-done", "slice-done", "async-done", "opt-barrier", "partition-id"}  # fmt: skip
"""Operations that move nothing, or whose bytes count where they began."""

SLICES = {"slice", "dynamic-slice", "gather"}

_HEAD = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{$")
_LINE = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (.*)$")
_ARRAY = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\](?:\{([\d,]*)((?::[^}]*)?)\})?")
_WORKSPACE = re.compile(r"s8\[\d+\]\{0\}")
"""Room that cuBLAS is given; it need not use it."""

_TILE = re.compile(r"T\(([\d,]+)\)")
_COMMENT = re.compile(r"/\*.*?\*/")


@dataclass(frozen=True)
class Arrays:
    """The bytes of some arrays: in the device's memory, and on its chip."""

    memory: int = 0
    chip: int = 0

    def __add__(self, other: "Arrays") -> "Arrays":
        return Arrays(self.memory + other.memory, self.chip + other.chip)


@dataclass(frozen=True)
class Instruction:
    """One operation of a computation."""

    name: str
    opcode: str
    result: str
    inside: str
    rest: str
    listing: str = ""

    @property
    def operands(self) -> tuple[str, ...]:
        """The names of what it works on."""
        return tuple(re.findall(r"%([\w.-]+)", self.inside))

    @property
    def cycles(self) -> int:
        """The compiler's own estimate; 0 where it gives none."""
        found = re.search(r'"estimated_cycles":"(\d+)"', self.rest)
        return int(found[1]) if found else 0

    @property
    def counted_cycles(self) -> int:
        """Its instructions, by the turns of the loops around them; 0 without a listing."""
        bounds = re.search(r'"iteration_bounds":\[([^\]]*)\]', self.rest)
        windows = [int(bound) for bound in re.findall(r"\d+", bounds[1])] if bounds else []
        return cycles_of_operation(self.listing, math.prod(windows)) if self.listing else 0

    @property
    def is_free(self) -> bool:
        """Whether it moves nothing."""
        return self.opcode in FREE or "ConcatBitcast" in self.rest

    @property
    def source(self) -> str:
        """Where in the program it comes from, as JAX names it."""
        found = re.search(r'op_name="([^"]*)"', self.rest)
        return found[1] if found else self.name


Computation = dict[str, Instruction]
"""By name, in order; the last one is its result."""


@dataclass
class Region:
    """Operations that are done equally often: of a call, of a turn, or of a branch.

    Attributes:
        memory_bytes: Read from and written to the device's memory.
        chip_bytes: Read and written where they stay on chip.
        launches: Operations that are launched, fusions among them.
        cycles: The compiler's estimate.
        counted_cycles: Counted off its listings, where there are some.
        largest: The operations that move most: (bytes, where they come from).
    """

    memory_bytes: int = 0
    chip_bytes: int = 0
    launches: int = 0
    cycles: int = 0
    counted_cycles: int = 0
    largest: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: "Region", times: int) -> None:
        """Count what a loop's turn does, as often as there are turns."""
        self.memory_bytes += times * other.memory_bytes
        self.chip_bytes += times * other.chip_bytes
        self.launches += times * other.launches
        self.cycles += times * other.cycles
        self.counted_cycles += times * other.counted_cycles
        self.largest += [(times * size, f"{times} times: {at}") for size, at in other.largest]


def regions(text: str, listings: Mapping[str, str] | None = None) -> dict[str, Region]:
    """Add up what a compiled program moves, by region.

    Args:
        text: As `compiled.as_text()` gives it.
        listings: Of its operations' instructions, by their names (`bundles.listings`).

    Returns:
        By path: `call`, then `call/turn`, with a branch of a condition after it as
        `call/turn/branch 1`; loops and conditions are numbered where there are several.
    """
    computations, entry = _computations(text)
    for body in computations.values() if listings else ():
        for name in body.keys() & listings.keys():
            body[name] = replace(body[name], listing=listings[name])
    found: dict[str, Region] = {}
    _walk("call", computations[entry], computations, found)
    return found


def _walk(
    path: str,
    body: Computation,
    computations: dict[str, Computation],
    found: dict[str, Region],
) -> None:
    region = found.setdefault(path, Region())
    for one in body.values():
        inner = list(_called(one))
        if one.opcode == "call":
            _walk(path, computations[inner[0]], computations, found)
        elif one.opcode == "while":
            condition, turn = _loop(one, computations)
            if (turns := _known_turns(one, condition)) is None:
                _walk(_free_path(f"{path}/turn", found), turn, computations, found)
            else:
                inside: dict[str, Region] = {}
                _walk("turn", turn, computations, inside)
                for each in inside.values():
                    region.add(each, turns)
        elif one.opcode == "conditional":
            place = _free_path(f"{path}/if", found, " branch 0")
            for i, name in enumerate(inner):
                _walk(f"{place} branch {i}", computations[name], computations, found)
        elif not one.is_free:
            _count(region, one, body)
    region.largest = sorted(region.largest, reverse=True)[:5]


def _loop(
    one: Instruction, computations: dict[str, Computation]
) -> tuple[Computation, Computation]:
    """The condition and the body of a loop."""
    names = [re.search(rf"{part}=%?([\w.-]+)", one.rest) for part in ("condition", "body")]
    condition, body = (computations[name[1]] for name in names if name is not None)
    return condition, body


def _known_turns(loop: Instruction, condition: Computation) -> int | None:
    """How often a loop turns that counts from 0 to a constant; None of any other."""
    if told := re.search(r'known_trip_count"?[:=]\{"n":"(\d+)"', loop.rest):
        return int(told[1])
    *_, root = condition.values()
    if root.opcode != "compare" or "direction=LT" not in root.rest:
        return None
    ends = [condition[name] for name in root.operands if condition[name].opcode == "constant"]
    return int(ends[0].inside.strip("()")) if ends else None


def _count(region: Region, one: Instruction, body: Computation) -> None:
    moved = _moved(one, body)
    region.memory_bytes += moved.memory
    region.chip_bytes += moved.chip
    region.launches += not one.opcode.endswith("-start")
    region.cycles += one.cycles
    region.counted_cycles += one.counted_cycles
    if moved.memory:
        region.largest.append((moved.memory, one.source))


def _moved(one: Instruction, body: Computation) -> Arrays:
    if one.opcode.endswith("-start"):  # a copy: its result lists both ends, or the whole and a part
        ends = [arrays_of(match[0]) for match in _ARRAY.finditer(one.result)]
        size = min((e.memory + e.chip for e in ends[:2]), default=0)
        in_memory = sum(e.memory > 0 for e in ends[:2])
        return Arrays(size * in_memory, size * (2 - in_memory))
    result = one.result if "__cublas" not in one.rest else _WORKSPACE.sub("", one.result)
    operands = [arrays_of(body[name].result) for name in one.operands if name in body]
    if one.opcode in SLICES:  # as much is read as written
        return arrays_of(result) + arrays_of(result)
    if one.opcode == "dynamic-update-slice":
        return operands[1] + operands[1]
    return sum(operands, arrays_of(result))


def arrays_of(types: str) -> Arrays:
    """Add up the bytes of the arrays of a type, tuples included."""
    total = Arrays()
    for kind, shape, order, layout in _ARRAY.findall(types):
        if kind not in BYTES:
            continue
        size = BYTES[kind] * math.prod(_padded(shape, order, layout))
        total += Arrays(chip=size) if "S(" in layout else Arrays(memory=size)
    return total


def _padded(shape: str, order: str, layout: str) -> list[int]:
    """The sizes of an array's axes, the innermost first, as tiles are filled."""
    sizes = [int(size) for size in shape.split(",") if size]
    axes = [int(axis) for axis in order.split(",") if axis] or list(range(len(sizes)))[::-1]
    inner = [sizes[axis] for axis in axes]
    tile = _TILE.search(layout)
    if tile is None or not inner:
        return inner
    for i, unit in enumerate(int(unit) for unit in reversed(tile[1].split(","))):
        if i < len(inner):
            inner[i] = -(-inner[i] // unit) * unit
    return inner


def _computations(text: str) -> tuple[dict[str, Computation], str]:
    found: dict[str, Computation] = {}
    current: Computation = {}
    entry = ""
    for raw in text.splitlines():
        line = _COMMENT.sub("", raw)
        if head := _HEAD.match(line):
            current = found.setdefault(head[2], {})
            entry = head[2] if head[1] else entry
        elif (match := _LINE.match(line)) and (one := _instruction(match[1], match[2])):
            current[one.name] = one
    return found, entry


def _instruction(name: str, text: str) -> Instruction | None:
    result, rest = _split(text) if text.startswith("(") else text.split(" ", 1)
    opcode, bracket, rest = rest.lstrip().partition("(")
    if not bracket:
        return None
    inside, rest = _split("(" + rest)
    return Instruction(name, opcode, result, inside, rest)


def _split(text: str) -> tuple[str, str]:
    """The bracketed part that a text begins with, and the rest."""
    depth = 0
    for i, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return text[: i + 1], text[i + 1 :]
    return text, ""


def _called(one: Instruction) -> Iterator[str]:
    for found in re.finditer(r"(?:branch_computations=\{([^}]*)\}|to_apply=%?([\w.-]+)"
                             r"|(?:true|false)_computation=%?([\w.-]+))", one.rest):  # fmt: skip
        yield from re.findall(r"[\w.-]+", found[1] or found[2] or found[3])


def _free_path(path: str, found: dict[str, Region], suffix: str = "") -> str:
    """A path that no region has yet: with a number where there are several."""
    taken, i = path, 1
    while taken + suffix in found:
        i += 1
        taken = f"{path} {i}"
    return taken
