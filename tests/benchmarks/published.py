"""The page of reproductions, `examples/PUBLISHED.md`, from its template and the records.

python -m tests.benchmarks.published    writes the page

Every number of ours is a field of `published.md`, such as
`{sensing_width source=guess observable=test_loss width=5}`: the row of `records/NAME.json` in which
all of these are so, axes by the last part of their path and `name` a mean unless it is given. It is
shown with its interval; `| value` after it shows the number alone, `| count` says "k of n",
`| n` of how many, `| percent` a share in percent with its interval, `| median` the middle one.
"""

import json
import re
from pathlib import Path

import sweep_engine

TEMPLATE = Path(__file__).with_name("published.md")
RECORDS = Path(__file__).parent / "records"
PAGE = Path(sweep_engine.__file__).parent / "examples" / "PUBLISHED.md"
FIELD = re.compile(r"\{(\w+)((?: [\w.]+=[^ }|]+)*)(?: \| (\w+))?\}")


def short(number, factor=1.0):
    """Write a number with three digits."""
    value = float(number) * factor
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def with_interval(row, factor=1.0):
    value, low, high = (short(row[key], factor) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


SHOWN = {
    None: with_interval,
    "value": lambda row: short(row["value"]),
    "median": lambda row: short(row["median"]),
    "count": lambda row: f"{row['value']} of {row['n']}",
    "n": lambda row: str(row["n"]),
    "percent": lambda row: with_interval(row, 100.0),
}


def facts(row):
    """Give what a field may ask of a row: texts, and axes by the last part of their path."""
    at = json.loads(row["at"]) if row.get("at") else {}
    parts = {path.rsplit(".", 1)[-1]: value for path, value in at.items()}
    texts = {key: row[key] for key in ("source", "reference", "observable", "name") if key in row}
    return {key: str(value).replace(" ", "") for key, value in (texts | parts).items()}


def looked_up(record, wanted, shown):
    """Write one field.

    Raises:
        LookupError: not exactly one row of the record is as wanted.
    """
    wanted = {"name": "mean"} | dict(part.split("=", 1) for part in wanted.split())
    rows = json.loads((RECORDS / f"{record}.json").read_text())
    found = [row for row in rows if wanted.items() <= facts(row).items()]
    if len(found) != 1:
        raise LookupError(f"{record}: {len(found)} rows have {wanted}")
    return SHOWN[shown](found[0])


def page():
    """Fill the template in."""
    return FIELD.sub(lambda match: looked_up(*match.groups()), TEMPLATE.read_text())


if __name__ == "__main__":
    PAGE.write_text(page())
