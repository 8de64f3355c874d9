"""`posterior`: draws from exp(-sum of losses / temperature) times a law, by Markov chains."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from sweep_engine.spec.base import TRACED, Count, Flag, Index, Positive, RunCount
from sweep_engine.spec.laws import Gaussian, LawSpec
from sweep_engine.spec.sources import sizes
from sweep_engine.spec.sources.source import Source, SourceRole, only_final
from sweep_engine.spec.starts import ParentState


class Posterior(Source):
    """Draws from exp(-sum of losses / temperature) times the law, by Markov chains.

    Each chain is a unit of its own: `warmup` transitions that are forgotten, then `draws`
    draws, `thin` transitions apart. Losses here are *sums* over the n training examples (a
    task's loss is their mean). Squared error is a likelihood only once its noise is stated:
    then the sum of (f - y)^2 / 2 is divided by `noise_std`^2 as well. The likelihood is the
    loss's; under the 0-1 likelihood, "all labels right", the posterior is `guess_and_check`.

    Chains move the law's independent standard normals z, theta = theta(z), under
    exp(-|z|^2 / 2 - sum of losses / temperature), whose image is the posterior for any law
    that is continuous in z: a Gaussian's theta is std * z, a box's edges are no walls, biases
    that are fixed at 0 are not moved. Step sizes are therefore in units of the prior's
    standard deviation; one SGLD step in theta is step_size * std^2.

    The map between a Gaussian prior and the penalties of `Optimizer`, for losses that are
    means: the minimum of mean loss + (l2 / 2) |theta|^2 is the maximum of this posterior
    (MAP) at

        l2 = temperature / (n std^2), times noise_std^2 for squared error;
        l2 = 1 / (n std^2), likewise, with `tempered_prior`, which tempers the prior as well;

    and per layer with each layer's std. So a run that is trained *to convergence* with `l2`
    by any optimiser (SGD, momentum, Adam) is a MAP estimate, or a local one; one that stops
    at zero train error is not. The observable `map_estimate` says of each which it is.
    `weight_decay` is decoupled, and a MAP estimate only under SGD: at
    l2 = (1 - momentum) * weight_decay. Under Adam (AdamW) a run that converges, full
    batch, minimises the mean loss in the box |theta_j| <= 1 / weight_decay instead.

    Source:
        Duane, Kennedy, Pendleton & Roweth (1987), Phys. Lett. B 195(2): HMC. Hoffman &
        Gelman (2014), JMLR 15: NUTS and the warm-up. Welling & Teh (2011), ICML: SGLD, whose
        draws are biased by the step and the minibatch. Cabezas et al. (2024),
        arXiv:2402.10797: blackjax. Loshchilov & Hutter (2019), ICLR: decoupled decay; Xie &
        Li (2024), ICML: AdamW's box.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {},
                {"method": "hmc", "integration_steps": 16},
                {"method": "sgld", "step_size": 0.01, "batch_size": 16},
            ]
        }
    )

    OWN: ClassVar[dict[str, tuple[str, ...]]] = {
        "target_acceptance": ("nuts", "hmc"),
        "integration_steps": ("hmc",),
        "max_doublings": ("nuts",),
        "batch_size": ("sgld",),
    }
    """Fields that belong to some methods only."""

    kind: Literal["posterior"] = "posterior"
    law: LawSpec = Field(default=Gaussian(), description="the prior")
    method: Literal["nuts", "hmc", "sgld"] = Field(
        default="nuts",
        description="the sampler: nuts (no-U-turn), hmc (Hamiltonian Monte Carlo), or sgld "
        "(stochastic gradient Langevin dynamics)",
    )
    chains: RunCount = Field(default=16, description="independent Markov chains of each setting")
    draws: Annotated[Count, Field(le=2**20)] = Field(
        default=1000, description="draws that each chain keeps"
    )
    warmup: Annotated[Index, Field(le=2**24)] = Field(
        default=500,
        description="transitions before the first draw; HMC and NUTS adapt their step size in them",
    )
    thin: Annotated[Count, Field(le=2**10)] = Field(
        default=1, description="transitions from one draw to the next"
    )
    start: Literal["law", "teacher"] = Field(
        default="law",
        description="law: a draw from the law; teacher: every chain has labels of its own, drawn "
        "from the likelihood of a teacher drawn from the law, and starts there: at a draw from "
        "its posterior",
    )
    temperature: Annotated[Positive, TRACED] = Field(
        default=1.0,
        description="divides the sum of losses; 1 is Bayes, below 1 the data weigh more",
    )
    tempered_prior: Flag = Field(
        default=False, description="the prior's density is taken to the power 1/temperature too"
    )
    noise_std: Annotated[Positive | None, TRACED] = Field(
        default=None, description="standard deviation of the targets' noise, for squared error"
    )
    step_size: Annotated[Positive | None, TRACED] = Field(
        default=None,
        description="in the prior's standard deviations; where the warm-up adapts it, its start "
        "(0.1 when left out)",
    )
    target_acceptance: Annotated[Positive | None, Field(lt=1), TRACED] = Field(
        default=None, description="what the warm-up adapts to; 0.8 when left out"
    )
    integration_steps: Annotated[Count | None, Field(lt=2**16), TRACED] = Field(
        default=None, description="hmc: leapfrog steps of a transition; 16 when left out"
    )
    max_doublings: Annotated[int | None, Field(strict=True, ge=1, le=16)] = Field(
        default=None, description="nuts: at most 2^max_doublings leapfrog steps; 8 when left out"
    )
    batch_size: Count | None = Field(
        default=None, description="sgld: examples of a step, with replacement; all when left out"
    )

    @model_validator(mode="after")
    def _own_fields(self) -> Self:
        for name, methods in self.OWN.items():
            if getattr(self, name) is not None and self.method not in methods:
                raise ValueError(f"{name} is for {' and '.join(methods)}, not for {self.method}")
        if self.step_size is None and not self.adapts:
            raise ValueError("step_size: give one; only the warm-up of hmc or nuts finds it")
        return self

    @property
    def adapts(self) -> bool:
        """Whether a warm-up finds the step size."""
        return self.method != "sgld" and self.warmup > 0

    @property
    def role(self) -> SourceRole:
        return SourceRole.POSTERIOR

    @property
    def sentence(self) -> str:
        return f"the posterior under the law {self.law.title}, by {self.method}"

    @property
    def deed(self) -> str:
        return "drawn"

    @property
    def counted(self) -> frozenset[str]:
        return frozenset({"chains"})

    @property
    def selected(self) -> frozenset[str]:
        return frozenset()

    @property
    def watched(self) -> frozenset[str]:
        return frozenset()

    @property
    def recorded(self) -> tuple[()]:
        return ()

    @property
    def has_time(self) -> bool:
        return False

    @property
    def own_columns(self) -> tuple[()]:
        return ()

    @property
    def num_runs(self) -> int:
        return self.chains * self.draws

    @property
    def num_rows(self) -> int:
        return self.num_runs

    @property
    def unit_size(self) -> int:
        return self.draws

    @property
    def runs_per_shard(self) -> int:
        return max(sizes.CHAINS_PER_SHARD, sizes.RUNS_PER_SHARD // self.draws) * self.draws

    @property
    def runs_per_tiny_shard(self) -> int:
        return self.runs_per_shard

    @property
    def accepts_until(self) -> None:
        return None

    @property
    def work_per_run(self) -> int:
        """One draw, a share of the warm-up included."""
        return 1

    @property
    def records_per_run(self) -> int:
        return 0

    @property
    def states_per_run(self) -> int:
        return 1

    @property
    def start_law(self) -> LawSpec:
        return self.law

    @property
    def has_start(self) -> bool:
        return False

    @property
    def has_own_targets(self) -> bool:
        """A chain has the labels that its teacher has drawn."""
        return self.start == "teacher"

    @property
    def curvature_limit(self) -> None:
        return None

    def missing_state(self, at: ParentState, name: str) -> str | None:
        return only_final(at, name)

    @property
    def keeps_fits_only(self) -> bool:
        return False

    @property
    def identifies_fits_only(self) -> bool:
        return False

    @property
    def weighs_law(self) -> bool:
        return False

    @property
    def measures_fit_of_law(self) -> bool:
        return False

    @property
    def estimates_fit_by_unit(self) -> bool:
        return False
