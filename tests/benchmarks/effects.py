"""What the factors of an atlas do, as a record.

sweep-engine run sweep_engine/examples/NAME.yaml --out DIR
python -m tests.benchmarks.effects DIR    writes records/NAME.json
    --seed OTHER ...    the same sweep by other seeds: whether the signs agree. The rows may be
                        another fraction, where an effect that is aliased is another sum: aliased
                        effects are left out
    --splits            also the parts of every row's shifts, with standard errors
    --seconds N         also the processor time of the run, as minutes on two cores

Intervals hold at once, over all effects of all responses, at 95 %.
"""

import argparse
import json
import math
from pathlib import Path

import sweep_engine as se

RECORDS = Path(__file__).parent / "records"


def rows_of(effects):
    """Give one row a number: effects, shares, spreads of rows, rank correlations."""
    for response in effects.responses:
        about = {"response": response.response, "unit": response.unit, "rows": response.num_rows}
        for effect in (response.mean, *response.effects):
            tasks = {} if effect.tasks is None else {
                "tasks": effect.tasks.num_tasks, "tasks_of_one_sign": effect.tasks.num_agree,
                "i_squared": effect.tasks.i_squared,
            }  # fmt: skip
            aliases = [" x ".join(term) for term in effect.aliased_with]
            yield about | {
                "effect": effect.name, "value": effect.value, "low": effect.low,
                "high": effect.high, "excludes_0": effect.is_shown,
                **({"or": aliases} if aliases else {}), **tasks,
            }  # fmt: skip
        for share in response.shares:
            ends = {"value": share.value, "low": share.low, "high": share.high}
            yield about | {"share_of": share.factor} | ends
        yield about | {"deviation_of_rows": response.heterogeneity}
    for name, found in effects.granulated.items():
        ends = {"value": found.value, "low": found.low, "high": found.high}
        yield {"granulated_tau_with_test_error": name} | ends


def parts_of(effects):
    """Give the parts of each row's shift of each property, with their standard errors."""
    for each in effects.splits:
        parts = {name: (part.value, part.stderr) for name, part in each.parts.items()}
        yield {"split": each.prop, **each.row.levels} | {
            f"{name}{suffix}": number
            for name, both in parts.items()
            for suffix, number in zip(("", ", stderr"), both, strict=True)
        }


def agreement(effects, other):
    """Compare the signs of two seeds, where the interval of either leaves 0 out."""
    same_rows = levels_of(effects) == levels_of(other)
    theirs = {
        (response.response, effect.name): effect
        for response in other.responses
        for effect in (response.mean, *response.effects)
    }
    shown = agreed = both = 0
    for response in effects.responses:
        for effect in (response.mean, *response.effects):
            found = theirs.get((response.response, effect.name))
            is_aliased = effect.aliased_with or (found is not None and found.aliased_with)
            if found is None or is_aliased or not (effect.is_shown or found.is_shown):
                continue
            shown += 1
            same = (effect.value > 0) == (found.value > 0)
            agreed += same
            both += effect.is_shown and found.is_shown
            if not same:
                yield {
                    "response": response.response, "effect": effect.name, "other_sign": True,
                    "same_rows": same_rows,
                    "value": effect.value, "low": effect.low, "high": effect.high,
                    "value_of_other_seed": found.value, "low_of_other_seed": found.low,
                    "high_of_other_seed": found.high,
                }  # fmt: skip
    yield {"name": "effects_that_exclude_0_in_either_seed", "same_rows": same_rows, "value": shown}
    yield {"name": "of_them_with_one_sign_in_both", "same_rows": same_rows, "value": agreed}
    yield {"name": "effects_that_exclude_0_in_both_seeds", "same_rows": same_rows, "value": both}


def levels_of(effects):
    """List the levels of every row."""
    return sorted(sorted(row.levels.items()) for row in effects.rows)


def rounded(value):
    """Keep four digits; null stands for what is not known."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=Path, nargs="*", default=[])
    parser.add_argument("--splits", action="store_true")
    parser.add_argument("--seconds", type=float)
    return parser.parse_args()


if __name__ == "__main__":
    asked = arguments()
    name = json.loads((asked.out / "sweep.json").read_text())["sweep"]["name"]
    (found,) = se.effects(asked.out)
    rows = list(rows_of(found))
    for folder in asked.seed:
        (other,) = se.effects(folder)
        rows += agreement(found, other)
    if asked.splits:
        rows += parts_of(found)
    if asked.seconds:
        rows.append({"name": "minutes_on_two_cores", "value": asked.seconds / 120})
    kept = [{k: rounded(v) if isinstance(v, float) else v for k, v in row.items()} for row in rows]
    text = ",\n".join(json.dumps(row, allow_nan=False) for row in kept)
    (RECORDS / f"{name}.json").write_text(f"[\n{text}\n]\n")
