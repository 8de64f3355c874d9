"""The programs of a `flow` source: those of runs that go step by step."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from sweep_engine.lanes import STEADY, Options
from sweep_engine.models import Network
from sweep_engine.sources.flow.single_run import Flowing
from sweep_engine.sources.lane_widths import usual_lanes
from sweep_engine.sources.stepped.block import LaneBlock, XlaBlock
from sweep_engine.sources.stepped.programs import SteppedPrograms
from sweep_engine.spec.settings import Setting
from sweep_engine.spec.sources import Flow
from sweep_engine.tasks import Task


@dataclass(frozen=True)
class FlowPrograms(SteppedPrograms):
    """The single-run code of a `flow` source, mapped over lanes and compiled."""

    options: ClassVar[Options | None] = STEADY  # sums of the stages' slopes stand side by side

    def __post_init__(self) -> None:
        _ = self.recording  # its observables may not fit the task

    @classmethod
    def choose_lanes(cls, setting: Setting, task: Task, network: Network) -> int:
        return usual_lanes(network, len(task.train), trains=True)

    @cached_property
    def block(self) -> LaneBlock:
        return XlaBlock(self.single)

    @cached_property
    def single(self) -> Flowing:
        setting = self.bucket.setting
        assert isinstance(setting.spec, Flow)
        return Flowing(
            spec=setting.spec,
            accept=setting.accept,
            network=self.bucket.network,
            loss=self.bucket.task.loss,
            num_examples=len(self.bucket.task.train),
        )
