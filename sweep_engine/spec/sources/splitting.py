"""`splitting`: a law given a fit, by adaptive multilevel splitting."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sweep_engine.spec.base import Count, Flag, Positive, RunCount
from sweep_engine.spec.laws import Gaussian, LawSpec
from sweep_engine.spec.sources import sizes
from sweep_engine.spec.sources.source import Source, SourceRole, only_final
from sweep_engine.spec.starts import FunctionsFrom, ParentState

USUAL_LEVELS = 32
"""How many levels a repetition is reckoned to climb: as many as halve the law to 1e-10."""

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

    With `keep_levels` half of a repetition's rows are draws that its levels left behind, as many
    of each level, with the weight of what lies between it and the one before. All rows together
    are then a weighted sample of the law itself, from its bulk down to a fit: the density of
    states of the training error, jointly with any other column. Give it `climb: error`, or
    errors between chance and 0 are passed in leaps: a margin also rises where outputs shrink.

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

    Source:
        Skilling (2006), Bayesian Analysis 1(4), for levels as a density of states.
    """

    later_keys: ClassVar[tuple[str, ...]] = ("climb", "keep_levels")

    kind: Literal["splitting"] = "splitting"
    law: LawSpec = Field(default=Gaussian(), description="the law that is conditioned on a fit")
    particles: Annotated[Count, Field(ge=8)] = Field(
        default=4096, description="networks that climb together in a repetition"
    )
    repetitions: Annotated[RunCount, Field(le=2**20)] = Field(
        default=8, description="independent repetitions, each with an estimate of its own"
    )
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

    climb: Literal["margin", "error"] | None = Field(
        default=None,
        description="what rises from level to level: margin, also where left out, the level of the "
        "acceptance rule; error: fewer training examples are wrong, one after the other",
    )
    keep_levels: Flag | None = Field(
        default=None,
        description="true: half of the rows are draws that the levels left behind, with weights",
    )

    @model_validator(mode="after")
    def _climbs_to_a_fit(self) -> Self:
        if self.functions is not None and (self.climb is not None or self.keep_levels):
            raise ValueError("climb and keep_levels are for climbing to a fit, not to functions")
        return self

    @property
    def num_functions(self) -> int:
        """How many functions each repetition is done for, at most; 1 where none are given."""
        if isinstance(self.functions, FunctionsFrom):
            return self.functions.top
        return len(self.functions) if self.functions is not None else 1

    @property
    def role(self) -> SourceRole:
        return SourceRole.CONDITIONED

    @property
    def sentence(self) -> str:
        return f"the law {self.law.title} given a fit, by splitting"

    @property
    def deed(self) -> str:
        return "drawn"

    @property
    def counted(self) -> frozenset[str]:
        return frozenset({"repetitions"})

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
        return self.repetitions * self.num_functions * self.particles

    @property
    def num_rows(self) -> int:
        return self.num_runs

    @property
    def unit_size(self) -> int:
        return self.particles

    @property
    def runs_per_shard(self) -> int:
        return max(1, sizes.RUNS_PER_SHARD // self.particles) * self.particles

    @property
    def runs_per_tiny_shard(self) -> int:
        return self.runs_per_shard

    @property
    def accepts_until(self) -> None:
        return None

    @property
    def work_per_run(self) -> int:
        """Moves of a particle, if it climbs as many levels as usual."""
        return self.moves * min(USUAL_LEVELS, self.max_levels)

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
        return False

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
        return bool(self.keep_levels)

    @property
    def measures_fit_of_law(self) -> bool:
        return self.functions is None

    @property
    def estimates_fit_by_unit(self) -> bool:
        return True
