"""Fail the first, the second, the third... request of a session on S3, then resume it."""

import itertools
from datetime import timedelta

import pytest

from sweep_engine.store import open_files
from sweep_engine.store.files import objects
from tests.s3 import environment, new_address

from .faulty_http import HttpFault, faulty_server
from .workload import assert_complete, check_then_resume, session

AT_ONCE = {"init_backoff": timedelta(milliseconds=1), "max_backoff": timedelta(milliseconds=10)}
SEEN_BY_NOBODY = {
    HttpFault.REFUSED,
    HttpFault.UNAVAILABLE,
    HttpFault.ERROR_BEFORE,
    HttpFault.ERROR_AFTER,
    HttpFault.REPLY_LOST,
}
"""A request that is simply sent again leaves the session as if nothing had been."""

CASES = [
    pytest.param(list(HttpFault), 1, id="in turn"),
    *(pytest.param([f], 1, id=f.name.lower(), marks=pytest.mark.long) for f in HttpFault),
]


@pytest.fixture
def server(endpoint_of):
    with faulty_server(endpoint_of("localbucket")) as server:
        yield server


@pytest.fixture
def two_views(server, endpoint_of):
    """A new place, as one sees it through the faulty server and as it is."""

    def open_both():
        address = new_address(endpoint_of("localbucket"))
        with environment(f"http://127.0.0.1:{server.server_port}"):
            seen = open_files(address)
            assert seen.is_empty()
        with environment(endpoint_of("localbucket")):
            real = open_files(address)
            assert real.is_empty()
            real.arrow()
        return seen, real

    return open_both


def error_of_session(files, num_shards):
    try:
        session(files, num_shards)
    except OSError as error:
        return error
    return None


@pytest.mark.parametrize("retries", [0, 10])
@pytest.mark.parametrize(("faults", "num_shards"), CASES)
def test_any_request_of_a_session_may_fail(
    server, two_views, monkeypatch, faults, num_shards, retries
):
    monkeypatch.setattr(objects, "RETRY", {"max_retries": retries, "backoff": AT_ONCE})
    seen, _ = two_views()
    server.arm(None, 0)
    session(seen, num_shards)
    assert server.heard > 10
    fired = set()
    for nth, fault in zip(range(1, server.heard + 1), itertools.cycle(faults), strict=False):
        stalls = fault is HttpFault.REPLY_STALLED
        monkeypatch.setitem(objects.CLIENT, "timeout", "2s" if stalls else "60s")
        seen, real = two_views()
        server.arm(fault, nth)
        error = error_of_session(seen, num_shards)
        fired |= {fault} if server.fired else set()
        if retries and fault in SEEN_BY_NOBODY:
            assert error is None
            assert_complete(real, num_shards)
        server.disarm()
        check_then_resume(real, num_shards)
    assert fired == set(faults)
