"""A job is followed through what happens to the connection and to the job itself."""

import sys
from types import SimpleNamespace

import pytest
import requests

from sweep_engine import cli
from sweep_engine.backends.ray import door, jobs
from sweep_engine.backends.ray.jobs import Jobs
from sweep_engine.errors import ClusterError, Interrupted, OutputError

ADDRESS = "http://127.0.0.1:8265"
JOB = "raysubmit_1"
NO_ANSWER = requests.exceptions.ConnectionError("Connection refused\nfour lines of urllib3")


class Status(str):
    def is_terminal(self):
        return self not in ("RUNNING", "PENDING")


def state(status, code=None, message=""):
    return SimpleNamespace(status=Status(status), driver_exit_code=code, message=message)


class Server:
    """Answers with what it is given, one after another, the last for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0
        self.followed = 0

    def get_job_info(self, job):
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def tail_job_logs(self, job):
        self.followed += 1
        if self.answers[0] is NO_ANSWER:
            raise NO_ANSWER
        yield "a line\n"


@pytest.fixture
def follow(monkeypatch):
    monkeypatch.setattr(jobs, "require_token", lambda address: None)
    monkeypatch.setattr(jobs, "RECONNECT_SECONDS", 0.0)

    def follow(server, job=JOB):
        monkeypatch.setattr(door, "job_client", lambda address: server)
        return Jobs(ADDRESS).follow(job, lambda text: None)

    return follow


@pytest.mark.parametrize("away", [NO_ANSWER, RuntimeError("Request failed with status code 503:")])
def test_a_connection_that_is_away_for_a_while_is_made_again(follow, away):
    server = Server(state("RUNNING"), away, away, state("SUCCEEDED"))
    assert follow(server) == 0
    assert server.asked == 5, "before and after each connection"
    assert server.followed == 2


def test_a_connection_that_is_gone_leaves_word_how_to_follow_again(follow):
    with pytest.raises(Interrupted) as caught:
        follow(Server(NO_ANSWER))
    assert f"sweep-engine submit --attach {JOB} --address {ADDRESS}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("of_job", "of_run"), [(jobs.FAILED_IN_JOB, 1), (2, 2), (3, 3)])
def test_the_exit_codes_of_run_are_passed_on(follow, of_job, of_run):
    assert follow(Server(state("FAILED", of_job))) == of_run


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_a_job_ends_with_1_if_ray_ends_it_and_never_else(code, monkeypatch):
    def main():
        sys.exit(code)

    monkeypatch.setattr(cli, "main", main)
    with pytest.raises(SystemExit) as ended:
        cli._as_job()
    assert ended.value.code != 1
    assert jobs.EXIT_CODES.get(ended.value.code, 0) == code


@pytest.mark.parametrize(
    "ended",
    [
        state("STOPPED", None, "Job was intentionally stopped."),
        state("STOPPED", 1, "Job was intentionally stopped."),
        state("FAILED", None, "the supervisor's node died\nand more"),
        state("FAILED", 1, "Ray lost its raylet"),
        state("FAILED", 137),
        state("FAILED", -9),
    ],
)
def test_a_job_that_was_ended_from_outside_is_interrupted(follow, ended):
    with pytest.raises(Interrupted, match="ended from outside") as caught:
        follow(Server(ended))
    assert "\n" not in str(caught.value)


def test_a_job_that_is_not_there_is_not_asked_for_again(follow):
    server = Server(RuntimeError("Request failed with status code 404: no such job\n"))
    with pytest.raises(ClusterError, match="404"):
        follow(server)
    assert server.asked == 1
    assert server.followed == 0, "Ray writes the token of whom it refuses a log into its own"


@pytest.mark.parametrize("job", ["", "../../api/version", "a/b", "a b", "ü", "-x"])
def test_what_is_no_id_is_never_asked_for(follow, job):
    server = Server(state("SUCCEEDED"))
    with pytest.raises(OutputError, match="no job's id"):
        follow(server, job)
    assert server.asked == 0
