"""Sources: the laws from which networks are drawn, SGD among them."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from sweep_engine.spec.base import (
    HOST,
    TRACED,
    Count,
    Flag,
    Fraction,
    Index,
    NonNegative,
    Positive,
    Real,
    RunCount,
    Spec,
)
from sweep_engine.spec.laws import Box, Gaussian, Initialiser, LawSpec
from sweep_engine.spec.starts import FromSource, FunctionsFrom, Reference, StartSpec, State
from sweep_engine.spec.tasks import TaskSpec

TracedCount = Annotated[int, Field(strict=True, ge=1, lt=2**31), TRACED]
Shrink = Annotated[float, Field(strict=True, gt=0, lt=1), TRACED]


class Bin(Spec):
    """An open interval, bounded on one side or on both."""

    above: Real | None = None
    below: Real | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.above is None and self.below is None:
            raise ValueError("give above, below or both")
        if self.above is not None and self.below is not None and self.above >= self.below:
            raise ValueError(f"no number is above {self.above} and below {self.below}")
        return self


class Accept(Spec):
    """The rule that says when a network fits the training set: exactly one of these.

    `margin` and `loss` may be those of the outputs divided by a scale of the network
    (`normalise`), so that networks of different size are compared inside one bin. The path
    norm and the Lipschitz estimate do not change when relu units are rescaled; the products
    of norms do. A rule of dense layers with biases is best normalised by the path norm,
    which counts them.
    """

    RULES: ClassVar[tuple[str, ...]] = (
        "train_error", "train_loss", "max_residual", "margin", "loss",
    )  # fmt: skip

    train_error: NonNegative | None = Field(
        default=None, description="share of training examples that are wrong, at most"
    )
    train_loss: NonNegative | None = Field(default=None, description="mean training loss, at most")
    max_residual: Positive | None = Field(
        default=None, description="largest |output - y| over the training set, at most"
    )
    margin: Bin | None = Field(
        default=None,
        description="smallest margin over the training set, inside; an output of exactly 0 has "
        "no margin and counts by its label alone",
    )
    loss: Bin | None = Field(default=None, description="mean training loss, inside")
    normalise: Literal["frobenius", "spectral", "path", "lipschitz"] | None = Field(
        default=None,
        description="what outputs are divided by before margin or loss is taken: the product of "
        "the layers' Frobenius or spectral norms, the path norm, or the largest slope of the "
        "outputs at a training input",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(getattr(self, name) is not None for name in self.RULES) != 1:
            raise ValueError(f"give exactly one of {', '.join(self.RULES)}")
        if self.normalise is not None and self.margin is None and self.loss is None:
            raise ValueError("normalise goes with margin or loss")
        if self.loss is not None and self.loss.below is not None and self.loss.below <= 0:
            raise ValueError("loss: no loss is below 0")
        return self


class Constant(Spec):
    """The learning rate stays as it is."""

    kind: Literal["constant"] = "constant"


class Cosine(Spec):
    """Half a cosine from 1 to `final_fraction` over `steps`, then constant."""

    kind: Literal["cosine"] = "cosine"
    steps: TracedCount
    final_fraction: Annotated[NonNegative, TRACED] = 0.0


class WarmUp(Spec):
    """Linear from 1/steps to 1 over the first `steps`, then constant."""

    kind: Literal["warm_up"] = "warm_up"
    steps: TracedCount


class StepDecay(Spec):
    """Times `factor` after every `every` steps."""

    kind: Literal["step"] = "step"
    every: TracedCount
    factor: Annotated[Positive, TRACED] = 0.1


ScheduleSpec = Annotated[Constant | Cosine | WarmUp | StepDecay, Field(discriminator="kind")]


class Optimizer(Spec):
    """What all optimisers share.

    `l2` adds the gradient of the penalty (l2/2)|theta|^2 to the gradient; `weight_decay`
    shrinks the parameters by learning_rate * weight_decay beside the step (decoupled). Under
    plain SGD the two coincide. With momentum a run converges to where l2 is (1 - momentum)
    times the weight decay; under Adam and RMSProp the two are different algorithms.
    `Posterior` says which run is a MAP estimate of which prior.
    """

    learning_rate: Annotated[Positive, TRACED] = 0.1
    weight_decay: Annotated[NonNegative, TRACED] = 0.0
    l2: Annotated[NonNegative, TRACED] = 0.0
    schedule: ScheduleSpec = Constant()


class Sgd(Optimizer):
    """SGD with heavy-ball or Nesterov momentum."""

    kind: Literal["sgd"] = "sgd"
    momentum: Annotated[Fraction, TRACED] = 0.0
    nesterov: Flag = False


class Adam(Optimizer):
    """Adam; with `weight_decay` it is AdamW."""

    kind: Literal["adam", "adamw"] = "adam"
    learning_rate: Annotated[Positive, TRACED] = 1e-3
    b1: Annotated[Fraction, TRACED] = 0.9
    b2: Annotated[Fraction, TRACED] = 0.999
    eps: Annotated[Positive, TRACED] = 1e-8


class RmsProp(Optimizer):
    """RMSProp with momentum: g / sqrt(nu + eps), eps inside the root as in optax."""

    kind: Literal["rmsprop"] = "rmsprop"
    learning_rate: Annotated[Positive, TRACED] = 1e-3
    decay: Annotated[Fraction, TRACED] = 0.9
    eps: Annotated[Positive, TRACED] = 1e-8
    momentum: Annotated[Fraction, TRACED] = 0.0


class Langevin(Optimizer):
    """Gradient descent with noise: theta <- theta - lr g + sqrt(2 lr T / n) xi, xi ~ N(0, I).

    g is the gradient of the mean loss over n training examples, plus the penalty's. At small
    learning rates and full batch its stationary law is exp(-sum of losses / T) times
    N(0, T / (n l2)): a prior of deviation s is l2 = T / (n s^2), and without `l2` it is flat.
    On a quadratic of curvature a the variance is 2T / (n a (2 - lr a)) exactly, T / (n a) for
    small lr. Minibatches add their own noise (then it is SGLD), and T = 0 is SGD.

    Source:
        Welling & Teh (2011), ICML, equation 4, with a constant step 2 lr T / n.
    """

    kind: Literal["langevin"] = "langevin"
    temperature: Annotated[NonNegative, TRACED] = 1.0


class RandomSearch(Spec):
    """Greedy random search: noise on all parameters, kept where the training loss falls.

    It computes no gradients. A step is one candidate.
    """

    kind: Literal["random_search"] = "random_search"
    std: Annotated[Positive, TRACED] = Field(default=0.1, description="of the noise, at first")
    patience: TracedCount = Field(
        default=100, description="refusals in a row after which std shrinks"
    )
    shrink: Shrink = 0.5


class PatternSearch(Spec):
    """Pattern search: one parameter up or down by a step, kept where the training loss falls.

    It computes no gradients. A step is one candidate; a sweep is 2P of them, both moves of
    every parameter in random order.
    """

    kind: Literal["pattern_search"] = "pattern_search"
    step_size: Annotated[Positive, TRACED] = Field(default=1.0, description="of a move, at first")
    shrink: Shrink = Field(default=0.5, description="after a sweep without improvement")


GradientSpec = Sgd | Adam | RmsProp | Langevin
SearchSpec = RandomSearch | PatternSearch
OptimizerSpec = Annotated[GradientSpec | SearchSpec, Field(discriminator="kind")]


class Stop(Spec):
    """When a training run ends; it also ends when it diverges.

    Sources that train for the same time all end at `{fit: false, max_steps: N}`: minibatch
    SGD and full-batch GD of one learning rate have then both gone learning rate x N; after
    N and N B / n steps they have met the same number of examples.
    """

    max_steps: TracedCount = 10_000
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
        if steps is not None and (sorted(set(steps)) != list(steps) or steps[-1] >= 2**31):
            raise ValueError("give different steps in increasing order, below 2^31")
        return steps


class Source(Spec):
    """What all sources share: a rule and a task of one's own, in place of the sweep's."""

    accept: Accept | None = None
    task: TaskSpec | None = Field(
        default=None, description="in place of the sweep's; its inputs must have the same shape"
    )


class Train(Source):
    """From a start, optimise until a stopping rule holds."""

    COUNTED: ClassVar[frozenset[str]] = frozenset({"runs"})

    kind: Literal["train"] = "train"
    init: StartSpec = Initialiser()
    optimizer: OptimizerSpec = Sgd()
    batch_size: Count | Literal["full"] = "full"
    sampling: Literal["without_replacement", "with_replacement"] = "without_replacement"
    stop: Stop = Stop()
    runs: RunCount

    @model_validator(mode="after")
    def _search_needs_the_whole_loss(self) -> Self:
        if isinstance(self.optimizer, SearchSpec) and self.batch_size != "full":
            raise ValueError(
                f"{self.optimizer.kind} compares losses over the whole training set: "
                "batch_size must be full"
            )
        return self


class Prior(Source):
    """Draws from a law, trained by nothing."""

    COUNTED: ClassVar[frozenset[str]] = frozenset({"draws", "keep"})

    kind: Literal["prior"] = "prior"
    law: LawSpec = Box()
    draws: RunCount
    keep: Literal["all", "fit", "none"] | Count = Field(
        default="all", description="which draws become rows; tallies count every draw"
    )


class GuessAndCheck(Source):
    """A law conditioned on fitting, by rejection: a number of draws, or of acceptances."""

    COUNTED: ClassVar[frozenset[str]] = frozenset({"draws", "max_draws"})

    kind: Literal["guess_and_check"] = "guess_and_check"
    law: LawSpec = Box()
    draws: RunCount | None = None
    accepted: RunCount | None = None
    max_draws: RunCount = Field(
        default=100_000_000, description="with `accepted`: give up after so many draws"
    )

    @model_validator(mode="after")
    def _one_stopping_rule(self) -> Self:
        if (self.draws is None) == (self.accepted is None):
            raise ValueError("give draws (a fixed number) or accepted (stop at the k-th)")
        return self


DONE = {"train": "trained", "prior": "drawn", "guess_and_check": "drawn"}
"""What is done to the networks of sources of which a kernel may do the work."""

FunctionText = Annotated[str, Field(pattern=r"^[0-9]{1,65536}$")]


class Splitting(Source):
    """A law conditioned on fitting, by adaptive multilevel splitting: for rare fits.

    Each repetition is a unit of its own: `particles` draws of equal weight, clones among them
    (`ancestor`), and an estimate of ln P(fit). It climbs the tie-free level of the acceptance
    rule. Any acceptance rule will do, and any law but `module`.

    With `functions` P(f) of each is measured instead: units climb to being that function
    on the reference inputs, and their rows fit by the ordinary rule. There are `repetitions`
    of each function; unit u climbs to function u modulo their number.

    Rows: `log_weight` is ln P(level reached) of the row's repetition, less ln(particles), so
    that the weights of a repetition's fits (or of its rows that are its function) add up to
    its estimate of P, and those of all repetitions together weigh them without bias.
    `status` is `drawn`; `max_steps` where a repetition did not arrive, because it ran out of
    levels or nobody was above the last.

    Tallies, one of each a unit:
        log_p_fit: ln P(fit) in nats, or `log_p_function`; -inf where no particle fits: then
            P(fit) was estimated as 0, as an unbiased estimate of something small must be now
            and then. Its stderr is of this repetition alone, from its ancestors.
        log_p_reached: ln P(level above the last one passed); the same where it arrived.
        levels: how many were passed.
        acceptance: share of moves that found a new place.
        step_size: the last bracket of angles in which moves looked, radians; a full turn
            at most.
        distance_moved: of a particle's normals by the last level's moves, mean square; 1 is a
            fresh draw from the law.
        distinct_ancestors: first draws that the particles descend from; few of them are a
            warning.
    """

    COUNTED: ClassVar[frozenset[str]] = frozenset({"repetitions"})

    kind: Literal["splitting"] = "splitting"
    law: LawSpec = Gaussian()
    particles: Annotated[Count, Field(ge=8)] = 4096
    repetitions: Annotated[RunCount, Field(le=2**20)] = 8
    moves: Count = Field(default=20, description="Markov moves of every particle at every level")
    survivors: Annotated[Positive, Field(lt=1)] = Field(
        default=0.5, description="share of the particles that the next level leaves"
    )
    max_levels: Count = Field(
        default=2000, description="give up after so many levels: the repetition did not fit"
    )
    functions: Annotated[tuple[FunctionText, ...], Field(min_length=1)] | FunctionsFrom | None = (
        Field(
            default=None,
            description="measure P(f) of these: a digit for every reference input (all inputs of "
            "a Boolean task), or the commonest among the fits of a source",
        )
    )

    @property
    def num_functions(self) -> int:
        """How many functions each repetition is done for, at most; 1 where none are given."""
        if isinstance(self.functions, FunctionsFrom):
            return self.functions.top
        return len(self.functions) if self.functions is not None else 1


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
    at zero train error is not. `weight_decay` is decoupled, and a MAP estimate only under
    SGD: at l2 = (1 - momentum) * weight_decay. Under Adam (AdamW) a run that converges, full
    batch, minimises the mean loss in the box |theta_j| <= 1 / weight_decay instead.

    Source:
        Duane, Kennedy, Pendleton & Roweth (1987), Phys. Lett. B 195(2): HMC. Hoffman &
        Gelman (2014), JMLR 15: NUTS and the warm-up. Welling & Teh (2011), ICML: SGLD, whose
        draws are biased by the step and the minibatch. Cabezas et al. (2024),
        arXiv:2402.10797: blackjax. Loshchilov & Hutter (2019), ICLR: decoupled decay; Xie &
        Li (2024), ICML: AdamW's box.
    """

    COUNTED: ClassVar[frozenset[str]] = frozenset({"chains"})
    OWN: ClassVar[dict[str, tuple[str, ...]]] = {
        "target_acceptance": ("nuts", "hmc"),
        "integration_steps": ("hmc",),
        "max_doublings": ("nuts",),
        "batch_size": ("sgld",),
    }
    """Fields that belong to some methods only."""

    kind: Literal["posterior"] = "posterior"
    law: LawSpec = Gaussian()
    method: Literal["nuts", "hmc", "sgld"] = "nuts"
    chains: RunCount = 16
    draws: Annotated[Count, Field(le=2**20)] = 1000
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
    temperature: Annotated[Positive, TRACED] = 1.0
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


