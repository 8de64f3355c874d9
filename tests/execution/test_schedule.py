"""The schedule: events in, jobs out. Nothing here runs anything."""

from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sweep_engine.backends import Job
from sweep_engine.execution import Schedule, needed
from sweep_engine.execution.driver.schedule import (
    COMPILE_SECONDS,
    MAX_ATTEMPTS,
    MAX_LOST,
    OVERDUE_SECONDS,
)
from sweep_engine.planning import plan
from sweep_engine.spec import Sweep
from sweep_engine.spec.sources import sizes

FIXED = {"kind": "train", "runs": 9}
COUNTING = {"kind": "guess_and_check", "accepted": 5, "max_draws": 20}


@contextmanager
def small_shards():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "RUNS_PER_SHARD", 3)
        patch.setattr(sizes, "DRAWS_PER_SHARD", 4)
        yield


def planned(**sources):
    """Three shards a FIXED source, five a COUNTING one."""
    with small_shards():
        return plan(
            Sweep(
                name="schedule",
                task={"kind": "boolean", "bits": 3, "train": 4},
                model={"kind": "mlp", "widths": [4]},
                sources=sources,
            )
        )


def shards_of(made, source):
    return [shard.id for shard in made.shards if shard.source == source]


def start_all(schedule, worker=""):
    return list(iter(lambda: schedule.next_job(worker), None))


# --- order and retries --------------------------------------------------------------------


def test_shards_start_in_plan_order():
    made = planned(a=FIXED, b=FIXED)
    schedule = Schedule.of(made, {})
    assert start_all(schedule) == [Job(shard.id) for shard in made.shards]
    assert schedule.next_job() is None
    assert not schedule.is_over, "all are in flight"


def test_a_shard_that_raises_is_tried_three_times_behind_the_others():
    first, second, third = shards_of(made := planned(a=FIXED), "a")
    schedule = Schedule.of(made, {})
    assert schedule.next_job().shard == first
    assert not schedule.raised(first)
    assert [job.shard for job in start_all(schedule)] == [second, third, first]
    schedule.finished(second, 0)
    schedule.finished(third, 0)
    assert not schedule.raised(first)
    assert schedule.next_job().shard == first
    assert schedule.raised(first), "given up at the third"
    assert schedule.next_job() is None
    assert schedule.is_over
    assert (set(schedule.done), schedule.failed) == ({second, third}, {first})


def test_what_is_done_or_skipped_is_not_started():
    first, second, third = shards_of(made := planned(a=FIXED), "a")
    schedule = Schedule.of(made, {second: 1}, skip=[third])
    assert [job.shard for job in start_all(schedule)] == [first]
    assert (schedule.done, schedule.skipped) == ({second: 1}, {third})


# --- sources that count acceptances -------------------------------------------------------


def test_a_chain_waits_in_draw_order_and_the_closing_shard_gets_what_is_missing():
    made = planned(guess=COUNTING)
    chain = shards_of(made, "guess")
    schedule = Schedule.of(made, {})
    assert start_all(schedule) == [Job(chain[0], accepted=5)]
    assert schedule.waiting == 4
    schedule.finished(chain[0], 3)
    assert start_all(schedule) == [Job(chain[1], accepted=2)]
    schedule.finished(chain[1], 0)
    assert start_all(schedule) == [Job(chain[2], accepted=2)]
    schedule.finished(chain[2], 2)
    assert schedule.is_over
    assert schedule.not_needed == set(chain[3:])
    assert schedule.waiting == 0


def test_other_sources_do_not_wait_for_a_chain():
    made = planned(guess=COUNTING, sgd=FIXED)
    chain, others = shards_of(made, "guess"), shards_of(made, "sgd")
    assert {job.shard for job in start_all(Schedule.of(made, {}))} == {chain[0], *others}


def test_a_chain_that_never_gets_there_uses_all_its_draws():
    made = planned(guess=COUNTING)
    schedule = Schedule.of(made, {})
    for shard in shards_of(made, "guess"):
        assert start_all(schedule) == [Job(shard, accepted=5)]
        schedule.finished(shard, 0)
    assert schedule.is_over
    assert not schedule.not_needed


