"""Runs in lanes: the one file that maps single-run code over a block, and compiles it.

A *block* is K lanes wide, the last one padded. JAX does not promise the same bits for
different widths, so K is part of a result's identity; the position in a block, the
neighbours and the number of blocks change no bit.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from sweep_engine.machine import second_level_cache

LANE = "lane"

Options = dict[str, str | bool | int]
"""Tell XLA how to compile a program. A program's own are for CPUs, and left out elsewhere."""

WIDE: Options = {"xla_cpu_prefer_vector_width": "512"}
"""XLA keeps to 256 bits on a CPU unless told; where there are 512, random numbers take half the
time. Only for draws: in a chain's program a lane's place was seen to change a step size's last
bit."""

STEADY: Options = {"xla_cpu_use_fusion_emitters": False} if jax.__version_info__ < (0, 11) else {}
"""XLA unrolls sums of up to 8 terms and takes several lanes at a time; where two such sums are
fused, the lanes that are left over at the end are rounded otherwise. Its older code, a tenth
slower in training, does not. For observing, where anybody's sums stand side by side. From jax 0.11
on XLA has lost that code and the option, and neither does so (`tests/sources/test_places.py`)."""

ONCE: Options = {"xla_backend_optimization_level": 0}
"""Compiles what is called once or twice in a third of the time: XLA leaves out what would make it
fast. To rounding the numbers are the same."""

SMALL_WINDOWS: Options = {"xla_tpu_scoped_vmem_limit_kib": 8192}
"""Narrows the windows of a TPU's compiler, which unrolls all that lies in one of an operation: by
default 16 MiB on a v5e and 32 on a v6e, 171 networks' products at once. With 8 MiB programs compile
in a quarter to three quarters of the time. At 1,024 lanes steps of training move as many bytes or
fewer, in about as many instructions (`tests/benchmarks/README.md`, with what is not known of it).
A kernel in Pallas names its own limit."""


_PLATFORM: ContextVar[str | None] = ContextVar("platform", default=None)


def platform() -> str:
    """Name the platform that programs are made for, as JAX does: this process's own, usually."""
    return _PLATFORM.get() or jax.default_backend()


@contextmanager
def for_platform(name: str) -> Iterator[None]:
    """Make programs as for a platform that need not be here; they can be traced, not run."""
    token = _PLATFORM.set(name)
    try:
        yield
    finally:
        _PLATFORM.reset(token)


CPU_BLOCK_BYTES = 2**22
"""Bounds the bytes of a block, so that it stays in a CPU's caches."""

LARGE_CACHE = 2**21
"""From this size on a block is kept within a core's own second-level cache."""

TPU_BLOCK_BYTES = 2**26
"""Bounds the bytes of a block, so that it stays on a TPU's chip: half of a v5e's or v6e's 128 MiB.
The rest is what its compiler holds beside it."""

TPU_ROW = 128
"""Numbers that a TPU works on side by side."""


def over_lanes(function: Callable[..., Any], in_axes: Any = 0) -> Callable[..., Any]:
    """Map a function of one run over the lanes of a block."""
    return jax.vmap(function, in_axes=in_axes, axis_name=LANE)


def any_lane(condition: Bool[Array, ""]) -> Bool[Array, ""]:
    """Whether the condition holds in any lane of the block; the same in all lanes.

    The result is not batched, so `lax.cond` on it skips work instead of masking it.
    """
    count: Array = jax.lax.psum(condition.astype(jnp.int32), LANE)
    return count > 0


