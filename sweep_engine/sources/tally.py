"""Counting draws, fits and functions, exactly, whether a draw is kept or not."""

import numpy as np
from jaxtyping import Bool, Int, UInt8

from sweep_engine.observables import distinct
from sweep_engine.solutions import FunctionCounts


def tally(
    setting: Int[np.ndarray, " R"],
    fit: Bool[np.ndarray, " R"],
    functions: UInt8[np.ndarray, "R bytes"],
) -> list[FunctionCounts]:
    """Count draws, fits and each function's draws, setting by setting."""
    return [
        _tally_one(int(s), fit[setting == s], functions[setting == s]) for s in _unique(setting)
    ]


def tally_fits(
    setting: Int[np.ndarray, " R"],
    setting_of_fits: Int[np.ndarray, " A"],
    functions: UInt8[np.ndarray, "A bytes"],
) -> list[FunctionCounts]:
    """Count draws and fits, and the functions of the fits alone."""
    tallies = []
    for one in _unique(setting):
        unique, index = distinct(functions[setting_of_fits == one])
        counts = np.bincount(index, minlength=len(unique))[: len(unique)]
        tallies.append(
            FunctionCounts(
                setting=int(one),
                draws=int(np.sum(setting == one)),
                fits=int(np.sum(setting_of_fits == one)),
                functions=unique,
                counts=np.zeros_like(counts),
                fit_counts=counts,
            )
        )
    return tallies


def _unique(setting: Int[np.ndarray, " R"]) -> Int[np.ndarray, " S"]:
    """The settings in the order they come."""
    values, first = np.unique(setting, return_index=True)
    return values[np.argsort(first)]


def _tally_one(
    setting: int, fit: Bool[np.ndarray, " R"], functions: UInt8[np.ndarray, "R bytes"]
) -> FunctionCounts:
    unique, index = distinct(functions)
    return FunctionCounts(
        setting=setting,
        draws=len(fit),
        fits=int(fit.sum()),
        functions=unique,
        counts=np.bincount(index, minlength=len(unique))[: len(unique)],
        fit_counts=np.bincount(index[fit], minlength=len(unique))[: len(unique)],
    )
