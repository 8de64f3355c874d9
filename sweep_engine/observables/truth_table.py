"""The observable `function`: the labels themselves."""

import numpy as np

from sweep_engine.columns import Column
from sweep_engine.observables.function import Functions
from sweep_engine.observables.observable import Observable


def _truth_table(functions: Functions) -> dict[str, np.ndarray]:
    return {
        "function_ones": functions.labels.sum(axis=1, dtype=np.int32),
        "function_bits": np.array([row.tobytes().hex() for row in functions.packed], object),
    }


FUNCTION = Observable(
    columns=(
        Column("function_ones", "int32", "inputs", "T, probe inputs labelled 1"),
        Column("function_bits", "string", "", "labels of the probe inputs, packed, in hex"),
    ),
    describe=_truth_table,
    needs=("binary",),
)
