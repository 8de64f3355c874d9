"""The programs of a `train` source: those of runs that go step by step, by XLA or a kernel."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property

from sweep_engine.kernels.fused_training.implementations import TRAIN, build, obstacle
from sweep_engine.models import Network
from sweep_engine.sources.lane_widths import usual_lanes
from sweep_engine.sources.programs import XLA, KernelPrograms
from sweep_engine.sources.stepped.block import LaneBlock, XlaBlock
from sweep_engine.sources.stepped.programs import SteppedPrograms
from sweep_engine.sources.train.kernel import KernelBlock, case_of, obstacles
from sweep_engine.sources.train.label_noise import check_label_noise
from sweep_engine.sources.train.single_run import Training
from sweep_engine.spec.settings import Setting
from sweep_engine.spec.sources import Train
from sweep_engine.tasks import Task

TINY_PARAMS, TINY_WIDTH = 200, 12
"""Networks with no more, and no wider layers, do not fill vectors of their own, and train faster
with one in each lane: 3 times where 3-8-1, 1.6 where 4-12-8-1, but 0.5 times where 10-16-1."""

TINY_LANES = 2048
"""Of a block of tiny networks at full batch: a shard's, so that a call trains all of them. With 256
what stands around the kernel took as long as the kernel. Not with minibatches: those to come are
drawn for all lanes, which would fill the memory."""


@dataclass(frozen=True)
class TrainPrograms(KernelPrograms, SteppedPrograms):
    """The single-run code of a `train` source, mapped over lanes and compiled."""

    def __post_init__(self) -> None:
        super().__post_init__()
        spec, num_examples = self.single.spec, len(self.bucket.task.train)
        if spec.batch_size != "full" and spec.batch_size > num_examples:
            raise ValueError(f"batch_size: {spec.batch_size} of {num_examples} training examples")
        if spec.label_noise is not None:
            check_label_noise(spec.label_noise, self.bucket.task.loss)
        _ = self.recording  # its observables may not fit the task

    @classmethod
    def choose_lanes(cls, setting: Setting, task: Task, network: Network) -> int:
        assert isinstance(setting.spec, Train)
        size = setting.spec.batch_size
        return usual_lanes(network, len(task.train) if size == "full" else size, trains=True)

    @classmethod
    def kernels(cls) -> tuple[str, ...]:
        return tuple(name for name in TRAIN if name != "plain")

    @property
    def on_cpu(self) -> str:
        if self.obstacles("cpu"):
            return "cpu"
        case = case_of(self.single)
        is_tiny = case.num_params <= TINY_PARAMS and max(case.widths[1:]) <= TINY_WIDTH
        return "cpu_tiny" if is_tiny and obstacle(case, "cpu_tiny") is None else "cpu"

    def obstacles(self, implementation: str) -> list[str]:
        return obstacles(self.single, self.bucket, implementation)

    @property
    def likeness(self) -> Hashable:
        single = self.single
        turns = single.check_every, single.has_order, self.starts_from_source
        return case_of(single), turns, self.bucket.lanes

    def build(self) -> None:
        build(case_of(self.single), self.implementation)

    def flops(self, setting: Setting) -> float:
        assert isinstance(setting.spec, Train)
        return setting.spec.stop.max_steps * case_of(self.single).flops_per_step

    @cached_property
    def block(self) -> LaneBlock:
        if self.implementation == XLA:
            return XlaBlock(self.single)
        is_wide = self.implementation == "cpu_tiny" and self.single.spec.batch_size == "full"
        num_starts = max(1, TINY_LANES // self.bucket.lanes) if is_wide else 1
        return KernelBlock(self.single, self.implementation, num_starts)

    @cached_property
    def single(self) -> Training:
        setting = self.bucket.setting
        assert isinstance(setting.spec, Train)
        return Training(
            spec=setting.spec,
            accept=setting.accept,
            network=self.bucket.network,
            loss=self.bucket.task.loss,
            num_examples=len(self.bucket.task.train),
            held=self.bucket.held,
        )
