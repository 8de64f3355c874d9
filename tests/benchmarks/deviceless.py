"""What the compilers of TPUs and GPUs make of the engine's programs, on a machine without one.

    python -m tests.benchmarks.deviceless                        all programs, for v5e and v6e
    python -m tests.benchmarks.deviceless "train, full batch" --for v5e h200 --lanes 1024

These are compilers' figures, not measurements: nothing is run. README.md beside this file says
how to make the environment. Every program is compiled by a process of its own, which has
`--seconds` to do it; what comes out, or why nothing did, is written to the record at once, and
what stands there already is not done again without `--again`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.benchmarks.bundles import FLAGS, listings

RECORD = Path(__file__).parent / "records" / "deviceless.json"
NOTE = (
    "Compilers' figures, not measurements: nothing was run. By region: what is done once a call, "
    "once a turn of a loop, and in branches that most turns do not take; XLA's own figures "
    "(`xla_`) add all that up. Where a source trains, the innermost loop is that of network-steps: "
    "`call/turn/turn` (`call/turn/turn 2` where a GPU replaces orders of minibatches in a loop "
    "before it), with what is due between them in `call/turn`; `call/turn` where every step is "
    "checked, or was held. Bytes are a network's: of "
    "operands and results with the padding of tiles; launches are a block's. `memory_bytes` leave "
    "the device's memory or go there, `chip_bytes` stay in a TPU's on-chip memory. `cycles` are "
    "the TPU compiler's own estimate, a network; `counted_cycles` are bundles of instructions off "
    "its listings, times the turns around them, without waits. `at_most` is what a region's rate "
    "of network-steps, or of other turns, a second can be by each limit alone: memory by the data "
    "sheet's bandwidth, arithmetic by its rate of float32 products, cycles by the clock. By the "
    "kernel of a device, a turn of `call/turn` is a call of the kernel, of `turns_a_call` "
    "network-steps. `kernel` is a network-step in it. On a TPU cycles are counted off the "
    "compiler's listing, those of a check apart where a step does not go over all examples "
    "anyway; on a GPU `registers` are a thread's, by ptxas, which spilled none. `flops` are the "
    "arithmetic of a network-step, a draw or another unit of a source's work, or of observing a "
    "network, counted off the program before it is compiled, with four turns of a loop of unknown "
    "length. `compile_processor_seconds` are of "
    "all threads and of ptxas, and grow less than the clock's where others use the machine. "
    "The GPU compiler tells neither cycles nor totals of its own, and chooses how products are "
    "done by timing them: here all are cuBLAS's."
)
LANES = (128, 512, 1024)
SECONDS = 300.0
KEPT_SHARE = 0.02
"""Regions that move less than this share of the bytes are left out of the record."""

LISTINGS = "DEVICELESS_LISTINGS"
"""The variable that names the folder of the TPU compiler's listings."""

CLOCK_HZ = {"v5e": 1.5e9}
"""197 TFLOP/s of four arrays of 128 x 128 multipliers."""

TPU_TOPOLOGY = {"v5e": "v5e:2x2", "v6e": "v6e:2x2"}
BOOLEAN = {"kind": "boolean", "bits": 7, "target": "x1 ^ (x2 & x3)", "train": 128}
HALF = BOOLEAN | {"train": 64}
MLP = {"kind": "mlp", "widths": [40, 40]}


@dataclass(frozen=True)
class Compiled:
    """One program of the engine: a source, and which of its programs is meant.

    Attributes:
        source: As in a sweep.
        task: As in a sweep.
        model: As in a sweep.
        networks: How many one call, or turn, of the program goes over.
        pick: The program and its arguments' shapes, off an opened source.
        observables: As in a sweep.
        flops: Of the matrix products of one network-step, where that is what a turn is.
            Else the arithmetic is counted.
        implementation: As in a sweep.
    """

    source: dict[str, Any]
    task: Any
    model: Any
    networks: int
    pick: Callable[[Any], tuple[Any, tuple[Any, ...]]]
    observables: tuple[Any, ...] = ()
    flops: float | None = None
    implementation: str = "auto"


def _nth(index: int) -> Callable[[Any], tuple[Any, tuple[Any, ...]]]:
    def pick(opened: Any) -> tuple[Any, tuple[Any, ...]]:
        return list(opened.to_compile())[index]

    return pick


def _segment(opened: Any) -> tuple[Any, tuple[Any, ...]]:
    return opened.advance, opened.first_segment(64, opened.example)


def _observe(opened: Any) -> tuple[Any, tuple[Any, ...]]:
    return opened.bucket.observe, opened.bucket.observe_example()


