"""`sweep.json` is sealed: what was damaged or changed by hand is refused, by its name."""

import json
import random

import pytest

from sweep_engine.errors import CorruptResults, OutputError
from sweep_engine.planning import plan
from sweep_engine.spec import Sweep, dump_sweep
from sweep_engine.store import OutputDirectory
from sweep_engine.store.manifest import (
    Choice,
    Frozen,
    Manifest,
    read_manifest,
    read_previous,
    write_manifest,
)

SWEEP = Sweep.model_validate(
    {
        "name": "sealed",
        "task": {"kind": "boolean", "bits": 2, "target": "x1", "train": 2},
        "model": {"kind": "linear"},
        "sources": {"init": {"kind": "prior", "law": {"kind": "gaussian"}, "draws": 16}},
        "observables": ["norms"],
        "compare": [{"source": "init", "reference": "init", "observable": "l2_norm"}],
    }
)


@pytest.fixture
def directory(tmp_path):
    directory = OutputDirectory(tmp_path / "out")
    directory.create()
    planned = plan(SWEEP)
    buckets = list(planned.buckets)
    frozen = Frozen(
        platform="cpu",
        device_kind="any",
        precision="exact",
        implementation=dict.fromkeys(buckets, Choice("xla", "there is no other")),
        lanes=dict.fromkeys(buckets, 64),
        versions={"jax": "0.10"},
    )
    write_manifest(directory, Manifest(planned, frozen))
    return directory


@pytest.fixture
def path(directory):
    return directory.files.root / "sweep.json"


READERS = [
    read_manifest,
    read_previous,
]


def assert_refused(directory):
    for reader in READERS:
        with pytest.raises((CorruptResults, OutputError), match=r"sweep\.json: "):
            reader(directory)


def test_it_is_read_as_it_was_written(directory):
    found = read_manifest(directory)
    assert dump_sweep(found.plan.sweep) == dump_sweep(SWEEP)
    assert set(found.frozen.lanes.values()) == {64}
    for reader in READERS:
        reader(directory)


def test_every_flipped_bit_is_seen(directory, path):
    whole, choices = path.read_bytes(), random.Random(0)
    for bit in choices.sample(range(8 * len(whole)), 600):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises((CorruptResults, OutputError), match=r"sweep\.json: "):
            read_manifest(directory)


@pytest.mark.parametrize(
    "edit",
    [
        lambda data: data["frozen"]["lanes"].update(dict.fromkeys(data["frozen"]["lanes"], 8)),
        lambda data: data["sweep"]["compare"][0].update(observable="linf_norm"),
        lambda data: data["sweep"].update(seed=5),
        lambda data: data["shards"].pop(),
        lambda data: data["frozen"]["versions"].update(jax="0.11"),
        lambda data: data.update(folder=".."),
    ],
    ids=["lanes", "comparison", "seed", "shard", "version", "folder"],
)
def test_what_was_changed_by_hand_is_refused(directory, path, edit):
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data, indent=1))
    assert_refused(directory)


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "of before there were seals"])
@pytest.mark.parametrize("key", ["format", "sweep", "frozen", "shards", "folder", "spec_id"])
def test_a_key_that_is_misspelt_is_no_traceback(directory, path, key, sealed):
    data = json.loads(path.read_text())
    data[key + "s"] = data.pop(key)
    if not sealed:
        del data["seal"]
    path.write_text(json.dumps(data))
    assert_refused(directory)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("frozen", "lane"), {}),
        (("frozen", "implementation"), 3),
        (("sweep", "sources"), {"init": {"kind": "priors"}}),
        (("shards",), [["one"]]),
        (("frozen",), None),
    ],
)
def test_contents_that_make_no_sense_are_refused_without_a_seal_too(directory, path, where, value):
    data = json.loads(path.read_text())
    del data["seal"]
    *parents, last = where
    place = data
    for parent in parents:
        place = place[parent]
    place[last] = value
    path.write_text(json.dumps(data))
    with pytest.raises(CorruptResults, match=r"sweep\.json: cannot be read"):
        read_manifest(directory)


def test_a_folder_of_before_there_were_seals_is_read_and_sealed_when_it_grows(directory, path):
    data = json.loads(path.read_text())
    del data["seal"]
    path.write_text(json.dumps(data, indent=1))
    before = read_manifest(directory)
    write_manifest(directory, before, read_previous(directory))
    assert "seal" in json.loads(path.read_text())
    assert read_manifest(directory).frozen == before.frozen


@pytest.mark.parametrize("text", [b"", b"[]", b"3", b"null", b"{}", b"\xff\xfe", b"{" * 100_000])
def test_what_is_no_manifest_is_refused(directory, path, text):
    path.write_bytes(text)
    assert_refused(directory)
