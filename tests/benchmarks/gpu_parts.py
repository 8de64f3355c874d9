"""The parts of `gpu.py`: each yields what it finds, piece by piece.

Every function takes the folder of the results and `rehearse`, with which it is small enough for a
CPU; it imports what it needs, so that one whose packages are missing stops no other.
"""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import numpy as np

Found = Iterator[dict[str, Any]]

BOOLEAN = {"kind": "boolean", "bits": 7, "target": "x1 ^ (x2 & x3)", "train": 64}
MLP = {"kind": "mlp", "widths": [40, 40]}
LAW = {"kind": "lecun_normal"}


def device(folder: Path, *, rehearse: bool) -> Found:
    """Describe the device, and measure its limits."""
    from sweep_engine.bench.machine import describe, limits

    yield {"machine": describe()}
    yield {"memory": jax.devices()[0].memory_stats()}
    if not rehearse:
        yield {"limits": limits()}


def conformance(folder: Path, *, rehearse: bool) -> Found:
    """Compare the kernels with their plain twins here, and XLA's programs with the CPU's."""
    from sweep_engine.kernels.fused_training import plain
    from sweep_engine.kernels.fused_training.implementations import TRAIN, obstacle
    from tests.kernels.fused_training.cases import CASES, make

    kernel = TRAIN["cpu" if rehearse else "cuda"]
    known = [name for name, case in CASES.items() if obstacle(case, "cuda") is None]
    for name in known[: 1 if rehearse else None]:
        example = make(CASES[name], 64, 8)
        truth = example.run(plain.train_segment)[0].theta
        yield {f"kernel, {name}": _tried(lambda e=example: e.run(kernel)[0].theta, truth)}
    for law in ("normal", "uniform"):
        yield {f"scan, {law}": _scan("cpu" if rehearse else "cuda", law)}
    sources = _sources(8 if rehearse else 256)
    for name in ("full batch", "prior") if rehearse else sources:
        source = sources[name]
        here = _networks(source, jax.devices()[0])
        there = _networks(source, jax.devices("cpu")[0])
        yield {f"programs, {name}": _difference(here, there)}


def _scan(implementation: str, law: Any) -> Any:
    """Compare functions of 1,024 draws with the plain twin's: most differ in no label."""
    from sweep_engine.kernels.prior_scan import SCAN
    from sweep_engine.kernels.prior_scan.case import Case

    case, rng = Case.of_one_key(law, (7, 40, 40, 1), num_inputs=128), np.random.default_rng(0)
    keys = jax.random.split(jax.random.key(0), (1024, 1))
    scales = np.ones((1024, len(case.sizes)), np.float32)
    x = rng.normal(size=(128, 7)).astype(np.float32)
    targets = rng.integers(-1, 2, 128).astype(np.int32)
    try:
        found, truth = (jax.jit(SCAN[name], static_argnums=0)(case, keys, scales, x, targets, 1024)
                        for name in (implementation, "plain"))  # fmt: skip
        same = np.all(np.asarray(found.function == truth.function), axis=1)
        wrong = np.asarray(found.wrong == truth.wrong)[same]
        return {"share_of_equal_functions": same.mean(), "of_these_equally_wrong": wrong.mean()}
    except Exception as error:  # whatever a device says, it is the finding
        return {"failed": f"{type(error).__name__}: {error}"[:600]}


def _tried(call: Callable[[], Any], truth: Any) -> Any:
    """The difference, or why there is none: one case that fails stops no other."""
    try:
        return _difference(np.asarray(call()), np.asarray(truth))
    except Exception as error:  # whatever a device says, it is the finding
        return {"failed": f"{type(error).__name__}: {error}"[:600]}


def _difference(here: np.ndarray, there: np.ndarray) -> dict[str, Any]:
    scale = np.abs(there).max()
    return {
        "largest_over_scale": float(np.abs(here - there).max() / scale),
        "share_of_equal_bits": float(np.mean(here == there)),
    }


def _sources(runs: int) -> dict[str, dict[str, Any]]:
    """Sources of few steps: differences of rounding grow with every one."""
    stop = {"max_steps": 20, "fit": False, "check_every": 20}
    train = {"kind": "train", "init": LAW, "stop": stop, "runs": runs}
    return {
        "full batch": train,
        "minibatches": train | {"batch_size": 16},
        "Adam": train | {"optimizer": {"kind": "adam", "learning_rate": 0.001}},
        "prior": {"kind": "prior", "law": LAW, "draws": runs, "keep": "all"},
    }


