"""Ids of the shipped sweeps never change: they name the rows, files and keys of old results."""

import hashlib
from pathlib import Path

import pytest

import sweep_engine
from sweep_engine.planning import plan
from sweep_engine.spec import load, settings, spec_id

EXAMPLES = Path(sweep_engine.__file__).parent / "examples"
IDS = {
    "along_training.yaml": ("03c9b49db29460b5", "8e88d952655aff37"),
    "boolean.yaml": ("0bb6452e8125143a", "c4b5b164e2515ab6"),
    "digits.yaml": ("0d3a75cee86094a2", "d6e861c771d74212"),
    "landscape.yaml": ("f3416d70a255af48", "2b67b03c67dbfbab"),
    "posterior.yaml": ("33074efb95dd6810", "dc893f036ccdc75f"),
    "prior_vs_sgd.yaml": ("99e3ec9a9e47934d", "8d1d930ee31affb9"),
    "prior_vs_sgd_digits.yaml": ("5deaa88e646e9c8a", "5b3d579016dd744c"),
    "sources.yaml": ("02471db1a2c98d34", "975c7702478f9a95"),
}
"""By file: the spec id, and SHA-256 over those of all settings, buckets and shards."""


def test_every_example_is_listed():
    assert set(IDS) == {path.name for path in EXAMPLES.glob("*.yaml")}


@pytest.mark.parametrize("name", IDS)
def test_ids_are_what_they_were(name):
    sweep = load(EXAMPLES / name)
    planned = plan(sweep)
    ids = [setting.digest for setting in settings(sweep)]
    ids += [*sorted(planned.buckets), *(shard.id for shard in planned.shards)]
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
    assert (spec_id(sweep), digest) == IDS[name]
