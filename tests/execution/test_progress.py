"""Time left of sources that count acceptances: from their acceptances, and unknown before."""

import io
from collections import deque

import pytest

from sweep_engine.execution import Schedule
from sweep_engine.execution.driver import chains
from sweep_engine.execution.driver.chains import Chain
from sweep_engine.execution.driver.progress import PlainLines, Standing
from tests.execution.test_schedule import COUNTING, FIXED, planned, shards_of

LONG = COUNTING | {"accepted": 8, "max_draws": 400}


def standing(**changes: object) -> Standing:
    usual = {"shards": 1, "all_shards": 2, "runs": 100, "all_runs": 200, "failed": 0,
             "seconds": 10.0, "resumed_runs": 0}  # fmt: skip
    return Standing(**(usual | changes))


def test_nothing_is_known_of_the_time_left_before_the_first_acceptance():
    made = planned(guess=LONG, sgd=FIXED)
    schedule = Schedule.of(made, {})
    first, second, *_ = shards_of(made, "guess")
    assert schedule.further_runs is None
    assert schedule.acceptances == (0, 8)
    schedule.next_job()
    schedule.finished(first, 0)
    assert schedule.further_runs is None
    schedule.next_job()
    schedule.finished(second, 2)  # 2 of 8 draws: 24 more are expected, of which 4 were begun
    assert schedule.further_runs == 20
    assert schedule.acceptances == (2, 8)


def test_no_more_draws_are_expected_than_there_are():
    few = Chain("guess", 1000, deque(), waiting=40, begun=4, draws=100, accepted=1)
    assert few.further_draws == 40
    assert Chain("guess", 10, deque(), waiting=40, draws=100, accepted=10).further_draws == 0
    assert Chain("guess", 10, deque(), waiting=0, draws=100, accepted=0).further_draws == 0


def test_a_setting_without_a_fit_hides_what_is_left_of_all():
    schedule = Schedule.of(planned(guess=LONG, other=LONG), {})
    chain = schedule._counting[0]
    chain.count(4, 2)
    assert chain.further_draws is not None
    assert schedule.further_runs is None


def test_a_resumed_run_knows_what_was_accepted_before():
    made = planned(guess=LONG)
    shards = shards_of(made, "guess")
    schedule = Schedule.of(made, {shards[0]: 1, shards[1]: 1})
    assert (schedule.acceptances, schedule.further_runs) == ((2, 8), 20)


def test_a_setting_without_a_fit_in_many_draws_is_told_of_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chains, "BARREN_DRAWS", 8)
    made = planned(guess=LONG, other=LONG)
    schedule = Schedule.of(made, {})
    told = []
    for i in range(4):
        schedule.finished(shards_of(made, "guess")[i], 0)
        schedule.finished(shards_of(made, "other")[i], i == 0)
        told.append([(chain.source, chain.draws) for chain in schedule.barren()])
    assert told == [[], [("guess", 8)], [], []]


def test_the_time_left_counts_the_draws_that_are_expected():
    assert standing().eta_seconds == 10
    assert standing(further_runs=900.0).eta_seconds == 100
    assert standing(further_runs=None).eta_seconds is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "10 runs/s, about 10 s left"),
        (
            {"further_runs": 900.0, "accepted": 3, "accepted_of": 30},
            "3 of 30 accepted, about 2 min",
        ),
        ({"further_runs": None, "accepted_of": 30}, "0 of 30 accepted, time left unknown until"),
    ],
)
def test_a_line_says_what_is_known(changes: dict[str, object], says: str):
    stream = io.StringIO()
    PlainLines(stream, "name").show(standing(**changes))
    assert says in stream.getvalue()
