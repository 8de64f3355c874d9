"""Pieces of plotly JSON: coordinates, arrays, texts, colours.

Colours are written for a light ground as `rgba(r,g,b,a)`; `DARK` says what stands in their
place on a dark one.
"""

import base64
from html import escape
from typing import Any, TypeAlias

import numpy as np

from sweep_engine.report.drawing.axes import DrawnAxis, Values
from sweep_engine.report.drawing.colours import (
    CATEGORICAL,
    DIVERGING,
    GRID,
    INK,
    ROLES,
    SEQUENTIAL,
    Shade,
)

Json: TypeAlias = dict[str, Any]


def coordinate(values: Values, axis: DrawnAxis) -> Values:
    """Map values to plotly's coordinate, which knows no symlog."""
    return np.arcsinh(values / axis.linear_width) if axis.scale == "symlog" else values


def array(values: Values) -> Json:
    """Encode an array as plotly does: compact, and NaN is allowed."""
    array = np.ascontiguousarray(values, dtype="<f8")
    encoded = {"dtype": "f8", "bdata": base64.b64encode(array.tobytes()).decode()}
    return encoded if array.ndim == 1 else {**encoded, "shape": ", ".join(map(str, array.shape))}


def text_of(text: str) -> str:
    """Keep plotly from reading markup in a text."""
    return escape(text, quote=False)


def rgba(colour: Shade, alpha: float = 1.0) -> str:
    """Write a colour as on a light ground."""
    return f"rgba({_rgb(colour.light)},{alpha:g})"


def _rgb(hex_colour: str) -> str:
    return ",".join(str(int(hex_colour[i : i + 2], 16)) for i in (1, 3, 5))


DARK = {
    _rgb(colour.light): _rgb(colour.dark)
    for colour in (*CATEGORICAL, *ROLES.values(), *SEQUENTIAL, *DIVERGING, INK, GRID)
}
"""`r,g,b` on a light ground to `r,g,b` on a dark one."""