def _work(source: dict[str, Any], *, lanes: int | None = None, turned: bool = False) -> Any:
    from sweep_engine.sources import Control, open_source, work
    from sweep_engine.spec import Piece, Sweep, settings

    sweep = Sweep.model_validate({
        "name": "gpu", "task": BOOLEAN, "model": MLP, "sources": {"it": source},
        "observables": ["norms"], "execution": {"lanes": lanes, "implementation": "xla"},
    })  # fmt: skip
    setting = settings(sweep)[0]
    opened = open_source(setting, 0, sweep.folder, sweep.observables, sweep.execution)
    runs = source.get("runs") or source["draws"]
    pieces = [Piece(setting, 0, runs // 2), Piece(setting, runs // 2, runs)]
    return work(opened, pieces[::-1] if turned else pieces, Control())


def _networks(source: dict[str, Any], place: Any) -> np.ndarray:
    with jax.default_device(place):
        return np.asarray(_work(source, lanes=source.get("runs", 256)).solutions.theta)


def bits(folder: Path, *, rehearse: bool) -> Found:
    """Train and draw twice, and once in another order: are the bits the same?"""
    sources = _sources(8 if rehearse else 1024)
    for name in ("full batch", "prior") if rehearse else sources:
        source = sources[name]
        first, again, turned = (
            _hash(_work(source, lanes=8 if rehearse else 512, turned=turned))
            for turned in (False, False, True)
        )
        yield {name: {"sha256": first, "again": again == first, "turned": turned == first}}


def bits_again(folder: Path, *, rehearse: bool) -> Found:
    """Do the same in another process, and compare with what `bits` wrote."""
    before = json.loads((folder / "bits.json").read_text())
    sources = _sources(8 if rehearse else 1024)
    for name in sources.keys() & before.keys():  # it may have run out of time
        source = sources[name]
        now = _hash(_work(source, lanes=8 if rehearse else 512))
        yield {name: {"as_before": now == before[name]["sha256"]}}


def _hash(done: Any) -> str:
    order = np.argsort(done.solutions.run_id)
    rows = [done.solutions.theta, *(done.columns[name] for name in sorted(done.columns))]
    return hashlib.sha256(b"".join(np.asarray(row)[order].tobytes() for row in rows)).hexdigest()


def training(folder: Path, *, rehearse: bool) -> Found:
    """Network-steps a second beside one piece of plain JAX and `torch.func.vmap`."""
    from sweep_engine.bench.training.experiment import WORKLOADS

    if find_spec("torch") is None:
        yield {"torch.func.vmap": {"left_out": "no torch here"}}
    numbers = (4,) if rehearse else (1024, 4096, 16_384, 65_536, 256)
    for workload in WORKLOADS[:2]:
        for networks in numbers:
            problem = workload.problem(networks)
            steps = 2 if rehearse else int(np.clip(2**22 // networks, 64, 512))
            for contender in _contenders(rehearse=rehearse):
                name = f"{workload.name}, {networks} networks, {contender.name}"
                yield {name: _rate(contender, problem, steps)}


def _contenders(*, rehearse: bool) -> Iterator[Any]:
    from sweep_engine.bench.training.engine import Engine, OnePiece

    class CudaKernel(Engine):
        """The engine by its CUDA kernel."""

        name = "engine (cuda kernel)"

        def programs(self, problem: Any) -> Any:
            return problem.programs.by("cuda")

    yield Engine()
    yield OnePiece()
    if not rehearse:
        yield CudaKernel()
    try:
        from sweep_engine.bench.training.pytorch import FuncVmap
    except ImportError:
        return
    yield FuncVmap()


def _rate(contender: Any, problem: Any, steps: int) -> dict[str, Any]:
    """Time three calls after one; a contender that fails says why."""
    try:
        run = contender.prepare(problem, steps)
        began = time.perf_counter()
        run()
        seconds = [time.perf_counter() - began]
        for _ in range(3):
            began = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - began)
    except Exception as error:  # whatever a device says, it is the finding
        return {"failed": f"{type(error).__name__}: {error}"[:600]}
    rates = sorted(problem.networks * steps / each for each in seconds[1:])
    return {
        "network_steps_per_second": {"median": rates[1], "low": rates[0], "high": rates[2]},
        "gflops": round(rates[1] * problem.workload.flops / 1e9, 1),
        "first_call_seconds": round(seconds[0], 2),
        "steps": steps,
    }


def draws(folder: Path, *, rehearse: bool) -> Found:
    """Draws a second, functions tallied."""
    from sweep_engine.bench.prior import draw_rates

    yield draw_rates(quick=rehearse)


def widths(folder: Path, *, rehearse: bool) -> Found:
    """What a unit of work takes over the width K of a block."""
    from sweep_engine.bench.lanes import CASES
    from sweep_engine.sources import open_source
    from sweep_engine.spec import Sweep, settings

    names = ("train 7-40-40-1 full batch", "train 64-32-10 minibatch 32", "prior 7-40-40-1")
    for lanes in (16,) if rehearse else (1024, 4096, 16_384, 256):
        for name in names[: 1 if rehearse else None]:
            task, model, source = CASES[name]
            sweep = Sweep.model_validate({
                "name": "gpu", "task": task, "model": model, "sources": {"it": source},
                "execution": {"lanes": lanes, "implementation": "xla"},
            })  # fmt: skip
            opened = open_source(settings(sweep)[0], 0, sweep.folder, (), sweep.execution)
            timed = opened.timed()
            call = timed.program.compiled(*timed.arguments)
            jax.block_until_ready(call(*timed.arguments))
            began = time.perf_counter()
            jax.block_until_ready(call(*timed.arguments))
            seconds = time.perf_counter() - began
            yield {f"{name}, {lanes} lanes": {"units_per_second": timed.units / seconds}}


def refill(folder: Path, *, rehearse: bool) -> Found:
    """What stopping times that are spread cost, with refill and without."""
    from sweep_engine.bench.refill import refill_gain

    yield refill_gain(quick=rehearse)


def sanitizer(folder: Path, *, rehearse: bool) -> Found:
    """Check the CUDA kernels by compute-sanitizer; the rehearsal has a stand-in and no checks."""
    from tests.benchmarks import sanitizer as checks

    program = checks.stand_in(folder) if rehearse else checks.find()
    if program is None:
        yield {"left_out": "no compute-sanitizer: the package nvidia-cuda-sanitizer-api has one"}
        return
    for tool in checks.TOOLS[: 1 if rehearse else None]:
        yield {tool: checks.check(program, tool, "cpu" if rehearse else "cuda")}


def demos(folder: Path, *, rehearse: bool) -> Found:
    """Run the three demo sweeps; the rehearsal plans them, and runs a sweep of eight draws."""
    from sweep_engine.cli import DEMOS
    from sweep_engine.execution import run
    from sweep_engine.planning import plan
    from sweep_engine.spec import Sweep, load
    from sweep_engine.store import open_results

    examples = Path(__file__).parents[2] / "sweep_engine" / "examples"
    for name in DEMOS:
        sweep = load(examples / f"{name}.yaml")
        began = time.perf_counter()
        if rehearse:
            yield {name: {"shards": len(plan(sweep).shards)}}
            continue
        run(sweep, folder / "demos" / name, fail_fast=True)
        yield {name: {"seconds": round(time.perf_counter() - began, 1)}}
    if rehearse:
        sweep = Sweep.model_validate({"name": "rehearsed", "task": BOOLEAN, "model": MLP,
                                      "sources": {"it": _sources(8)["prior"]}})  # fmt: skip
        run(sweep, folder / "demos" / "rehearsed", fail_fast=True)
        yield {"rehearsed": {"rows": open_results(folder / "demos" / "rehearsed").runs().num_rows}}


def memory(folder: Path, *, rehearse: bool) -> Found:
    """Ask for more memory than there is: what is said, and does the device go on?"""
    shape = (2**8, 2**8) if rehearse else (2**20, 2**16)
    try:
        jax.block_until_ready(jax.jit(lambda: jax.numpy.ones(shape) * 2)())
        yield {"said": None}
    except jax.errors.JaxRuntimeError as error:
        yield {"said": str(error)[:300], "engine_knows_it": "RESOURCE_EXHAUSTED" in str(error)}
    after = _work(_sources(8)["full batch"], lanes=8)
    yield {"goes_on": len(after.solutions.theta) == 8}


def ray_actor(folder: Path, *, rehearse: bool) -> Found:
    """Run a small sweep by Ray, and compare its rows with those of this process."""
    from sweep_engine.execution import run
    from sweep_engine.spec import load
    from sweep_engine.store import open_results

    spec = folder / "by_ray.yaml"
    source = _sources(8 if rehearse else 1024)["full batch"]
    spec.write_text(json.dumps({"name": "gpu", "task": BOOLEAN, "model": MLP,
                                "sources": {"it": source}}))  # fmt: skip
    sweep = load(spec)
    if rehearse:
        yield {"left_out": "tests/backends runs Ray on a CPU"}
        return
    command = [sys.executable, "-c", "from sweep_engine.cli import main; main()", "run", spec]
    by_ray = [*command, "--out", folder / "by_ray", "--backend", "ray", "--fail-fast"]
    subprocess.run(by_ray, check=True, stdout=subprocess.DEVNULL)
    run(sweep, folder / "by_this", fail_fast=True)
    tables = [open_results(folder / name).runs() for name in ("by_ray", "by_this")]
    rows = [table.sort_by("run_id").to_pydict() for table in tables]
    yield {"rows": len(rows[0]["run_id"]), "equal": rows[0] == rows[1]}
