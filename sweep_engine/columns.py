"""Column: what a table's column holds, said once for the store, the report and the docs."""

from dataclasses import dataclass
from typing import Literal

DType = Literal["float32", "float64", "int32", "int64", "bool", "string", "binary", "list<float32>"]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: Its name, which is also its axis label.
        dtype: The type of a value.
        unit: The unit, such as "nats"; empty where there is none.
        meaning: One line for a reader who has only the file.
        nullable: Whether a row may have no value. Writing a null elsewhere is an error.
    """

    name: str
    dtype: DType
    unit: str = ""
    meaning: str = ""
    nullable: bool = True
