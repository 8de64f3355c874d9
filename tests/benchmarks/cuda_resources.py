"""Registers, spills, shared memory and occupancy of the CUDA kernels, by NVIDIA's compiler.

    python -m tests.benchmarks.cuda_resources            what the record does not hold yet
    python -m tests.benchmarks.cuda_resources --again    all of it

No GPU is needed: NVRTC compiles for `sm_90` (H100, H200), and ptxas tells the registers. These
are a compiler's figures, not measurements. README.md beside this file says what they showed.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

from sweep_engine.kernels.fused_training import cuda as training
from sweep_engine.kernels.fused_training.case import Case
from sweep_engine.kernels.fused_training.convolution import Convolution
from sweep_engine.kernels.native import CannotBuild, nvrtc
from sweep_engine.kernels.native.cuda import CudaKernel
from sweep_engine.kernels.native.occupancy import blocks_at_once, occupancy
from sweep_engine.kernels.prior_scan import cuda as prior_scan
from sweep_engine.kernels.prior_scan.case import Case as ScanCase

RECORD = Path(__file__).parent / "records" / "cuda_resources.json"
ARCHITECTURE = "sm_90"
NOTE = (
    "A compiler's figures, not measurements. Threads, networks and shared bytes are a block's; "
    "blocks are those of a multiprocessor at once, and occupancy is the share of its places for "
    "warps that they take, by the formula of cuda_occupancy.h. A case whose registers were "
    "spilt to memory, or that fits no block, has a line that says so in place of figures."
)
COLUMNS = ("registers", "threads", "networks", "tile", "shared_bytes", "blocks", "occupancy")


class Named(NamedTuple):
    """A case, the names it goes by in the record, and its kernel."""

    of: str
    shape: str
    name: str
    case: Any
    kernel: CudaKernel[Any]


SHAPES = {
    "one layer": Case((4, 1), num_examples=16),
    "tiny": Case((3, 8, 1), num_examples=8),
    "classes": Case((6, 20, 12, 1), num_examples=51, minibatch=9),
    "small": Case((7, 20, 20, 1), num_examples=128),
    "medium": Case((7, 32, 32, 1), num_examples=128),
    "yardstick": Case((7, 40, 40, 1), num_examples=128),
    "digits": Case((64, 32, 1), num_examples=1437, minibatch=32),
    "deep": Case((7, *8 * [16], 1), num_examples=128),
    "three layers": Case((2, 64, 64, 64, 1), num_examples=70),
    "wide": Case((8, 512, 1), num_examples=128),
    "wide inputs": Case((512, 8, 1), num_examples=256),
    "largest": Case((30, 150, 30, 1), num_examples=1000, minibatch=64),
}
"""Networks with some threads of a warp to those of a whole block, up to the widest layer that the
kernel knows, and nearly the most parameters. A loss of classes makes ten of the outputs."""

CONVOLUTIONAL = {
    "CNN of MNIST-1D": Case(
        (40, 1),
        num_examples=512,
        minibatch=32,
        convolutions=(
            Convolution(25, 5, 2, ((1, 1),)),
            Convolution(25, 3, 2, ((1, 1),)),
            Convolution(25, 3, 2, ((1, 1),)),
        ),
        image=(40, 1),
    ),
    "images of 14 x 14": Case(
        (196, 20, 1),
        num_examples=512,
        convolutions=(
            Convolution(6, 5, 1, ((2, 2),) * 2, max_pool=2),
            Convolution(12, 3, 1, ((0, 0),) * 2, mean_pool=2),
        ),
        image=(14, 14, 1),
    ),
}
"""Signals, and images with both poolings: some warps a network, and a whole block."""


SCANS = {
    "one layer": ((4, 1), 16),
    "tiny": ((3, 8, 1), 8),
    "small": ((7, 20, 20, 1), 128),
    "yardstick": ((7, 40, 40, 1), 128),
    "deep": ((7, *8 * [16], 1), 128),
    "digits": ((64, 32, 1), 1437),
    "wide": ((8, 512, 1), 256),
    "largest": ((200, 200, 40, 1), 1000),
}
"""List widths and inputs of the networks that are drawn."""


def cases() -> Iterator[Named]:
    """List every case of either kernel."""
    yield from (Named("training", *one, training.KERNEL) for one in training_cases())
    yield from (Named("prior_scan", *one, prior_scan.KERNEL) for one in scan_cases())


def scan_cases() -> Iterator[tuple[str, str, ScanCase]]:
    """List each activation with the usual laws of each shape, and other laws and norms of it.

    Biases alternate.
    """
    kinds = get_type_hints(ScanCase)
    usual = [(*one, None) for one in product(get_args(kinds["activation"]), ("normal", "uniform"))]
    others = [("relu", "laplace", "path"), ("tanh", "sign", "frobenius")]
    for at, (shape, (widths, num_inputs)) in enumerate(SCANS.items()):
        for i, (activation, law, norm) in enumerate([*usual, *others]):
            bias = (at + i + i // 2) % 2 == 0
            by_norm = f", margins over the {norm} norm" if norm else ""
            name = f"{activation}, {law}, {'biases' if bias else 'no biases'}{by_norm}"
            case = ScanCase.of_one_key(law, widths, activation, bias, num_inputs)
            yield shape, name, replace(case, norm=norm)


def training_cases() -> Iterator[tuple[str, str, Case]]:
    """List shape, what varies, and the case: each activation, loss and optimiser of each shape.

    Convolutional networks, which take longer to compile, meet each in every fifth of these.

    Biases and minibatches alternate, so that each of those meets them and is without.
    """
    kinds = get_type_hints(Case)
    varied = [get_args(kinds[name]) for name in ("activation", "loss", "optimizer")]
    for at, (shape, usual) in enumerate((SHAPES | CONVOLUTIONAL).items()):
        for i, (activation, loss, optimizer) in enumerate(product(*varied)):
            if shape in CONVOLUTIONAL and i % 5:
                continue  # one in five meets every activation, loss and optimiser
            bias = (at + i + i // 12) % 2 == 0
            last = 10 if loss == "cross_entropy" else 1
            case = replace(
                usual, widths=(*usual.widths[:-1], last), activation=activation, bias=bias,
                loss=loss, optimizer=optimizer,
            )  # fmt: skip
            name = f"{activation}, {loss}, {optimizer}, {'biases' if bias else 'no biases'}"
            yield shape, name, case


def resources(one: Named) -> list[Any] | str:
    """Compile a case, and list its `COLUMNS`; or say why there are none."""
    launch = one.kernel.launch_of(one.case)
    if launch is None:
        return "fits no block"
    try:
        registers = nvrtc.registers(one.kernel.source(one.case, launch), ARCHITECTURE)
    except CannotBuild as error:
        return str(error).splitlines()[0]
    threads, shared = launch.threads * launch.networks, one.kernel.shared_bytes(one.case, launch)
    usage = threads, registers, shared
    found = (launch.networks, launch.tile, shared, blocks_at_once(*usage), occupancy(*usage))
    return [registers, threads, *found]


def write(record: dict[str, Any]) -> None:
    """Write the record, a case a line."""
    text = json.dumps(record, indent=1)
    lines = [_joined(part) for part in text.split("[")]
    RECORD.write_text("[".join(lines) + "\n")


def _joined(part: str) -> str:
    """Put what a list holds on one line."""
    inside, bracket, rest = part.partition("]")
    return " ".join(inside.split()) + bracket + rest if bracket else part


def main() -> None:
    """Compile what the record does not hold, and write it after each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true")
    asked = parser.parse_args()
    record = json.loads(RECORD.read_text()) if RECORD.exists() and not asked.again else {}
    record |= {"note": NOTE, "columns": COLUMNS, "nvrtc": nvrtc.version()}
    for one in cases():
        of_shape = record.setdefault(one.of, {}).setdefault(one.shape, {})
        if one.name not in of_shape:
            of_shape[one.name] = resources(one)
            write(record)


if __name__ == "__main__":
    main()