def programs(lanes: int, device: str) -> dict[str, Compiled]:
    """List the engine's main programs by name, and those of the kernels for a device."""
    from sweep_engine.bench.training.experiment import WORKLOADS
    from sweep_engine.sources.draw.programs import DRAWS_PER_CALL

    found = {}
    kernel = "tpu" if device in TPU_TOPOLOGY else "cuda"
    names = ("full batch", "minibatches", "Adam", "CNN")
    for name, workload in zip(names, WORKLOADS, strict=True):
        adam = workload.optimizer == "adam"
        source = {
            "kind": "train",
            "init": {"kind": "lecun_normal"},
            "optimizer": {"kind": "adam"} if adam else {"kind": "sgd", "momentum": 0.9},
            "batch_size": workload.minibatch or "full",
            "stop": {"fit": False, "check_every": 1000},
            "runs": lanes,
        }
        found[f"train, {name}"] = one = Compiled(
            source, workload.task, workload.model, lanes, _segment, flops=workload.flops
        )
        if name != "CNN" or kernel == "cuda":
            found[f"train, {name}, kernel"] = replace(one, implementation=kernel)
    checked = found["train, full batch"]
    every = checked.source | {"stop": {"fit": False, "check_every": 1}}
    found["train, full batch, every step checked"] = replace(checked, source=every)
    law = {"kind": "lecun_normal"}
    prior = {"kind": "prior", "law": law, "draws": lanes}
    guess = {"kind": "guess_and_check", "law": law, "accepted": 8, "max_draws": lanes}
    splitting = {"kind": "splitting", "law": law, "particles": lanes, "moves": 10}
    gaussian = {"kind": "gaussian"}
    posterior = {"kind": "posterior", "law": gaussian, "chains": lanes, "draws": 100}
    flat = {"kind": "flatness", "measures": ["eigenvalues"], "steps": 8}
    tallied = Compiled(prior, HALF, MLP, max(lanes, DRAWS_PER_CALL), _nth(0))
    if kernel == "cuda":
        found["draws, functions tallied, kernel"] = replace(tallied, implementation=kernel)
    return found | {
        "draws, checked": Compiled(guess, HALF, MLP, max(lanes, DRAWS_PER_CALL), _nth(0)),
        "draws, functions tallied": tallied,
        "splitting, moves": Compiled(splitting, HALF, MLP, lanes, _nth(2)),
        "posterior, transitions": Compiled(posterior, HALF, MLP, lanes, _nth(1)),
        "observables, cheap": Compiled(prior, HALF, MLP, lanes, _observe, ("norms",)),
        "observables, dear": Compiled(prior, HALF, MLP, lanes, _observe, (flat,)),
    }


def compile_one(
    device: str, name: str, lanes: int, precision: str, options: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Compile one program in this process, and say what came out; by the engine's own options."""
    import jax

    from sweep_engine.devices import DEVICES
    from sweep_engine.lanes import for_platform
    from sweep_engine.sources import open_source
    from sweep_engine.spec import Sweep, settings

    place = jax.sharding.SingleDeviceSharding(_target(device))
    one = programs(lanes, device)[name]
    sweep = Sweep.model_validate({
        "name": "deviceless", "task": one.task, "model": one.model, "sources": {"it": one.source},
        "observables": list(one.observables),
        "execution": {
            "lanes": lanes, "precision": precision, "implementation": one.implementation,
        },
    })  # fmt: skip
    setting = settings(sweep)[0]
    with for_platform(DEVICES[device].platform):
        opened = open_source(setting, 0, sweep.folder, sweep.observables, sweep.execution)
        program, arguments = one.pick(opened)

    def placed(leaf: Any) -> Any:
        leaf = leaf if hasattr(leaf, "dtype") else jax.numpy.asarray(leaf)
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)

    with for_platform(DEVICES[device].platform):
        lowered = program.lowered(*jax.tree.map(placed, arguments))
    began, processor = time.perf_counter(), sum(os.times()[:4])
    compiled = lowered.compile(program.options if options is None else options)
    seconds, processor = time.perf_counter() - began, sum(os.times()[:4]) - processor
    text = compiled.as_text()
    if folder := os.environ.get("DEVICELESS_TEXT"):
        Path(folder, f"{device}, {name}, {lanes}.txt").write_text(text)
    memory = compiled.memory_analysis()
    cost = compiled.cost_analysis() or {}  # the GPU compiler gives none
    held = memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes
    held -= memory.alias_size_in_bytes
    found = {
        "compile_seconds": round(seconds, 1),
        "compile_processor_seconds": round(processor, 1),
        "held_bytes": held,
        "share_of_memory": round(held / DEVICES[device].memory_bytes, 4),
        "xla_bytes": round(cost["bytes accessed"] / one.networks) if cost else None,
        "xla_flops": round(cost["flops"] / one.networks) if cost else None,
    }
    found["flops"] = round(_flops(opened, one))
    if one.implementation == "auto":
        folder = os.environ.get(LISTINGS)
        listed = listings(Path(folder)) if folder else None
        return found | {"regions": by_region(text, device, one.networks, one.flops, listed)}
    of_kernel = _of_tpu_kernel if one.implementation == "tpu" else _of_cuda_kernel
    regions = by_region(text, device, one.networks, None)
    return found | of_kernel(device, opened, one) | {"regions": regions}