def test_a_failed_link_holds_the_chain_but_not_the_others():
    made = planned(guess=COUNTING, sgd=FIXED)
    chain, others = shards_of(made, "guess"), shards_of(made, "sgd")
    schedule = Schedule.of(made, {})
    start_all(schedule)
    for shard in others:
        schedule.finished(shard, 0)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert schedule.raised(chain[0]) == (attempt == MAX_ATTEMPTS)
        start_all(schedule)
    assert schedule.is_over
    assert schedule.waiting == 4
    assert schedule.failed == {chain[0]}


def test_a_chain_resumes_from_the_counted_fits():
    made = planned(guess=COUNTING)
    chain = shards_of(made, "guess")
    schedule = Schedule.of(made, {chain[0]: 1, chain[1]: 2})
    assert start_all(schedule) == [Job(chain[2], accepted=2)]
    assert needed(made, {chain[0]: 1}) == (list(made.shards), [])
    wanted, rest = needed(made, {chain[0]: 4, chain[1]: 1})
    assert [shard.id for shard in wanted] == chain[:2]
    assert [shard.id for shard in rest] == chain[2:]


def test_each_setting_of_a_source_has_a_chain_of_its_own():
    with small_shards():
        made = plan(
            Sweep(
                name="schedule",
                task={"kind": "boolean", "bits": 3, "train": 4},
                model={"kind": "mlp", "widths": [4]},
                sources={"guess": COUNTING | {"law": {"kind": "box"}}},
                axes={"sources.guess.law.half_width": [1.0, 2.0]},
            )
        )
    schedule = Schedule.of(made, {})
    first, second = (job.shard for job in start_all(schedule))
    schedule.finished(first, 5)
    assert schedule.next_job() is None
    assert len(schedule.not_needed) == 4
    schedule.finished(second, 4)
    assert schedule.next_job().accepted == 1


# --- sources that start from others -------------------------------------------------------

CHILD = {"kind": "train", "init": {"from": "sgd"}, "runs": 9}


def finish_all(schedule, made, fits=0):
    while not schedule.is_over:
        for job in start_all(schedule):
            schedule.finished(job.shard, fits)
    return schedule


def test_a_shard_waits_for_those_that_its_runs_start_from_and_for_no_other():
    made = planned(child=CHILD, sgd=FIXED)
    (first, *_), (parent, *others) = shards_of(made, "child"), shards_of(made, "sgd")
    schedule = Schedule.of(made, {})
    assert [job.shard for job in start_all(schedule)] == [parent, *others]
    schedule.finished(parent, 0)
    assert [job.shard for job in start_all(schedule)] == [first]
    assert not schedule.is_over


def test_shards_need_not_hold_the_same_runs():
    made = planned(sgd=FIXED, few=CHILD | {"runs": 4})
    (first, second), parents = shards_of(made, "few"), shards_of(made, "sgd")
    needs = {shard.id: made.parents(shard) for shard in made.shards}
    assert (needs[first], needs[second]) == (parents[:1], parents[1:2])
    assert not any(needs[parent] for parent in parents)


def test_a_line_of_descent_is_gone_down_step_by_step():
    made = planned(grandchild=CHILD | {"init": {"from": "child"}}, child=CHILD, sgd=FIXED)
    order = []
    schedule = Schedule.of(made, {})
    while not schedule.is_over:
        started = start_all(schedule)
        order.append({made_of(made, job.shard).source for job in started})
        for job in started:
            schedule.finished(job.shard, 0)
    assert order == [{"sgd"}, {"child"}, {"grandchild"}]


def made_of(made, shard):
    return next(one for one in made.shards if one.id == shard)


