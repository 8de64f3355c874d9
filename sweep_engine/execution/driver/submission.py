"""A run as a job of a Ray cluster: the code and the sweep file go there with its data files."""

import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweep_engine.backends.ray.jobs import Files, Jobs
from sweep_engine.errors import OutputError
from sweep_engine.execution.programs.packing import pack_plan
from sweep_engine.planning import plan
from sweep_engine.spec import Sweep

MODULE = "sweep_engine.cli"
PACKAGE = Path(__file__).parents[2]


def submit(jobs: Jobs, sweep: Sweep, spec: Path, out: str, *, fail_fast: bool = False) -> str:
    """Submit a run; returns the job's id.

    Args:
        jobs: The cluster's job server.
        sweep: What to run.
        spec: The file that it was read from.
        out: The output directory, as the cluster's machines see it.
        fail_fast: Stop at the first failed shard.

    Raises:
        OutputError: `out` is relative, but to what?
        ClusterError: the server did not take it.
    """
    if "://" not in out and not Path(out).is_absolute():
        raise OutputError(f"--out {out}: give it from the root, as the cluster's machines see it")
    words = ["python", "-m", MODULE, "run", spec.name, "--out", out]
    words += ["--backend", "ray", "--address", "auto", *(["--fail-fast"] if fail_fast else [])]
    with _packed(sweep, spec) as files:
        return jobs.submit(shlex.join(words), files)


@contextmanager
def _packed(sweep: Sweep, spec: Path) -> Iterator[Files]:
    with tempfile.TemporaryDirectory(prefix="sweep-engine-") as root:
        work, code = Path(root, "work"), Path(root, "code", "sweep_engine")
        work.mkdir()
        shutil.copy(spec, work / spec.name)
        for path, content in pack_plan(plan(sweep)).data.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_bytes(content)
        # Symbolic links become what they lead to: the folder kernels is one.
        ignore = shutil.ignore_patterns("__pycache__", "*.png")
        shutil.copytree(PACKAGE, code, ignore=ignore)
        yield Files(work, [code])
