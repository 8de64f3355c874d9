"""`train`: from a start, optimise until a stopping rule holds."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from sweep_engine.spec.base import TRACED, Count, Flag, Index, Positive, Share, Spec, TracedCount
from sweep_engine.spec.observables import ObservableKind, Observables
from sweep_engine.spec.sources.optimizers import EdgeOptimizer, OptimizerSpec, Sgd
from sweep_engine.spec.sources.stepped import Stepped
from sweep_engine.spec.starts import ParentState


def _increasing(steps: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if steps is not None and (sorted(set(steps)) != list(steps) or steps[-1] >= 2**31):
        raise ValueError("give different steps in increasing order, below 2^31")
    return steps


class Stop(Spec):
    """When a training run ends; it also ends when it diverges.

    Sources that train for the same time all end at `{fit: false, max_steps: N}`: minibatch
    SGD and full-batch GD of one learning rate have then both gone learning rate x N; after
    N and N B / n steps they have met the same number of examples.
    """

    max_steps: TracedCount = Field(default=10_000, description="end after so many optimiser steps")
    fit: Flag = Field(default=True, description="end when the acceptance rule holds")
    train_loss: Annotated[Positive | None, TRACED] = Field(
        default=None, description="end at this mean training loss"
    )
    check_every: Count | None = Field(
        default=None,
        description="steps between checks; left out, every step at full batch, else every epoch",
    )
    extra_steps: Index = Field(
        default=0, description="steps to go on after the first fit; params then keeps both"
    )
    snapshots: Annotated[tuple[Index, ...], Field(min_length=1)] | None = Field(
        default=None, description="steps after which params keeps the parameters as well"
    )

    @field_validator("snapshots")
    @classmethod
    def _in_order(cls, steps: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return _increasing(steps)


class Record(Spec):
    """What is observed of a run on its way, in columns of `curves`; training is not changed.

    Give the steps: `at` some, or `every` so many, the start among them. The networks are kept
    aside and observed in blocks of their own, by the same program that would observe them stored.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"observables": ["norms"], "every": 100},
                {"observables": ["norms"], "at": [0, 10, 100]},
            ]
        }
    )

    observables: Annotated[Observables, Field(min_length=1)] = Field(
        description="what is computed of the network at each of these steps"
    )
    at: Annotated[tuple[Index, ...], Field(min_length=1)] | None = Field(
        default=None, description="steps, in increasing order; those that a run reaches"
    )
    every: Annotated[Count, Field(lt=2**31)] | None = Field(
        default=None, description="steps from one to the next"
    )

    @field_validator("at")
    @classmethod
    def _in_order(cls, steps: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return _increasing(steps)

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        if (self.at is None) == (self.every is None):
            raise ValueError("give either `at`, a list of steps, or `every`, a number of them")
        for observable in self.observables:
            if observable.fit_source is not None:
                raise ValueError(f"{observable.kind} is fitted on stored networks, not on the way")
        return self

    def count_until(self, step: int) -> int:
        """Count the steps that are recorded of a run that ends after so many."""
        if self.at is not None:
            return sum(at <= step for at in self.at)
        assert self.every is not None
        return step // self.every + 1


class LabelNoise(Spec):
    """Noise on the targets of a step's examples, drawn anew at every step: label-noise SGD.

    Give `share` where targets are labels, `std` where they are values. Checks of the acceptance
    rule, and all that is observed, see the targets without it.

    Source:
        Blanc, Gupta, Valiant & Valiant (2020), COLT; Damian, Ma & Lee (2021), NeurIPS.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"share": 0.1}, {"std": 0.1}]})

    share: Annotated[Share | None, TRACED] = Field(
        default=None, description="chance of another label, each other one equally likely"
    )
    std: Annotated[Positive | None, TRACED] = Field(
        default=None, description="standard deviation of Gaussian noise on values"
    )

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        if (self.share is None) == (self.std is None):
            raise ValueError("give either `share`, of labels, or `std`, of values")
        return self


class Average(Spec):
    """Keep an average of the parameters along the run as well; the run itself is not changed.

    `decay` makes it exponential: a <- decay a + (1 - decay) theta after every step, from a = the
    start. `from_step` makes it the plain mean of theta from that step on, Polyak's or, from late
    in the run, that of stochastic weight averaging. `params` keeps it beside the final state, and
    a source `{kind: snapshot, from: NAME, at: average}` observes the averaged networks.

    Source:
        Polyak & Juditsky (1992), SIAM J. Control Optim. 30; Izmailov et al. (2018), UAI.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"decay": 0.99}, {"from_step": 1000}]}
    )

    decay: Share | None = Field(
        default=None, description="weight of the average so far against the newest parameters"
    )
    from_step: Index | None = Field(
        default=None,
        description="first step whose parameters count, 0 the start; a run that ends before has "
        "its last ones",
    )

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        if (self.decay is None) == (self.from_step is None):
            raise ValueError("give either `decay`, of an exponential average, or `from_step`")
        return self


