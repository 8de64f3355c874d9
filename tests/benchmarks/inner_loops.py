"""Profile the inner loops of splitting and of posterior chains against what the machine can do.

    .venv/bin/python -m tests.benchmarks.inner_loops tests/benchmarks/records/NAME.json

Of the 7-40-40-1 network with 16 Boolean examples, one thread: a move of splitting and a gradient of
HMC, NUTS and SGLD, the rest of a transition included, in microseconds of a processor, by XLA and
by the CPU's kernels. Beside it what each is made of, compiled alone in blocks as wide: the random
normals that it takes, by both, the network's outputs or gradient by XLA; and what the products of
these would take at the processor's best.

A move tries four angles at most, so it has up to four times the products that are given. XLA tries
all four, the kernel stops at the one that is found. `loop` and `loop_by_kernel` are where none is,
`loop_by_kernel_at_a_level` is at the first level of a climb.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sweep_engine.bench.machine import describe, limits
from sweep_engine.bench.sources import GAUSSIAN, MODEL, TASK
from sweep_engine.bench.timing import interleaved
from sweep_engine.execution.programs.operations import count
from sweep_engine.kernels.normals import NORMALS
from sweep_engine.lanes import over_lanes
from sweep_engine.machine import usable_cores
from sweep_engine.sources import open_source
from sweep_engine.spec import Sweep, settings

CHAINS = {"kind": "posterior", "law": GAUSSIAN, "chains": 64, "draws": 64, "warmup": 0}
SOURCES: dict[str, dict[str, Any]] = {
    "splitting": {"kind": "splitting", "law": GAUSSIAN, "particles": 512, "moves": 10},
    "hmc": CHAINS | {"method": "hmc", "step_size": 0.02},
    "nuts": CHAINS | {"method": "nuts", "step_size": 0.1},
    "sgld": CHAINS | {"method": "sgld", "step_size": 1e-4},
}
TRANSITIONS = {"hmc": 8, "nuts": 4, "sgld": 64}
"""Count how many of each are timed: a call of some tenths of a second."""

REPEATED = 32
"""Count the calls of a part that are timed at once, each of a block."""

Call = Callable[[], Any]


def profiles(product_gflops: float) -> dict[str, Any]:
    """Profile each source, on one thread of the host."""
    sweep = Sweep.model_validate(
        {
            "name": "inner-loops",
            "task": TASK,
            "model": MODEL,
            "sources": SOURCES,
            "execution": {"implementation": "xla"},
        }
    )
    found = {}
    for setting in settings(sweep):
        programs = open_source(setting, sweep.seed, sweep.folder, (), sweep.execution)
        found[setting.source] = one = profile(programs, setting.source, product_gflops)
        print(setting.source, json.dumps(one), flush=True)
    return found


def profile(programs: Any, name: str, product_gflops: float) -> dict[str, Any]:
    """Time a source's loop, and its parts alone."""
    is_splitting = name == "splitting"
    loops = _loops(programs, name)
    network, products = _network(programs, is_splitting=is_splitting)
    parts = {"normals": _normals(programs), "network": network}
    parts["normals_by_kernel"] = _normals(programs, "cpu")
    calls = {name: _repeated(part) for name, part in parts.items()}
    calls |= {name: partial(_waited, loop) for name, (loop, _) in loops.items()}
    times = interleaved(calls)
    each = {name: times[name].processor / REPEATED / programs.bucket.lanes for name in parts}
    each |= {name: times[name].processor / units for name, (_, units) in loops.items()}
    each["products"] = products / (1e9 * product_gflops / usable_cores())
    return {
        "unit": "move" if is_splitting else "gradient",
        "lanes": programs.bucket.lanes,
        "processor_us": {name: round(1e6 * seconds, 2) for name, seconds in each.items()},
    }


def _loops(programs: Any, name: str) -> dict[str, tuple[Call, float]]:
    """Make moves or transitions by XLA and by the kernel, and say how many units each are."""
    kernel = programs.by("cpu")
    if name != "splitting":
        of_each = {"loop": programs, "loop_by_kernel": kernel}
        return {key: _transitions(one, TRANSITIONS[name]) for key, one in of_each.items()}
    sweep, units = _moves(programs)
    at_a_level = partial(kernel.move, *programs.first_level())
    by_kernel = partial(kernel.move, *programs.timed().arguments)
    return {
        "loop": (sweep, units),
        "loop_by_kernel": (by_kernel, units),
        "loop_by_kernel_at_a_level": (at_a_level, units),
    }


def _waited(call: Call) -> None:
    jax.block_until_ready(call())


def _repeated(call: Call) -> Call:
    def often() -> None:
        for _ in range(REPEATED):
            jax.block_until_ready(call())

    return often


def _moves(programs: Any) -> tuple[Call, float]:
    """Make one sweep of moves over all particles, and say how many they are."""
    timed = programs.timed()
    return lambda: timed.program(*timed.arguments), timed.units


def _moves_by_kernel(programs: Any) -> dict[str, Call]:
    """Make the same sweep by the kernel, and one at the first level of a climb."""
    kernel = programs.by("cpu")
    sweeps = {"": programs.timed().arguments, "_at_a_level": programs.first_level()}
    return {f"loop_by_kernel{where}": partial(kernel.move, *of) for where, of in sweeps.items()}


def _transitions(programs: Any, transitions: int) -> tuple[Call, float]:
    """Make the first transitions of all chains, and say how many gradients they take."""
    given = programs.counted().arguments
    chains, hyper, examples = given[0], given[1], given[2]
    numbers = np.stack([np.zeros(len(chains)), np.arange(len(chains))], axis=1).astype(np.uint32)
    of_block = numbers, hyper, programs.bucket.root, examples
    states = jax.tree.map(np.asarray, programs.start(*of_block))  # a call keeps what it is given
    span = np.array([0, transitions], np.int32)

    def loop() -> Any:
        return programs.advance(states, *of_block, span)

    gradients = np.asarray(loop()[1].moved.gradients)[:, :transitions]
    return loop, float(gradients.sum())


def _normals(programs: Any, implementation: str = "plain") -> Call:
    """Draw as many random normals as a particle or a chain has, in every lane."""
    size = (programs.climber if hasattr(programs, "climber") else programs.chain).num_normals
    draw = over_lanes(lambda key: NORMALS[implementation](key, size), (0,))
    program, keys = (
        programs.bucket.program(draw),
        jax.random.split(jax.random.key(0), programs.bucket.lanes),
    )
    return lambda: program(keys)


def _network(programs: Any, *, is_splitting: bool) -> tuple[Call, float]:
    """Compute outputs or gradients in every lane, and count the operations of their products."""
    if is_splitting:
        unit = programs.example()
        of_lanes = over_lanes(programs.climber.level, (0, None, None))
        z = np.ones((programs.bucket.lanes, programs.climber.num_normals), np.float32)
        program, arguments = programs.bucket.program(of_lanes), (z, unit.hyper, unit.data)
    else:
        counted = programs.counted()
        program, arguments = counted.program, counted.arguments
    products = count(program.traced(*arguments).jaxpr).products / programs.bucket.lanes
    return lambda: program(*arguments), products


def main(out: Path) -> None:
    """Measure, and write the record."""
    machine = describe() | limits()
    record = {"machine": machine, "sources": profiles(machine["product_gflops"])}
    out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
