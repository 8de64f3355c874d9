"""Who is there of a Ray cluster: where hosts may be, and whether Ray itself has gone.

Calls into Ray may take minutes, or never come back, and Ray ends a process that it has lost, with
exit code 1 and no reason. So two threads look: one calls the roll of the machines, the other, which
asks Ray nothing, sees to it that this process ends before that, and says why.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sweep_engine import stopping
from sweep_engine.backends.ray import door
from sweep_engine.backends.ray.door import Node
from sweep_engine.errors import ClusterGone

NODES_SECONDS = 1.0
"""How often the machines of the cluster are listed."""

HEAD_SECONDS = 30.0
"""The head does not answer for so long: it is gone. Ray would end the driver after 60 s."""

GRACE_SECONDS = 5.0
"""So long may the driver take to notice that Ray has gone, if it is not held up by Ray."""

HEAD_GONE = "the head of the Ray cluster is gone; what is done is kept, run again"
NODE_GONE = (
    "Ray on this machine (its raylet) has died; what is done is kept: once Ray is up, run again"
)


@dataclass(frozen=True)
class WorkerPlace:
    """Where a host may be: on a machine, with its share of the resources.

    Attributes:
        node: The machine.
        kind: The resource.
        amount: How much of it.
        index: Which of the machine's places.
    """

    node: str
    kind: str
    amount: float
    index: int


def places(nodes: Sequence[Node]) -> list[WorkerPlace]:
    """One a GPU; one a machine with TPUs; one a core where no machine has an accelerator."""
    for kind in ("TPU", "GPU", "CPU"):
        found = [place for node in nodes for place in _places(node, kind)]
        if found:
            return found
    return []


def _places(node: Node, kind: str) -> Iterator[WorkerPlace]:
    amount = int(node.resources.get(kind, 0))
    if kind == "TPU":
        if amount:
            yield WorkerPlace(node.id, kind, amount, 0)
        return
    for index in range(amount):
        yield WorkerPlace(node.id, kind, 1, index)


class Roll:
    """Calls the roll of the cluster's machines in a thread, and watches that in another.

    Attributes:
        places: Where hosts may be.
        gone: Why this process cannot use Ray any more; None while it can.
    """

    def __init__(self) -> None:
        self.places: list[WorkerPlace] = []
        self.gone: str | None = None
        self._called_at = time.monotonic()
        self._end = threading.Event()
        self._call()
        self._thread = threading.Thread(target=self._run, name="sweep-engine-roll", daemon=True)
        self._thread.start()
        threading.Thread(target=self._watch, name="sweep-engine-watch", daemon=True).start()

    def check(self) -> None:
        """See whether Ray is still there.

        Raises:
            ClusterGone: it is not.
        """
        if self.gone is not None:
            raise ClusterGone(self.gone)

    def close(self) -> None:
        """End the threads; the one that asks Ray nothing may do so later."""
        self._end.set()
        self._thread.join(NODES_SECONDS)

    def _run(self) -> None:
        while not self._end.wait(NODES_SECONDS):
            try:
                self._call()
            except Exception:  # the head is away: `_watch` sees for how long
                continue

    def _call(self) -> None:
        self.places = places(door.alive_nodes())
        self._called_at = time.monotonic()

    def _watch(self) -> None:
        with door.OwnNode() as node:
            while self.gone is None and not self._end.is_set():
                if not node.lives_for(NODES_SECONDS):
                    self.gone = NODE_GONE
                elif time.monotonic() - self._called_at > HEAD_SECONDS:
                    self.gone = HEAD_GONE
        if self.gone is not None and not self._end.wait(GRACE_SECONDS):
            stopping.give_up(self.gone)  # a call into Ray keeps the driver
