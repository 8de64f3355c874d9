"""S3 servers on loopback, as fixtures: a `conftest.py` imports those it wants."""

import itertools
import os
import subprocess
import sys
import urllib.request
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import pytest

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
_numbers = itertools.count()


@pytest.fixture(scope="session")
def endpoint_of(tmp_path_factory):
    """The endpoint of a server by its name: `moto` or `localbucket`, started at the first call."""
    with ExitStack() as stack:

        @cache
        def start(server):
            return stack.enter_context(running(server, tmp_path_factory.mktemp(server)))

        yield start


@contextmanager
def running(server, folder):
    """Run a server; gives its endpoint."""
    script = Path(__file__).with_name("s3_server.py")
    words = [sys.executable, str(script), server, str(folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


@contextmanager
def environment(endpoint):
    """Let clients find the server, and nothing of what this machine is set up for."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        yield


def new_address(endpoint):
    """An address in a bucket of its own: to list one, a server goes through all of its objects."""
    bucket = f"sweeps-{os.getpid()}-{next(_numbers)}"
    with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{bucket}", method="PUT")):
        return f"s3://{bucket}/out"


@contextmanager
def new_place(name, tmp_path, endpoint_of):
    """An output directory that is not there yet: `local`, or on the server of that name."""
    if name == "local":
        yield str(tmp_path / "out")
        return
    with environment(endpoint_of(name)):
        yield new_address(endpoint_of(name))
