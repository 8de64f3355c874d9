"""What holds for output directories on object stores alone."""

import socket
import subprocess
import sys

import obstore
import polars
import pyarrow.dataset
import pytest

from sweep_engine.errors import CorruptResults, OutputError, SweepEngineError
from sweep_engine.store import OutputDirectory, open_files, open_results, verify
from sweep_engine.store.files import objects, s3
from tests.faults import workload
from tests.s3 import environment, new_address

RUNS_FILE = "runs/source=box/bucket=b0/s00002.parquet"


@pytest.fixture
def place(endpoint_of):
    with environment(endpoint_of("localbucket")):
        yield new_address(endpoint_of("localbucket"))


def test_a_flipped_bit_is_seen(files):
    data = bytearray(files.read(RUNS_FILE))
    for position in (len(data) // 3, len(data) - 20):
        altered = bytearray(data)
        altered[position] ^= 1
        files.write(RUNS_FILE, bytes(altered))
        assert verify(files).problems == [
            f"{RUNS_FILE}: its SHA-256 is not the one that was committed"
        ]
        with pytest.raises(CorruptResults, match=RUNS_FILE):
            open_results(files.location).runs()


def test_what_is_missing_stray_or_cut_is_seen(files):
    whole = files.read(RUNS_FILE)
    files.write("runs/source=box/bucket=b0/copy.parquet", whole)
    files.remove("params/source=sgd/bucket=b1/s00001.parquet")
    files.write(RUNS_FILE, whole[:-1])
    files.write("ledger/s00003.json", b"{}")
    problems = " ".join(verify(files).problems)
    for word in ("copy.parquet: stray", "s00001.parquet: missing", "expected", "s00003.json"):
        assert word in problems
    with pytest.raises(CorruptResults, match="s00002"):
        open_results(files.location)


def test_a_file_that_goes_while_the_results_are_open(files):
    results = open_results(files.location)
    files.remove(RUNS_FILE)
    with pytest.raises(CorruptResults, match=RUNS_FILE):
        results.runs()


@pytest.mark.parametrize("table", ["runs", "params", "tallies", "curves"])
def test_polars_and_pyarrow_read_it_with_no_help(files, table, endpoint_of):
    ours = open_results(files.location).table(table).read()
    options = {
        "aws_endpoint_url": endpoint_of("localbucket"),
        "aws_access_key_id": "testing",
        "aws_secret_access_key": "testing",
        "aws_region": "us-east-1",
        "aws_allow_http": "true",
    }
    address = f"{files.location}/{table}"
    frame = polars.scan_parquet(f"{address}/", hive_partitioning=True, storage_options=options)
    system = pyarrow.fs.S3FileSystem(endpoint_override=endpoint_of("localbucket"))
    scanned = pyarrow.dataset.dataset(
        address.removeprefix("s3://"), filesystem=system, partitioning="hive"
    )
    for theirs in (frame.collect().to_arrow(), scanned.to_table()):
        chosen = theirs.select(ours.column_names)
        assert sorted(map(repr, chosen.to_pylist())) == sorted(map(repr, ours.to_pylist()))


def test_without_credentials_it_says_which_are_missing(monkeypatch, place):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    s3._session.cache_clear()
    with pytest.raises(OutputError, match="AWS_ACCESS_KEY_ID"):
        open_files(place).exists("a")
    s3._session.cache_clear()


def test_a_server_that_does_not_answer(monkeypatch):
    monkeypatch.setattr(objects, "RETRY", {"max_retries": 0})
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        with environment(f"http://127.0.0.1:{nobody.getsockname()[1]}"):
            for ask in (open_results, lambda place: OutputDirectory(place).create()):
                with pytest.raises(SweepEngineError, match=r"127\.0\.0\.1|cannot be used"):
                    ask("s3://nobody/out")


def test_a_server_that_ignores_conditions_is_refused(place, monkeypatch):
    OutputDirectory(place).create()
    put = obstore.put
    monkeypatch.setattr(obstore, "put", lambda *args, mode=None, **kwargs: put(*args, **kwargs))
    with pytest.raises(OutputError, match="If-None-Match"):
        OutputDirectory(place).create()
    assert open_files(place).sizes("staging") == {}


def test_credentials_and_endpoint_may_stand_in_a_profile(monkeypatch, place, tmp_path, endpoint_of):
    (tmp_path / "credentials").write_text(
        "[sweeps]\naws_access_key_id = testing\naws_secret_access_key = testing\n"
    )
    (tmp_path / "config").write_text(
        f"[profile sweeps]\nregion = us-east-1\nendpoint_url = {endpoint_of('localbucket')}\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "sweeps")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    s3._session.cache_clear()
    files = open_files(place)
    workload.session(files, 2)
    workload.assert_complete(files, 2)
    s3._session.cache_clear()


@pytest.mark.parametrize(
    "root",
    ["s3://", "s3://Bucket/x", "s3://bucket/a/../b", "s3://bucket//a", "http://host/x", "file:/x"],
)
def test_addresses_that_are_refused(root):
    with pytest.raises(OutputError, match="expected"):
        open_files(root)


def test_google_cloud_has_its_own_client():
    """That it holds its promises there is not tested: no server that speaks like it is at hand."""
    files = open_files("gs://bucket/prefix")
    assert files.location == "gs://bucket/prefix"
    assert isinstance(files._store, obstore.store.GCSStore)
    assert files._store.prefix == "prefix"


@pytest.mark.parametrize(
    ("module", "root"), [("obstore", "gs://bucket/x"), ("boto3", "s3://bucket/x")]
)
def test_a_client_that_is_not_installed(module, root):
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from sweep_engine.store import open_files\n"
        f"open_files({root!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"pip install 'sweep-engine[{root[:2]}]'" in done.stderr.splitlines()[-1]