def test_what_waits_for_a_failed_shard_is_not_started_and_nothing_hangs():
    made = planned(child=CHILD, grandchild=CHILD | {"init": {"from": "child"}}, sgd=FIXED)
    victim, *others = shards_of(made, "sgd")
    schedule = Schedule.of(made, {})
    for _ in range(MAX_ATTEMPTS):
        start_all(schedule)
        schedule.raised(victim)
    for shard in others:
        schedule.finished(shard, 0)
    finish_all(schedule, made)
    behind = {shards_of(made, "child")[0], shards_of(made, "grandchild")[0]}
    assert set(schedule.waits_for) == behind
    assert set(schedule.done) == {shard.id for shard in made.shards} - behind - {victim}
    assert made.with_descendants([victim]) == {victim, *behind}


def test_what_is_done_lets_its_children_start_at_once():
    made = planned(child=CHILD, sgd=FIXED)
    done = dict.fromkeys(shards_of(made, "sgd"), 0)
    assert [job.shard for job in start_all(Schedule.of(made, done))] == shards_of(made, "child")


def test_draws_that_are_not_needed_are_not_waited_for():
    """The i-th acceptance may be in any shard: all that are needed must be done."""
    made = planned(child=CHILD | {"init": {"from": "guess"}, "runs": 2}, guess=COUNTING)
    (child,), chain = shards_of(made, "child"), shards_of(made, "guess")
    assert made.parents(made_of(made, child)) == chain
    schedule = Schedule.of(made, {})
    assert start_all(schedule) == [Job(chain[0], accepted=5)]
    schedule.finished(chain[0], 4)
    assert start_all(schedule) == [Job(chain[1], accepted=1)]
    schedule.finished(chain[1], 1)
    assert start_all(schedule) == [Job(child)]


def test_a_skipped_parent_holds_its_children_back():
    made = planned(child=CHILD, sgd=FIXED)
    schedule = finish_all(Schedule.of(made, {}, skip=shards_of(made, "sgd")), made)
    assert not schedule.done
    assert set(schedule.waits_for) == set(shards_of(made, "child"))


# --- workers ------------------------------------------------------------------------------


def two_buckets():
    """Sources a and b, a bucket with three shards each."""
    made = planned(a=FIXED, b=FIXED)
    return shards_of(made, "a"), shards_of(made, "b"), Schedule.of(made, {})


def test_each_worker_stays_with_a_bucket_and_then_helps():
    a, b, schedule = two_buckets()
    assert [schedule.next_job(w).shard for w in "xyxyxy"] == [a[0], b[0], a[1], b[1], a[2], b[2]]
    a, b, schedule = two_buckets()
    assert [schedule.next_job("x").shard for _ in range(6)] == [*a, *b], "alone: in plan order"
    a, b, schedule = two_buckets()
    assert [schedule.next_job(w).shard for w in "xyxxx"] == [a[0], b[0], a[1], a[2], b[1]]


def test_a_lost_workers_shards_go_first_and_it_is_not_counted_against_them():
    a, _, schedule = two_buckets()
    for _ in range(MAX_ATTEMPTS + 1):
        assert schedule.next_job("x").shard == a[0]
        assert schedule.next_job("x").shard == a[1]
        assert schedule.lost("x") == []
        assert not schedule.in_flight
    assert schedule.lost("x") == [], "a worker is lost once"
    assert not schedule.failed


def test_a_shard_that_kills_every_worker_is_given_up():
    a, _, schedule = two_buckets()
    for attempt in range(1, MAX_LOST + 1):
        worker = f"w{attempt}"
        assert schedule.next_job(worker).shard == a[0]
        assert schedule.next_job(worker).shard == a[1]
        assert schedule.lost(worker) == [a[0]] * (attempt == MAX_LOST)
    assert schedule.failed == {a[0]}
    assert schedule.next_job("x").shard == a[1], "which only stood in line, is not"


def test_a_late_result_of_a_shard_that_was_given_up_counts():
    a, _, schedule = two_buckets()
    for _ in range(MAX_ATTEMPTS):
        assert schedule.next_job("slow") is not None
    assert schedule.raised(a[0]) is False
    schedule.stalled("slow")
    schedule.raised(a[0], "other")
    assert schedule.raised(a[0], "another")
    assert schedule.finished(a[0], 0, "slow")
    assert a[0] in schedule.done
    assert not schedule.failed