def replace_if_any(
    wanted: Bool[Array, ""], array: Array, replaced: Callable[[Array], Array]
) -> Array:
    """Return `replaced(array)` if any lane wants it, else the array, on a GPU where it is.

    A branch copies what it is given into its result. On a GPU that is done twice a turn, whichever
    branch is taken; a loop of one turn or none leaves the array in its place. By its compiler the
    orders of minibatches of the digits took 22 of 206 KB a network-step.
    """
    if platform() != "gpu":
        kept: Array = jax.lax.cond(any_lane(wanted), lambda: replaced(array), lambda: array)
        return kept

    def turn(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        return jnp.zeros_like(carry[0]), replaced(carry[1])

    done: tuple[Array, Array] = jax.lax.while_loop(
        lambda carry: carry[0], turn, (any_lane(wanted), array)
    )
    return done[1]


def choose_lanes(
    platform: str, num_params: int, values_per_pass: int, *, trains: bool = True
) -> int:
    """Pick the block's width K for a device kind.

    On a CPU the bytes that a block holds are kept near 4 MiB, or near the second-level cache
    of a core that has 2 to 4 MiB of it: parameters, gradients, optimiser state and activations
    then stay in the cache, and the interpreter of the program has enough to do per operation.
    Training holds 4 bytes x (4 num_params + 3 values_per_pass) a lane, a forward pass
    4 bytes x (num_params + values_per_pass). Measured by `sweep-engine bench lanes` on an AMD
    EPYC, where 4 MiB are best, and on an Intel Xeon with 2 MiB a core, where blocks of 4 MiB take
    up to 1.3 times as long.

    An accelerator wants many lanes at once. A TPU keeps a block on its chip that is no larger
    than about half of it: by its compiler a step of 512 lanes of the 7-40-40-1 network then moves
    no memory, one of 1,024 lanes 51 KB a lane, of 4,096 520 KB; of the MNIST-1D CNN 128 lanes
    2 KB, 1,024 lanes 3.0 MB (`tests/benchmarks/records/deviceless.json`).

    A GPU keeps no block on its chip: by its compiler, what a lane moves does not depend on K. But
    a step is 17 to 46 launches, of some microseconds each, whatever K is. Half a GiB held is about
    1 GB moved a step, for which an H200's memory takes 0.2 ms by its data sheet: longer than the
    launches. A block holds runs of one shard, and is no wider than that has. No GPU has been
    timed.

    Args:
        platform: JAX's name of the platform.
        num_params: P.
        values_per_pass: Activations of one forward pass over the examples of a step.
        trains: Whether a lane holds gradients and an optimiser's state.
    """
    values = 4 * num_params + 3 * values_per_pass if trains else num_params + values_per_pass
    if platform == "cpu":
        return _lanes_in(_cpu_block_bytes(), values, least=4, most=256)
    if platform == "tpu":
        return _lanes_in(TPU_BLOCK_BYTES, values, least=TPU_ROW, most=4096)
    return _lanes_in(2**29, values, least=1024, most=65_536)


def _cpu_block_bytes() -> int:
    cache = second_level_cache() or 0
    return min(cache, CPU_BLOCK_BYTES) if cache >= LARGE_CACHE else CPU_BLOCK_BYTES


def _lanes_in(size: int, values: int, *, least: int, most: int) -> int:
    """The power of two of lanes whose float32 values come nearest to some bytes."""
    return int(np.clip(2 ** round(np.log2(size / (4 * values))), least, most))


def _options_for(platform: str, own: Options | None) -> Options | None:
    if platform == "tpu":
        return SMALL_WINDOWS
    return own if platform == "cpu" else None


class Program:
    """A compiled function of one block: compiled at the first call, once, for one shape.

    Threads that race for the first call wait for the one compilation. `num_compilations`
    counts over the process and is what the tests hold to one per (bucket, program). One that
    `donates` gives the memory of its first argument, the states, to those that it returns.

    Attributes:
        options: What XLA is told when it is compiled, on the platform that it is made for.
    """

    num_compilations = 0

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        precision: str = "exact",
        options: Options | None = None,
        donates: bool = False,
    ) -> None:
        self._jitted = jax.jit(function, donate_argnums=0 if donates else ())
        self._precision = "highest" if precision == "exact" else None
        self.options = _options_for(platform(), options)
        self._compiled: Any = None
        self._lock = threading.Lock()

    @property
    def is_steady(self) -> bool:
        """Say whether it is compiled `STEADY`, which takes each operation by itself."""
        return self.options is STEADY

    def __call__(self, *arguments: Any) -> Any:
        return self.compiled(*arguments)(*arguments)

    def compiled(self, *arguments: Any) -> Any:
        """Return the executable, compiled for arguments like these."""
        with self._lock:
            if self._compiled is None:
                self._compiled = self.lowered(*arguments).compile(self.options)
                Program.num_compilations += 1
        return self._compiled

    def lowered(self, *arguments: Any) -> Any:
        """Return what the compiler is given for arguments like these, whatever device they name."""
        with self._at_precision():
            return self._jitted.lower(*arguments)

    def traced(self, *arguments: Any) -> Any:
        """Return its operations, a closed jaxpr, for arguments like these; nothing is compiled."""
        with self._at_precision():
            return self._jitted.trace(*arguments).jaxpr

    def shapes(self, *arguments: Any) -> Any:
        """The shapes of what it returns for arguments like these; nothing is computed."""
        with self._at_precision():
            return jax.eval_shape(self._jitted, *arguments)

    def _at_precision(self) -> AbstractContextManager[Any]:
        precision: AbstractContextManager[Any] = jax.default_matmul_precision(self._precision)
        return precision


def padded_length(count: int, lanes: int) -> int:
    """Count the lanes of the blocks that hold so many: the last block is computed as a whole."""
    return -(-count // lanes) * lanes


def pad(rows: np.ndarray, lanes: int) -> np.ndarray:
    """Repeat the last row until the first axis is `lanes` long."""
    missing = lanes - len(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing else rows
