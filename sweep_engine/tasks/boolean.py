"""Boolean functions of n bits; input i is the binary expansion of i, high bit first."""

import ast
import re

import numpy as np
from jaxtyping import Bool, UInt8

from sweep_engine.keys import data_rng
from sweep_engine.spec.tasks import Boolean
from sweep_engine.tasks.losses import label_loss
from sweep_engine.tasks.task import Task, make_task

SIGNS = {"∧": "&", "∨": "|", "¬": "~", "⊕": "^", "!": "~"}


def load_boolean(spec: Boolean, seed: int) -> Task:
    """Make the task: the chosen inputs train, all others test, all identify the function."""
    bits = all_inputs(spec.bits)
    y = truth_table(spec.target, spec.bits)
    x = bits.astype(np.float32)
    if spec.inputs == "plus_minus":
        x = 2 * x - 1
    train = train_inputs(spec, seed)
    test = np.setdiff1d(np.arange(len(y)), train)
    loss = label_loss(spec.loss, 2, spec.label_smoothing)
    return make_task(
        (x[train], y[train]),
        (x[test], y[test]) if len(test) else None,
        loss,
        probe_inputs=np.argsort(np.concatenate([train, test])),
        finite=True,
    )


def all_inputs(bits: int) -> UInt8[np.ndarray, "N D"]:
    """List all inputs, shape (2^bits, bits)."""
    shifts = np.arange(bits - 1, -1, -1)
    return ((np.arange(2**bits)[:, None] >> shifts) & 1).astype(np.uint8)


def train_inputs(spec: Boolean, seed: int) -> np.ndarray:
    """Say which inputs train, in increasing order; the target plays no part in it."""
    if not isinstance(spec.train, int):
        return np.sort(np.asarray(spec.train))
    rng = data_rng(seed, f"boolean/{spec.bits}")
    return np.sort(rng.permutation(2**spec.bits)[: spec.train])


def truth_table(target: str, bits: int) -> UInt8[np.ndarray, " N"]:
    """Evaluate a target on all inputs.

    Args:
        target: parity, majority, random(SEED), 2^bits characters of 0 and 1, or an
            expression of x1 .. xn with & | ^ ~ (also and, or, not, ∧ ∨ ¬ ⊕), 0 and 1.
        bits: n.

    Raises:
        ValueError: the target is none of these.
    """
    x = all_inputs(bits).astype(bool)
    if target == "parity":
        return (x.sum(axis=1) % 2).astype(np.uint8)
    if target == "majority":
        return (2 * x.sum(axis=1) > bits).astype(np.uint8)
    if match := re.fullmatch(r"random\((\d{1,18})\)", target):
        return data_rng(int(match[1]), "boolean-target").integers(0, 2, 2**bits, dtype=np.uint8)
    if re.fullmatch(r"[01]{2,}", target):
        if len(target) != 2**bits:
            raise ValueError(f"a truth table of {bits} bits has {2**bits} characters")
        return np.array([int(c) for c in target], np.uint8)
    return _expression(target, x).astype(np.uint8)


def _expression(text: str, x: Bool[np.ndarray, "N D"]) -> Bool[np.ndarray, " N"]:
    for sign, plain in SIGNS.items():
        text = text.replace(sign, plain)
    try:
        tree = ast.parse(text.strip(), mode="eval")
        return np.broadcast_to(_evaluate(tree.body, x), (len(x),))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(_not_a_target(text, x.shape[1])) from error


def _evaluate(node: ast.expr, x: Bool[np.ndarray, "N D"]) -> Bool[np.ndarray, " N"]:
    """Walk the few node types of a Boolean expression; nothing is executed."""
    match node:
        case ast.Name(id=name) if re.fullmatch(r"x[1-9]\d?", name) and int(name[1:]) <= x.shape[1]:
            return x[:, int(name[1:]) - 1]
        case ast.Constant(value=0 | 1 as value):
            return np.full(len(x), bool(value))
        case ast.UnaryOp(op=ast.Invert() | ast.Not(), operand=operand):
            return ~_evaluate(operand, x)
        case ast.BinOp(left=left, op=ast.BitAnd(), right=right):
            return _evaluate(left, x) & _evaluate(right, x)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _evaluate(left, x) | _evaluate(right, x)
        case ast.BinOp(left=left, op=ast.BitXor(), right=right):
            return _evaluate(left, x) ^ _evaluate(right, x)
        case ast.BoolOp(op=op, values=values):
            parts = [_evaluate(value, x) for value in values]
            join = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return np.asarray(join.reduce(parts))
        case _:
            raise ValueError(f"{type(node).__name__} stands in no Boolean expression")


def _not_a_target(text: str, bits: int) -> str:
    return (
        f"{text[:80]!r} is no target: use parity, majority, random(SEED), {2**bits} characters "
        f"of 0 and 1, or an expression of x1 .. x{bits} with & | ^ ~ and parentheses"
    )