class Train(Stepped):
    """From a start, optimise until a stopping rule holds."""

    later_keys: ClassVar[tuple[str, ...]] = ("record", "label_noise", "average")

    kind: Literal["train"] = "train"
    optimizer: OptimizerSpec = Field(default=Sgd(), description="how a run steps")
    batch_size: Count | Literal["full"] = Field(
        default="full", description="examples of a step; full: the whole training set"
    )
    sampling: Literal["without_replacement", "with_replacement"] = Field(
        default="without_replacement",
        description="whether a minibatch is the next of a shuffled epoch, or drawn anew each step",
    )
    stop: Stop = Field(default=Stop(), description="when a run ends")
    label_noise: LabelNoise | None = Field(
        default=None, description="noise on the targets of every step, drawn anew each time"
    )
    record: Record | None = Field(default=None, description="what is observed of a run on its way")
    average: Average | None = Field(
        default=None, description="keep an average of the parameters along the run as well"
    )

    @model_validator(mode="after")
    def _search_needs_the_whole_loss(self) -> Self:
        if self.optimizer.compares_losses and self.batch_size != "full":
            raise ValueError(
                f"{self.optimizer.title} compares losses over the whole training set: "
                "batch_size must be full"
            )
        return self

    @model_validator(mode="after")
    def _search_needs_one_loss(self) -> Self:
        if self.optimizer.compares_losses and self.label_noise is not None:
            raise ValueError(
                f"label_noise: {self.optimizer.title} compares losses, which the noise would decide"
            )
        return self

    @property
    def sentence(self) -> str:
        return f"trained by {self.optimizer.title} from {self.start_words}"

    @property
    def deed(self) -> str:
        return "trained"

    @property
    def watched(self) -> frozenset[str]:
        return super().watched | {"average"}

    @property
    def has_time(self) -> bool:
        return False

    @property
    def own_columns(self) -> tuple[str, ...]:
        optimizer = self.optimizer
        own_rates = isinstance(optimizer, EdgeOptimizer) and optimizer.of_edge is not None
        return ("learning_rate",) if own_rates else ()

    @property
    def recorded(self) -> tuple[ObservableKind, ...]:
        return self.record.observables if self.record else ()

    @property
    def work_per_run(self) -> int:
        return self.stop.max_steps

    @property
    def records_per_run(self) -> int:
        return 0 if self.record is None else self.record.count_until(self.stop.max_steps)

    @property
    def states_per_run(self) -> int:
        of_way = bool(self.stop.extra_steps) + len(self.stop.snapshots or ())
        return 1 + bool(self.average) + of_way

    @property
    def curvature_limit(self) -> float | None:
        return self.optimizer.curvature_limit

    def missing_state(self, at: ParentState, name: str) -> str | None:
        if at == "final":
            return None
        if at == "first_fit":
            if self.stop.fit or self.stop.extra_steps:
                return None
            return (
                f"{name} does not keep its first fit: give its stop `extra_steps`, or `fit: true`"
            )
        if at == "average":
            if self.average is not None:
                return None
            return f"{name} keeps no average: give sources.{name}.average"
        if at in (self.stop.snapshots or ()):
            return None
        return f"{name} does not keep step {at}: add it to sources.{name}.stop.snapshots"