# --- overdue ------------------------------------------------------------------------------


def measured(seconds=1.0):
    """Worker x has done a shard of source a and is at another; y is idle."""
    a, b, schedule = two_buckets()
    schedule.next_job("x", 0.0)
    schedule.finished(a[0], 0, "x", 10.0, seconds=seconds)
    assert schedule.next_job("x", 10.0).shard == a[1]
    return a, b, schedule


def overdue_at(schedule, seconds):
    """Whether anyone becomes overdue until then, looked at as often as the driver does."""
    return [w for i in range(10, int(seconds) + 1) for w in schedule.overdue(float(i))]


def test_overdue_shards_go_to_another_worker_first():
    a, b, schedule = measured()
    assert overdue_at(schedule, 10 + OVERDUE_SECONDS - 1) == []
    assert schedule.overdue(10 + OVERDUE_SECONDS) == ["x"]
    assert schedule.overdue(1000.0) == [], "once"
    assert schedule.next_job("x", 41.0) is None, "it gets nothing more"
    assert schedule.next_job("y", 41.0).shard == a[1]
    assert schedule.next_job("y", 41.0).shard == b[0], "and is not given it twice"


def test_the_deadline_is_three_times_the_median_of_the_source():
    _, _, schedule = measured(seconds=100.0)
    assert overdue_at(schedule, 10 + 299) == []
    assert schedule.overdue(10 + 300.0) == ["x"]


def test_whoever_is_first_has_done_it():
    a, _, schedule = measured()
    overdue_at(schedule, 41)
    schedule.next_job("y", 41.0)
    assert schedule.finished(a[1], 0, "y", 50.0)
    assert not schedule.finished(a[1], 0, "x", 60.0), "no news"
    assert schedule.next_job("x", 60.0).shard == a[2], "and it is trusted again"
    assert schedule.done_runs == 6


def test_a_worker_that_ends_something_is_not_overdue():
    a, _, schedule = measured()
    schedule.next_job("x", 12.0)
    schedule.finished(a[1], 0, "x", 39.0, seconds=1.0)
    assert overdue_at(schedule, 39 + OVERDUE_SECONDS - 1) == []
    assert schedule.overdue(39 + OVERDUE_SECONDS) == ["x"]


def test_the_first_shard_of_a_bucket_may_take_as_long_as_compiling():
    _, b, schedule = measured()
    assert schedule.next_job("y", 10.0).shard == b[0]
    schedule.finished(b[0], 0, "x", 10.0, seconds=1.0)  # so that b has a median
    schedule.next_job("y", 10.0)
    deadline = 10 + OVERDUE_SECONDS + COMPILE_SECONDS
    assert overdue_at(schedule, deadline - 1) == ["x"]
    assert schedule.overdue(deadline + 1) == ["y"]


def test_nobody_is_overdue_before_anything_is_known_of_the_source():
    *_, schedule = two_buckets()
    schedule.next_job("x", 0.0)
    assert overdue_at(schedule, 1000) == []


def test_a_long_shard_is_not_given_to_all():
    """Every further copy waits twice as long as the one before."""
    *_, schedule = measured()
    for job in start_all(schedule, "z"):
        schedule.finished(job.shard, 0, "z", 10.0)
    holders = ["x"]
    for i in range(11, 1000):
        schedule.overdue(float(i))
        worker = f"w{len(holders)}"
        if schedule.next_job(worker, float(i)):
            holders.append(worker)
    assert 3 <= len(holders) <= 6


def test_a_silent_workers_shards_go_to_another_and_come_back_if_that_is_lost():
    a, _, schedule = two_buckets()
    assert schedule.next_job("x").shard == a[0]
    schedule.stalled("x")
    assert schedule.next_job("y").shard == a[0]
    schedule.lost("y")
    assert schedule.next_job("x") is None
    assert not schedule.is_over
    schedule.finished(a[0], 0, "x")
    assert not schedule.may_start or schedule.next_job("x").shard == a[1]


