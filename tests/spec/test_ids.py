"""Ids decide which stored results a sweep goes on with: those of the examples never change."""

import hashlib
import json
from pathlib import Path

import pytest

import sweep_engine
from sweep_engine.planning import plan
from sweep_engine.spec.base import canonical_json

EXAMPLES = Path(sweep_engine.__file__).parent / "examples"
RECORDED = json.loads(Path(__file__).with_name("example_ids.json").read_text())


def ids(path: Path) -> dict[str, object]:
    planned = plan(sweep_engine.load(path))
    shards = canonical_json(planned.to_dict()).encode()
    return {
        "spec": planned.spec_id,
        "buckets": {name: list(settings) for name, settings in planned.buckets.items()},
        "shards": len(planned.shards),
        "shards_sha256": hashlib.sha256(shards).hexdigest(),
    }


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_ids_of_an_example_are_those_of_the_first_release(path: Path) -> None:
    assert ids(path) == RECORDED[path.stem]


def test_every_example_is_recorded() -> None:
    assert set(RECORDED) == {path.stem for path in EXAMPLES.glob("*.yaml")}
