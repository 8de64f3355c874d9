"""Closed by default: nobody reaches a cluster of ours without a token, which nobody sees."""

import contextlib
import http.server
import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from sweep_engine.backends.ray import door, security
from sweep_engine.backends.ray.jobs import Jobs
from sweep_engine.errors import ClusterError
from tests.backends import heads, machines


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user without a token."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (security.TOKEN, security.TOKEN_PATH, security.MODE):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


# --- the token ----------------------------------------------------------------------------


def test_a_token_is_made_once_and_for_this_user_alone(home):
    assert not security.has_token()
    security.make_token()
    path = home / ".ray" / "auth_token"
    token = path.read_text()
    assert len(token) == 64
    assert (mode_of(path), mode_of(path.parent)) == (0o600, 0o700)
    security.make_token()
    assert path.read_text() == token


def test_an_umask_that_is_open_opens_nothing(home):
    before = os.umask(0)
    try:
        security.make_token()
    finally:
        os.umask(before)
    assert mode_of(home / ".ray" / "auth_token") == 0o600


def test_a_token_that_others_could_read_is_closed(home):
    path = home / ".ray" / "auth_token"
    path.parent.mkdir()
    path.write_text("0123")
    path.chmod(0o644)
    assert security.has_token()
    assert mode_of(path) == 0o600
    assert path.read_text() == "0123"


def test_an_empty_token_is_none(home):
    path = home / ".ray" / "auth_token"
    path.parent.mkdir()
    path.touch()
    assert not security.has_token()
    security.make_token()
    assert len(path.read_text()) == 64


def test_a_token_from_elsewhere(home, monkeypatch, tmp_path):
    (tmp_path / "secret").write_text("abc")
    monkeypatch.setenv(security.TOKEN_PATH, str(tmp_path / "secret"))
    assert security.has_token()
    security.make_token()
    assert not (home / ".ray").exists()


@pytest.mark.parametrize("given", ["tokén", "a b", "caf\udce9"])
@pytest.mark.parametrize("stands_in", ["file", "environment"])
def test_what_cannot_be_a_token_is_told(home, monkeypatch, given, stands_in):
    if stands_in == "environment":
        monkeypatch.setenv(security.TOKEN, given)
    else:
        (home / "secret").write_bytes(os.fsencode(given))
        monkeypatch.setenv(security.TOKEN_PATH, str(home / "secret"))
    with pytest.raises(ClusterError, match="is no token"):
        security.require_token("10.0.0.1:6379")


@pytest.mark.parametrize(
    ("given", "becomes"), [(None, "token"), ("disabled", "token"), ("k8s", "k8s")]
)
def test_authentication_is_on(home, monkeypatch, given, becomes):
    if given:
        monkeypatch.setenv(security.MODE, given)
    security.prepare_environment()
    assert os.environ[security.MODE] == becomes


def test_no_cluster_without_a_token(home):
    with pytest.raises(ClusterError, match="no token for the Ray cluster"):
        security.require_token("10.0.0.1:6379")
    with pytest.raises(ClusterError, match="no token for the Ray cluster"):
        Jobs("http://10.0.0.1:8265")


def test_the_command_line_says_what_is_missing(home):
    spec = home / "sweep.yaml"
    spec.write_text(
        "{name: a, task: {kind: boolean, bits: 2, target: x1, train: 2}, model: {kind: linear}, "
        "sources: {init: {kind: prior, draws: 4}}}"
    )
    words = ["run", spec, "--out", home / "out", "--backend", "ray", "--address", "10.0.0.1:6379"]
    done = subprocess.run(
        [sys.executable, "-m", "sweep_engine.cli", *words],
        env=heads.environment(home), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no token for the Ray cluster at 10.0.0.1:6379" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("10.1.2.3", False)],
)
def test_loopback(host, expected):
    assert security.is_loopback(host) == expected


# --- a job server that is open to all -----------------------------------------------------


class Open(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_): ...


def test_a_job_server_that_is_open_to_all_is_refused(home, monkeypatch):
    security.make_token()
    monkeypatch.setattr("sweep_engine.backends.ray.jobs.is_loopback", lambda _: False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Open) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(ClusterError, match="anyone who reaches it runs code"):
            Jobs(f"127.0.0.1:{server.server_port}")
        server.shutdown()


