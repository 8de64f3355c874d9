"""What does the step size add? The example: gradient descent and flow at equal time."""

from pathlib import Path

import numpy as np

import sweep_engine
from sweep_engine.densities import Study, compare_all
from sweep_engine.execution import run
from sweep_engine.spec import Sweep

EXAMPLE = Path(sweep_engine.__file__).parent / "examples" / "flow.yaml"


def test_gradient_descent_comes_nearer_to_the_flow_as_its_rate_is_halved(tmp_path):
    data = sweep_engine.load(EXAMPLE).model_dump(exclude_none=True, by_alias=True)
    for source in data["sources"].values():
        source["runs"] = 512
    assert run(Sweep.model_validate(data), tmp_path).is_complete
    found, refused = compare_all(Study.open(tmp_path))
    assert not refused
    distances: dict[str, list[float]] = {"flow": [], "corrected": []}
    for one in found:
        if one.estimate.name == "wasserstein_1":
            distances[one.pair.comparison.reference].append(one.estimate.value)
    to_flow, to_corrected = (np.array(distances[name]) for name in ("flow", "corrected"))
    assert len(to_flow) == len(to_corrected) == 3
    np.testing.assert_allclose(to_flow[:-1] / to_flow[1:], 2, atol=0.3)  # as the rate
    assert np.all(to_corrected[:-1] > 3 * to_corrected[1:])  # as its square
    assert np.all(to_corrected < to_flow / 3)
