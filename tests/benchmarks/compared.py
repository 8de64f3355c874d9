"""The estimates of an example's results, as a record.

sweep-engine run sweep_engine/examples/NAME.yaml --out DIR
python -m tests.benchmarks.compared DIR    after `report`; writes records/NAME.json
    --mean COLUMN         also the mean of a column for every source and setting: of its fits, of
                          all that a prior draws; COLUMN.2 is the third entry of a list
    --share COLUMN        also the share of runs in which a column is 0
    --commonest COLUMN    also in how many data sets a column is 0 for the commonest function
    --slope COLUMN AXIS   also how a column changes when an axis doubles
    --paired SOURCE REFERENCE COLUMN
                          also the mean of the difference of runs that start alike
    --seconds N           also the processor time of the run, as minutes on two cores
    --from QUANTITY ...   of the comparisons, these quantities alone

Means, shares and slopes are over the values of `task.seed`, where it is swept, with the interval
of Student's t for `n` of them; over runs elsewhere (over repetitions, of splitting).
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy import stats

from sweep_engine.store import open_results

RECORDS = Path(__file__).parent / "records"
SHOWN = ("source", "reference", "observable", "at", "name", "value", "low", "high", "unit")
SEED = "task.seed"


def t_interval(values):
    """Estimate a mean with its interval of 95 %, and say of how many values."""
    values = np.asarray(values, float)
    half = np.inf
    if len(values) > 1:
        half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    mean = values.mean()
    ends = {"value": mean, "low": mean - half, "high": mean + half, "median": np.median(values)}
    return {name: float(end) for name, end in ends.items()} | {"n": len(values)}


def of_source(runs, swept, priors):
    """Yield every source with the runs that count, its own axes, and what is independent."""
    for name, mine in runs.groupby("source"):
        mine = mine[mine["fit"]] if mine["fit"].any() and name not in priors else mine
        axes = [a for a in swept if mine[a].notna().any() and mine[a].nunique() > 1]
        units = mine["unit"].dropna()
        unit = SEED if SEED in axes else "unit" if units.duplicated().any() else "run_id"
        yield name, mine, [a for a in axes if a != SEED], unit


def with_entry(runs, column):
    """Add a column of one entry of a list, where `column` asks for one."""
    name, _, entry = column.partition(".")
    return runs.assign(**{column: runs[name].str[int(entry)]}) if entry.isdigit() else runs


def per_unit(mine, axes, unit, column):
    """Average a column over each unit's runs, setting by setting."""
    keys = list(dict.fromkeys([*axes, unit]))
    return mine.groupby(keys, observed=True)[column].mean().reset_index()


def means(runs, swept, priors, column, name):
    """One row a source and setting."""
    for source, mine, axes, unit in of_source(runs, swept, priors):
        table = per_unit(mine.dropna(subset=[column]), axes, unit, column)
        for values, rows in table.groupby(axes) if axes else [((), table)][: len(table)]:
            at = json.dumps(dict(zip(axes, values, strict=True)))
            yield {"source": source, "observable": column, "at": at, "name": name} | t_interval(
                rows[column]
            )


def slopes(runs, swept, priors, column, axis):
    """Two rows a source: the mean slope over log2 of an axis, and in how many seeds it rises."""
    for source, mine, axes, unit in of_source(runs, swept, priors):
        if axis not in axes or unit != SEED:
            continue
        table = per_unit(mine, axes, unit, column)
        size = table[axis].map(lambda value: json.loads(str(value)))
        table["log2"] = np.log2(
            size.map(lambda v: v[0] if isinstance(v, list) else v).astype(float)
        )
        each = [np.polyfit(rows["log2"], rows[column], 1)[0] for _, rows in table.groupby(SEED)]
        shared = {"source": source, "observable": column, "at": json.dumps({"over": axis})}
        yield shared | {"name": "slope_per_doubling"} | t_interval(each)
        yield shared | {
            "name": "seeds_rising",
            "value": sum(float(s) > 0 for s in each),
            "n": len(each),
        }


def commonest(runs, swept, priors, column):
    """One row a source: in how many data sets the commonest function has 0 in a column."""
    for source, mine, _, unit in of_source(runs, swept, priors):
        first = [
            rows.groupby("function_id")[column].agg(["size", "max"]).nlargest(1, "size")["max"]
            for _, rows in mine.groupby(unit)
        ]
        count = sum(float(value.iloc[0]) == 0 for value in first)
        shared = {"source": source, "observable": column, "at": "{}", "name": "commonest_has_0"}
        yield shared | {"value": count, "n": len(first)}


def pairs(runs, swept, priors, source, reference, column):
    """One row a setting of the source: run i less run i of the reference, which starts alike."""
    indexed = runs.assign(index=runs["run_id"].astype("uint64") & 0xFFFFFFFF)
    (other,) = (mine for name, mine, *_ in of_source(indexed, swept, priors) if name == reference)
    for name, mine, axes, _ in of_source(indexed, swept, priors):
        if name != source:
            continue
        for values, rows in mine.groupby(axes):
            both = rows.merge(other, on="index", suffixes=("", "_of_reference"))
            yield {
                "source": source,
                "reference": reference,
                "observable": column,
                "at": json.dumps(dict(zip(axes, values, strict=True))),
                "name": "paired_difference",
            } | t_interval(both[column] - both[f"{column}_of_reference"])


def record(out, mean=(), share=(), slope=(), paired=(), top=(), only=None):
    """Collect the rows of a record."""
    rows = pq.read_table(out / "comparisons.parquet").select(SHOWN).to_pylist()
    rows = [row for row in rows if only is None or row["name"] in only]
    if mean or share or slope or paired or top:
        runs = open_results(out).runs().to_pandas()
        sources = json.loads((out / "sweep.json").read_text())["sweep"]["sources"]
        priors = {name for name, source in sources.items() if source["kind"] == "prior"}
        known = [c for c in runs.columns if "." in c], priors
        for column in mean:
            rows += means(with_entry(runs, column), *known, column, "mean")
        for column in share:
            zero = runs.assign(**{column: runs[column] == 0})
            rows += means(zero, *known, column, "share_of_0")
        for column, axis in slope:
            rows += slopes(runs, *known, column, axis)
        for column in top:
            rows += commonest(runs, *known, column)
        for names in paired:
            rows += pairs(runs, *known, *names)
    return rows


def arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--mean", action="append", default=[])
    parser.add_argument("--share", action="append", default=[])
    parser.add_argument("--slope", action="append", nargs=2, default=[])
    parser.add_argument("--commonest", action="append", default=[])
    parser.add_argument("--paired", action="append", nargs=3, default=[])
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--from", dest="only", nargs="*")
    return parser.parse_args()


if __name__ == "__main__":
    asked = arguments()
    name = json.loads((asked.out / "sweep.json").read_text())["sweep"]["name"]
    rows = record(
        asked.out,
        asked.mean,
        asked.share,
        asked.slope,
        asked.paired,
        asked.commonest,
        asked.only,
    )
    if asked.seconds:
        rows.append({"name": "minutes_on_two_cores", "value": asked.seconds / 120})
    kept = [{k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows]
    text = ",\n".join(json.dumps(row) for row in kept)
    (RECORDS / f"{name}.json").write_text(f"[\n{text}\n]\n")