# --- the Ray that `run --backend ray` starts ----------------------------------------------


OWN_RAY = """
import json, signal, sys
from sweep_engine.backends.ray import door  # before ray, which reads what it sets
import ray

assert door.connect(None)
handler = signal.getsignal(signal.SIGTERM)
print(json.dumps({
    "session": ray._private.worker._global_node.get_session_dir_path(),
    "admits_strangers": door._admits_strangers(ray.get_runtime_context().gcs_address),
    "handler": getattr(handler, "__module__", ""),
}), flush=True)
sys.stdin.read()
door.leave()
"""


@dataclass(frozen=True)
class Started:
    """A process with a Ray that it has started, and what it says of it."""

    process: psutil.Process
    home: Path
    told: dict[str, Any]

    def family(self):
        """Its processes: those below it, and those of the raylet's session."""
        found = self.process.children(recursive=True)
        sessions = {
            word
            for process in found
            for word in _words(process)
            if word.startswith(("--session-name=", "--session_name="))
        }
        for process in psutil.process_iter():
            if process not in found and sessions & set(_words(process)):
                found.append(process)
        return found


def _words(process):
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with subprocess.Popen(
        [sys.executable, "-c", OWN_RAY], env=heads.unprepared(home), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        told = json.loads(process.stdout.readline())
        yield Started(psutil.Process(process.pid), home, told)
        process.stdin.close()


def test_all_its_ports_are_on_loopback(started):
    listening = []
    for process in started.family():
        with contextlib.suppress(psutil.Error):
            listening += [
                c.laddr for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN
            ]
    assert len(listening) >= 5, "those of a head are among them"
    hosts = {address.ip.removeprefix("::ffff:") for address in listening}
    assert all(security.is_loopback(host) for host in hosts), hosts


def test_a_stranger_is_not_admitted(started):
    assert started.told["admits_strangers"] is False


def test_its_token_is_in_no_log_and_on_no_command_line(started):
    path = started.home / ".ray" / "auth_token"
    token = path.read_text()
    assert mode_of(path) == 0o600
    files = [p for p in Path(started.told["session"]).rglob("*") if p.is_file()]
    assert len(files) > 5
    assert [p for p in files if token.encode() in p.read_bytes()] == []
    processes = started.family()
    assert len(processes) >= 3
    for process in processes:
        assert token not in " ".join(_words(process))
        with contextlib.suppress(psutil.Error):
            assert token not in process.environ().values()


def test_no_other_user_reaches_its_folders(started):
    """Ray opens its own to all users of the machine, who could change the code that is loaded."""
    session = Path(started.told["session"])
    assert not door.can_others_write(session)
    assert any(mode_of(folder) & 0o077 == 0 for folder in session.parents)


@pytest.fixture
def open_folder():
    """A folder that all users reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def test_folders_that_others_can_write_to_are_told_from_those_they_cannot(open_folder):
    resources = open_folder / "session" / "runtime_resources"
    (resources / "py_modules_files").mkdir(parents=True)
    assert not door.can_others_write(resources)
    (resources / "py_modules_files").chmod(0o777)
    assert door.can_others_write(resources)
    (open_folder / "session").chmod(0o700)
    assert not door.can_others_write(resources)


def test_it_leaves_our_signal_handlers_alone(started):
    assert started.told["handler"].split(".")[0] != "ray"


# --- a cluster on a network ---------------------------------------------------------------

JOIN = """
import sys
from sweep_engine.backends.ray.backend import RayBackend
from sweep_engine.errors import ClusterError
try:
    RayBackend(sys.argv[1]).close()
except ClusterError as error:
    print("refused:", error)
else:
    print("joined")
"""


@pytest.mark.skipif(bool(machines.why_not()), reason=machines.why_not())
@pytest.mark.parametrize(("mode", "said"), [("token", "joined"), ("disabled", "anyone")])
def test_a_cluster_on_a_network_needs_a_token(tmp_path, mode, said):
    made = machines.Machines(tmp_path / "machines", 1)
    try:
        made.start_ray(mode=mode)
        log = tmp_path / "join.log"
        code = [sys.executable, "-c", JOIN, machines.HEAD]
        made.all[1].start(*code, log=log).wait()
        assert said in log.read_text()
    finally:
        made.close()