class Snapshot(Source, Reference):
    """The networks of another source at some step: row i is its run i.

    They are observed, and judged by the acceptance rule, like any others.
    """

    COUNTED: ClassVar[frozenset[str]] = frozenset({"runs"})

    kind: Literal["snapshot"] = "snapshot"
    at: Annotated[State, HOST] = "final"
    runs: RunCount | None = Field(default=None, description="left out: all that the source has")


SourceSpec = Annotated[
    Train | Prior | GuessAndCheck | Splitting | Posterior | Snapshot, Field(discriminator="kind")
]


def law_of(source: SourceSpec) -> LawSpec | None:
    """The law that a source's networks start from; None where they start from stored ones."""
    if isinstance(source, Snapshot):
        return None
    start = source.init if isinstance(source, Train) else source.law
    return None if isinstance(start, FromSource) else start


def reference_of(source: SourceSpec) -> tuple[tuple[str, ...], Reference] | None:
    """What a source takes from another's stored results, and the path of the field that says so."""
    if isinstance(source, Reference):
        return (), source
    values = ((name, getattr(source, name)) for name in type(source).model_fields)
    return next((((name,), value) for name, value in values if isinstance(value, Reference)), None)


def num_runs(source: SourceSpec) -> int:
    """How many runs or draws a source has in a setting, at most."""
    match source:
        case Train(runs=runs):
            return runs
        case Prior(draws=draws):
            return draws
        case GuessAndCheck(draws=draws, max_draws=at_most):
            return draws if draws is not None else at_most
        case Splitting(repetitions=repetitions):
            return repetitions * source.num_functions * unit_size(source)
        case Posterior(chains=units):
            return units * unit_size(source)
        case Snapshot(runs=count):
            if count is None:
                raise ValueError("a snapshot's number of runs is that of the source it is of")
            return count


def num_rows(source: SourceSpec) -> int | None:
    """How many rows a source keeps in a setting; None where that depends on the draws."""
    match source:
        case Train() | Prior(keep="all") | Splitting() | Posterior() | Snapshot():
            return num_runs(source)
        case Prior(draws=draws, keep=int() as keep):
            return min(draws, keep)
        case Prior(keep="none"):
            return 0
        case GuessAndCheck(accepted=int() as accepted):
            return accepted
        case _:
            return None


def unit_size(source: SourceSpec) -> int:
    """How many draws depend on one another: those of a repetition or a chain; else 1."""
    match source:
        case Splitting(particles=particles):
            return particles
        case Posterior(draws=draws):
            return draws
        case _:
            return 1
