"""Compare the files that are there with the files that the ledger names."""

from collections.abc import Mapping
from dataclasses import dataclass

from sweep_engine.store.commit import finish_publishing
from sweep_engine.store.files import Files
from sweep_engine.store.layout import NOT_TABLES
from sweep_engine.store.ledger import Ledger, scan_ledger


@dataclass(frozen=True)
class Inventory:
    """What is there.

    Attributes:
        ledger: The good entries.
        problems: By path, what is wrong with a file: damaged (entries of the ledger only, no
            other file is opened), missing, stray or of the wrong size.
    """

    ledger: Ledger
    problems: Mapping[str, str]


def take_inventory(files: Files) -> Inventory:
    """List the files and compare their names and sizes with the ledger.

    A commit that was cut short after its ledger entry is finished first. A sweep may be running:
    what it commits meanwhile is no problem.
    """
    before = table_sizes(files)
    ledger, problems = scan_ledger(files)
    finish_publishing(files, ledger)
    strays = before.keys() - ledger.paths
    problems |= {path: f"{path}: stray, no entry of the ledger names it" for path in strays}
    return Inventory(ledger, problems | _wrong_files(table_sizes(files), ledger))


def table_sizes(files: Files) -> dict[str, int]:
    """The size in bytes of every file in a table's folder, by path."""
    tables = [folder for folder in files.folders() if folder not in NOT_TABLES]
    return {path: size for table in tables for path, size in files.sizes(table).items()}


def _wrong_files(sizes: Mapping[str, int], ledger: Ledger) -> dict[str, str]:
    replaced = sizes.keys() & (ledger.paths - ledger.files.keys())
    problems = {path: f"{path}: stray, a compaction replaced it" for path in replaced}
    for path, record in ledger.files.items():
        if path not in sizes:
            problems[path] = f"{path}: missing"
        elif sizes[path] != record.bytes:
            problems[path] = f"{path}: has {sizes[path]} bytes, expected {record.bytes}"
    return problems
