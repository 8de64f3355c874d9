"""Progress of a run: bars on a terminal, a plain line now and then elsewhere."""

import contextlib
from dataclasses import dataclass
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

PLAIN_SECONDS = 10.0


@dataclass(frozen=True)
class Standing:
    """How far a run is.

    Attributes:
        shards: Shards that are done.
        all_shards: Shards that are needed, as far as is known.
        runs: Runs and draws finished, those of unfinished shards among them.
        all_runs: Runs and draws in all, as far as is known.
        failed: Shards given up.
        seconds: Since the start.
        resumed_runs: Runs that were done before the start.
        in_flight: Shards that are being worked on.
        workers: Devices that work on them.
        lanes_busy: Share of the lanes' steps that runs took, in the shards done since the
            start; None before there is one.
        first_result_seconds: From the start until the first shard was done; None before.
        further_runs: Draws expected beyond `all_runs`, of sources that count acceptances; None
            where one of them has found none yet.
        accepted: Acceptances that such sources found.
        accepted_of: Acceptances that they are asked for.
    """

    shards: int
    all_shards: int
    runs: int
    all_runs: int
    failed: int
    seconds: float
    resumed_runs: int
    in_flight: int = 0
    workers: int = 0
    lanes_busy: float | None = None
    first_result_seconds: float | None = None
    further_runs: float | None = 0.0
    accepted: int = 0
    accepted_of: int = 0

    @property
    def rate(self) -> float:
        """Runs per second since the start."""
        return (self.runs - self.resumed_runs) / max(self.seconds, 1e-9)

    @property
    def eta_seconds(self) -> float | None:
        """Seconds left at the rates so far, of runs and of acceptances; None before both."""
        if self.further_runs is None or self.rate <= 0:
            return None
        return (self.all_runs + self.further_runs - self.runs) / self.rate

    @property
    def left(self) -> str:
        """Say how long it will take, or why nobody knows yet."""
        if self.eta_seconds is not None:
            return f"about {_duration(self.eta_seconds)} left"
        return "time left unknown until a draw fits" if self.further_runs is None else ""

    @property
    def fits(self) -> str:
        """Say how many were accepted, where that is counted."""
        return f"{self.accepted:,} of {self.accepted_of:,} accepted" if self.accepted_of else ""

    def line(self) -> str:
        """One plain line."""
        parts = (
            f"{self.shards:,}/{self.all_shards:,} shards",
            f"{self.runs:,}/{self.all_runs:,} runs",
            f"{self.rate:,.0f} runs/s",
            self.fits,
            self.left,
            f"{self.failed} failed" if self.failed else "",
        )
        return ", ".join(filter(None, parts))


class Display(Protocol):
    """Where progress goes."""

    def show(self, standing: Standing) -> None:
        """Show how far the run is."""

    def note(self, text: str) -> None:
        """Say that something happened."""

    def close(self) -> None:
        """Show nothing more."""


class Quiet:
    """Shows nothing."""

    def show(self, standing: Standing) -> None: ...

    def note(self, text: str) -> None: ...

    def close(self) -> None: ...


@dataclass
class PlainLines:
    """A line now and then: for logs. What cannot be written is left out."""

    stream: TextIO
    name: str
    shown_at: float = -PLAIN_SECONDS
    shown_shards: int = -1

    def show(self, standing: Standing) -> None:
        complete = standing.shards == standing.all_shards != self.shown_shards
        if complete or standing.seconds - self.shown_at >= PLAIN_SECONDS:
            self.note(standing.line())
            self.shown_at, self.shown_shards = standing.seconds, standing.shards

    def note(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # full, or closed
            print(f"{self.name}: {text}", file=self.stream, flush=True)

    def close(self) -> None: ...


class Bars:
    """A bar on a terminal."""

    def __init__(self, console: Console, name: str) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("runs, {task.fields[rate]:,.0f}/s"),
            TextColumn("{task.fields[fits]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self._task: TaskID = self._progress.add_task(name, rate=0.0, fits="", left="")
        self._progress.start()

    def show(self, standing: Standing) -> None:
        self._progress.update(
            self._task,
            completed=standing.runs,
            total=standing.all_runs + round(standing.further_runs or 0),
            rate=standing.rate,
            fits=standing.fits,
            left=standing.left,
        )

    def note(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._progress.stop()


def display_for(stream: TextIO, name: str) -> Display:
    """Choose bars for a terminal, lines for anything else."""
    if stream.isatty():
        return Bars(Console(file=stream), name)
    return PlainLines(stream, name)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