def test_over_though_a_copy_still_flies():
    made = planned(a={"kind": "train", "runs": 3})
    (shard,) = shards_of(made, "a")
    schedule = Schedule.of(made, {})
    schedule.next_job("x")
    schedule.stalled("x")
    assert schedule.may_start
    schedule.next_job("y")
    schedule.finished(shard, 0, "y")
    assert schedule.is_over


# --- whatever the order of events ---------------------------------------------------------

SOURCES = {
    "sgd": FIXED,
    "guess": COUNTING,
    "prior": {"kind": "prior", "draws": 7},
    "child": CHILD | {"runs": 7},
    "of_guess": CHILD | {"init": {"from": "guess"}, "runs": 5},
    "early": {"kind": "snapshot", "from": "child"},
}
NEEDS = {"child": {"sgd"}, "of_guess": {"guess"}, "early": {"child", "sgd"}}
WORKERS = ("x", "y", "z")


@given(data=st.data(), names=st.sets(st.sampled_from(sorted(SOURCES)), min_size=1))
@hypothesis_settings(deadline=None, max_examples=150)
def test_every_needed_shard_is_finished_exactly_once(data, names):
    """Any order; failures below three a shard; lost, silent and interrupted workers."""
    names = names.union(*(NEEDS.get(name, set()) for name in names))
    made = planned(**{name: SOURCES[name] for name in sorted(names)})
    parents = {shard.id: set(made.parents(shard)) for shard in made.shards}
    # How many fits a shard has is a fact of its draws; the last link is cut at the k-th.
    facts = {s.id: data.draw(st.integers(0, s.num_runs), label="fits") for s in made.shards}
    done: dict[str, int] = {}
    attempts = dict.fromkeys(facts, 0)
    losses = MAX_LOST - 1
    schedule = Schedule.of(made, done)
    flying: dict[str, list[str]] = {}  # by worker, copies that are of no use any more among them
    while not schedule.is_over:
        busy = sorted(worker for worker, shards in flying.items() if shards)
        events = ["end"] * 4 * bool(busy) + ["start", "start", "lose", "stall", "interrupt"]
        event = data.draw(st.sampled_from(events), label="event")
        worker = data.draw(st.sampled_from(busy if event == "end" else WORKERS), label="worker")
        if event == "interrupt" and data.draw(st.booleans()):
            schedule, attempts = Schedule.of(made, done), dict.fromkeys(facts, 0)
            flying = {}
        elif event == "start":
            if job := schedule.next_job(worker):
                assert job.shard not in done
                assert parents[job.shard] <= schedule.done.keys() | schedule.not_needed
                assert job.shard not in flying.setdefault(worker, [])
                flying[worker].append(job.shard)
                facts[job.shard] = min(facts[job.shard], job.accepted or facts[job.shard])
        elif event == "lose" and losses:
            losses -= 1
            assert schedule.lost(worker) == []
            flying.pop(worker, None)
        elif event == "stall":
            schedule.stalled(worker)
        elif event == "end":
            shard = data.draw(st.sampled_from(flying[worker]), label="shard")
            flying[worker].remove(shard)
            may_raise = shard not in done and attempts[shard] < MAX_ATTEMPTS - 1
            if may_raise and data.draw(st.booleans(), label="raises"):
                attempts[shard] += 1
                assert not schedule.raised(shard, worker)
            else:
                assert schedule.finished(shard, facts[shard], worker) == (shard not in done)
                done[shard] = facts[shard]
    wanted, rest = needed(made, done)
    assert {shard.id for shard in wanted} == set(done) == set(schedule.done)
    assert {shard.id for shard in rest} == schedule.not_needed
    for name in names & {"guess"}:
        fits = [done[shard] for shard in shards_of(made, name) if shard in done]
        assert sum(fits) == 5 or (sum(fits) < 5 and len(fits) == 5)