def _flops(opened: Any, one: Compiled) -> float:
    """Count the arithmetic of a unit of the source's work, or of observing a network."""
    from sweep_engine.execution.programs.operations import count

    if one.flops is not None:
        return one.flops
    if one.observables:
        program, arguments = _observe(opened)
        operations, units = count(program.traced(*arguments).jaxpr), one.networks
    else:
        counted = (opened if one.implementation == "auto" else opened.by("xla")).counted()
        jaxpr = counted.program.traced(*counted.arguments).jaxpr
        operations, units = count(jaxpr, counted.often), counted.units
    return (operations.products + operations.elements) / units


def _of_cuda_kernel(device: str, opened: Any, one: Compiled) -> dict[str, Any]:
    """Say what a network takes of a GPU's multiprocessor in a CUDA kernel."""
    from sweep_engine.devices import DEVICES
    from sweep_engine.kernels.fused_training import cuda
    from sweep_engine.kernels.native import nvrtc
    from sweep_engine.kernels.prior_scan import cuda as prior_scan

    trains = one.flops is not None
    case, kernel = (
        (opened.block.case, cuda.KERNEL) if trains else (opened.kernel.case, prior_scan.KERNEL)
    )
    launch = kernel.launch_of(case)
    flops = one.flops if one.flops is not None else opened.kernel.case.flops
    found = {
        "registers": nvrtc.registers(kernel.source(case, launch), "sm_90"),
        "threads": launch.threads,
        "shared_bytes": kernel.shared_bytes(case, launch),
        "flops": round(flops),
        "at_most": {"arithmetic": float(f"{DEVICES[device].float32_flops / flops:.3g}")},
    }
    return ({"turns_a_call": opened.block.call_turns} if trains else {}) | {"kernel": found}


def _of_tpu_kernel(device: str, opened: Any, one: Compiled) -> dict[str, Any]:
    """Say what a network-step in the TPU kernel takes."""
    from sweep_engine.devices import DEVICES
    from sweep_engine.kernels.fused_training import tpu
    from tests.benchmarks.bundles import cycles_of_turn, listing

    case, text = opened.block.case, listing(Path(os.environ[LISTINGS]), "train_segment")
    all_examples = -(-case.num_examples // tpu.TILE)
    step = cycles_of_turn(text, leave_out=all_examples if case.minibatch else None)
    cycles = step / tpu.LANES
    assert one.flops is not None
    limits = {"arithmetic": DEVICES[device].float32_flops / one.flops}
    if device in CLOCK_HZ:
        limits["cycles"] = CLOCK_HZ[device] / cycles
    kernel = {
        "cycles": round(cycles, 1),
        "flops": round(one.flops),
        "check_cycles": round((cycles_of_turn(text) - step) / tpu.LANES, 1),
        "chip_bytes_held": tpu.block_bytes(case),
        "at_most": {name: float(f"{rate:.3g}") for name, rate in limits.items()},
    }
    return {"turns_a_call": opened.block.call_turns, "kernel": kernel}


def by_region(
    text: str,
    device: str,
    networks: int,
    flops: float | None,
    listed: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Say what each region of a compiled program moves, a network."""
    from tests.benchmarks.hlo import regions

    found = regions(text, listed)
    total = sum(region.memory_bytes + region.chip_bytes for region in found.values())
    return {
        path: _region(region, device, networks, flops)
        for path, region in found.items()
        if region.memory_bytes + region.chip_bytes > KEPT_SHARE * total
    }


def _region(region: Any, device: str, networks: int, flops: float | None) -> dict[str, Any]:
    from sweep_engine.devices import DEVICES

    limits = {"memory": DEVICES[device].bytes_per_second * networks / max(region.memory_bytes, 1)}
    if flops:
        limits["arithmetic"] = DEVICES[device].float32_flops / flops
    if region.cycles and device in CLOCK_HZ:
        limits["cycles"] = CLOCK_HZ[device] * networks / region.cycles
    counted = {"counted_cycles": round(region.counted_cycles / networks, 1)}
    found = {
        "memory_bytes": round(region.memory_bytes / networks),
        "chip_bytes": round(region.chip_bytes / networks),
        "launches": region.launches,
        "cycles": round(region.cycles / networks, 1),
        "at_most": {name: float(f"{rate:.3g}") for name, rate in limits.items()},
        **(counted if region.counted_cycles else {}),
        "largest": [[round(size / networks), source] for size, source in region.largest[:4]],
    }
    if flops:
        found["percent_of_arithmetic"] = round(100 * min(limits.values()) / limits["arithmetic"], 1)
    return found


def _target(device: str) -> Any:
    """The device that is compiled for, which is not there."""
    from jax.experimental import topologies

    if device in TPU_TOPOLOGY:
        found = topologies.get_topology_desc(platform="tpu", topology_name=TPU_TOPOLOGY[device])
    else:
        from tests.benchmarks.deviceless_gpu import topology

        found = topology(device)
    return found.devices[0]


def environment(device: str) -> dict[str, str]:
    """What the compilers must be told before JAX is imported."""
    told = {"JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "2"}
    if device in TPU_TOPOLOGY:
        return told | {
            "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
            "TPU_SKIP_MDS_QUERY": "1",
            "TPU_ACCELERATOR_TYPE": "v5litepod-4",
            "TPU_WORKER_HOSTNAMES": "localhost",
        }
    from tests.benchmarks.deviceless_gpu import ENVIRONMENT

    return told | ENVIRONMENT


def in_time(one: list[Any], seconds: float, *, lists: bool = False) -> dict[str, Any]:
    """Compile one program in a process of its own, and give up after some time.

    Args:
        one: The arguments of `compile_one`.
        seconds: How long it may take.
        lists: Whether cycles are counted off the compiler's listings, which take it longer.
    """
    device, name, *_ = one
    command = [sys.executable, "-m", "tests.benchmarks.deviceless", "--one", json.dumps(one)]
    told = os.environ | environment(device)
    try:
        with tempfile.TemporaryDirectory() as folder:
            if (lists or name.endswith("kernel")) and device in TPU_TOPOLOGY:
                told |= {LISTINGS: folder, "LIBTPU_INIT_ARGS": FLAGS.format(folder=folder)}
            done = subprocess.run(
                command, env=told, capture_output=True, timeout=seconds, text=True
            )
    except subprocess.TimeoutExpired:
        return {"failed": f"not compiled within {seconds:g} s"}
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "Error: " in line]
        return {"failed": said[-1][:400] if said else f"exit code {done.returncode}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def with_counted_cycles(found: dict[str, Any], one: list[Any], seconds: float) -> dict[str, Any]:
    """Compile a program once more, with listings, and add the cycles that are counted off them."""
    again = in_time(one, seconds, lists=True)
    for path, region in again.get("regions", {}).items():
        if "counted_cycles" in region:
            found["regions"][path]["counted_cycles"] = region["counted_cycles"]
    return found


def main() -> None:
    """Compile what is asked for, and write the record as it grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", nargs="*", help="all, if left out")
    parser.add_argument("--for", dest="devices", nargs="+", default=list(TPU_TOPOLOGY))
    parser.add_argument("--lanes", nargs="+", type=int, default=list(LANES))
    parser.add_argument("--precision", choices=("exact", "fast"), default="exact")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each program")
    parser.add_argument("--state", default="now", help="such as before: a name in the record")
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--options", type=json.loads, help="of XLA, in place of the engine's own")
    parser.add_argument("--count", action="store_true", help="cycles off a TPU's listings too")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(compile_one(*json.loads(asked.one))))
        return
    record = json.loads(asked.record.read_text()) if asked.record.exists() else {"note": NOTE}
    for device in asked.devices:
        names = asked.programs or list(programs(1024, device))
        for lanes in asked.lanes:
            for name in names:
                of_state = record.setdefault(asked.state, {}).setdefault(device, {})
                place = of_state.setdefault(name, {})
                key = f"{lanes}" if asked.precision == "exact" else f"{lanes}, fast"
                if key in place and not asked.again:
                    continue
                one = [device, name, lanes, asked.precision, asked.options]
                place[key] = found = in_time(one, asked.seconds)
                if asked.count and "regions" in found:
                    place[key] = with_counted_cycles(found, one, asked.seconds)
                asked.record.write_text(json.dumps(record, indent=1) + "\n")
                brief = {k: v for k, v in place[key].items() if k != "regions"}
                print(f"{device}, {name}, {lanes} lanes: {brief}", flush=True)


if __name__ == "__main__":
    main()
