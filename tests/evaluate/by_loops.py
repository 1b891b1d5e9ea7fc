"""Dense operations worked out element by element in Python floats: what the NumPy engine is held against.

Written from the docstrings of `fuse_ref/plan/steps.py` alone; arrays only carry values in and out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fuse_ref.plan.steps import (
    Along,
    Attention,
    Concat,
    Contract,
    Convolve,
    DenseOperation,
    Expand,
    Index,
    Iota,
    LiteralArray,
    Map,
    Operand,
    Permute,
    Reduce,
    Write,
)

__all__ = ["FUNCTIONS", "run_by_loops"]

Cell = Mapping[str, int]

FUNCTIONS: dict[str, Callable[..., float]] = {
    "step": lambda x: 1.0 if x > 0 else 0.0,
    "relu": lambda x: x if x > 0 else 0.0,
    "leaky_relu": lambda x, slope: x if x > 0 else slope * x,
    "sig": lambda x, T: (1.0 if x > 0 else 0.0) if T == 0 else 0.5 * (1 + math.tanh(x / T / 2)),
    "tanh": math.tanh,
    "gelu": lambda x, approximate="none": (
        0.5 * x * (1 + math.erf(x / math.sqrt(2)))
        if approximate == "none"
        else 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    ),
    "silu": lambda x: x * 0.5 * (1 + math.tanh(x / 2)),
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "abs": math.fabs,
    "sign": lambda x: float((x > 0) - (x < 0)),
    "sin": math.sin,
    "cos": math.cos,
    "floor": lambda x: float(math.floor(x)),
    "clip": lambda x, lo, hi: min(max(x, lo), hi),
    "max": max,
    "min": min,
    "even": lambda x: 1.0 if int(x) % 2 == 0 else 0.0,
    "odd": lambda x: 1.0 if int(x) % 2 == 1 else 0.0,
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "power": lambda a, b: a**b,
    "negate": lambda a: -a,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
    "and": lambda a, b: bool(a) and bool(b),
    "or": lambda a, b: bool(a) or bool(b),
    "not": lambda a: not a,
    "where": lambda c, a, b: a if c else b,
    "to_number": float,
    "to_boolean": lambda a: a > 0,
}

NEUTRAL = {"sum": 0.0, "avg": 0.0, "prod": 1.0, "max": -math.inf, "min": math.inf, "any": False}
COMBINE: dict[str, Callable[[float, float], float]] = {
    "sum": lambda a, b: a + b,
    "avg": lambda a, b: a + b,
    "prod": lambda a, b: a * b,
    "max": max,
    "min": min,
    "any": lambda a, b: a or b,
}


def _cells(labels: Sequence[str], sizes: Mapping[str, int]) -> list[Cell]:
    ranges = [range(sizes[label]) for label in labels]
    return [dict(zip(labels, position, strict=True)) for position in itertools.product(*ranges)]


def _at(values: Mapping[str, np.ndarray], operand: Operand | int | float, cell: Cell) -> float:
    if not isinstance(operand, Operand):
        return operand
    return values[operand.value][tuple(cell[label] for label in operand.labels)].item()


def run_by_loops(operation: DenseOperation, values: Mapping[str, np.ndarray], length: Callable[..., int]) -> np.ndarray:
    """The result of `operation`; `length` tells the number that a length is."""
    output = operation.output
    shape = tuple(length(item) for item in output.lengths)
    sizes = dict(zip(output.labels, shape, strict=True))
    result = np.zeros(shape, object)
    cells = _cells(output.labels, sizes)
    operands = [item for item in getattr(operation, "operands", ()) if isinstance(item, Operand)]
    names = ("left", "right", "operand", "image", "filter", "query", "key", "value", "bias", "keep")
    operands += [item for name in names if isinstance(item := getattr(operation, name, None), Operand)]
    every = dict(sizes) if not isinstance(operation, Write) else {}
    for operand in operands:
        every |= dict(zip(operand.labels, values[operand.value].shape, strict=True))
    place = lambda cell: tuple(cell[label] for label in output.labels)  # noqa: E731
    match operation:
        case LiteralArray(values=numbers):
            for cell, number in zip(cells, numbers, strict=True):
                result[place(cell)] = number
        case Iota():
            for cell in cells:
                result[place(cell)] = cell[output.labels[0]]
        case Index(source=source, indices=indices):
            array = values[source]
            for cell in cells:
                position = tuple(length(i.offset) + sum(c * cell[label] for label, c in i.terms) for i in indices)
                inside = all(0 <= p < n for p, n in zip(position, array.shape, strict=True))
                result[place(cell)] = array[position].item() if inside else 0
        case Map(function=function):
            for cell in cells:
                arguments = [_at(values, operand, cell) for operand in operation.operands]
                result[place(cell)] = FUNCTIONS[function](*arguments, **dict(operation.options))
        case Along():
            for cell in cells:
                result[place(cell)] = _along(operation, values, cell, every[operation.axis])
        case Concat(parts=parts, axis=axis):
            starts = [0]
            for part in parts:
                starts.append(starts[-1] + math.prod(every[label] for label in part.along))
            for cell in cells:
                number = max(k for k in range(len(parts)) if starts[k] <= cell[axis] and starts[k] < starts[k + 1])
                inner, rest = dict(cell), cell[axis] - starts[number]
                for label in reversed(parts[number].along):
                    rest, inner[label] = divmod(rest, every[label])
                result[place(cell)] = _at(values, parts[number].operand, inner)
        case Contract(left=left, right=right):
            gone = [label for label in every if label not in sizes]
            for cell in cells:
                inner = [dict(cell) | dict(other) for other in _cells(gone, every)]
                result[place(cell)] = sum(_at(values, left, c) * _at(values, right, c) for c in inner)
        case Reduce(operator=operator, operand=operand):
            gone = [label for label in every if label not in sizes]
            for cell in cells:
                total = NEUTRAL[operator]
                others = _cells(gone, every)
                for other in others:
                    total = COMBINE[operator](total, _at(values, operand, dict(cell) | dict(other)))
                result[place(cell)] = total / len(others) if operator == "avg" and others else total
        case Convolve(image=image, filter=weights, windows=windows):
            moving = {window.source: window for window in windows}
            gone = [label for label in every if label not in sizes and label not in moving]
            for cell in cells:
                total = 0.0
                for other in _cells(gone, every):
                    full = dict(cell) | dict(other)
                    for label, w in moving.items():
                        full[label] = w.stride * full[w.place] + w.dilation * full[w.tap] + length(w.offset)
                    if all(0 <= full[label] < every[label] for label in moving):
                        total += _at(values, image, full) * _at(values, weights, full)
                result[place(cell)] = total
        case Attention():
            for cell in cells:
                result[place(cell)] = _attended(operation, values, cell, every)
        case Permute(operand=operand) | Expand(operand=operand):
            for cell in cells:
                result[place(cell)] = _at(values, operand, cell)
        case Write(operator=operator, operand=operand, indices=indices):
            for position in itertools.product(*map(range, shape)):
                result[position] = NEUTRAL[operator]
            for cell in _cells(operand.labels, every):
                position = tuple(
                    (length(i.offset) + sum(c * cell[label] for label, c in i.terms)) // i.divisor for i in indices
                )
                if all(0 <= p < n for p, n in zip(position, shape, strict=True)):
                    result[position] = COMBINE[operator](result[position], _at(values, operand, cell))
    return result.astype({"float": float, "int64": np.int64, "bool": bool}[output.dtype])


def _attended(operation: Attention, values: Mapping[str, np.ndarray], cell: Cell, every: Mapping[str, int]) -> float:
    count = every[operation.axis]
    line = [dict(cell) | {operation.axis: k} for k in range(count)]
    own = {*operation.query.labels, *operation.key.labels} - {operation.axis, *operation.output.labels}
    scores: list[float] = []
    for c in line:
        inner = [c | dict(other) for other in _cells(sorted(own), every)]
        score = operation.scale * sum(_at(values, operation.query, i) * _at(values, operation.key, i) for i in inner)
        score += 0 if operation.bias is None else _at(values, operation.bias, c)
        kept = operation.keep is None or _at(values, operation.keep, c)
        kept = kept and (not operation.causal or c[operation.axis] <= c[operation.causal])
        scores.append(score if kept else -math.inf)
    given = [_at(values, operation.value, c) for c in line]
    if not count:
        return 0.0
    if max(scores) == -math.inf:
        return {"zero": 0.0, "mean": sum(given) / count, "nan": math.nan}[operation.empty]
    weights = [math.exp(score - max(scores)) for score in scores]
    return sum(w * v for w, v in zip(weights, given, strict=True)) / sum(weights)


def _along(operation: Along, values: Mapping[str, np.ndarray], cell: Cell, count: int) -> float:
    line = [dict(cell) | {operation.axis: k} for k in range(count)]
    x = [_at(values, operation.operands[0], c) for c in line]
    total = sum(math.exp(item - max(x)) for item in x)
    match operation.function:
        case "softmax":
            return math.exp(x[cell[operation.axis]] - max(x)) / total
        case "log_softmax":
            return x[cell[operation.axis]] - max(x) - math.log(total)
        case "lnorm":
            mean = sum(x) / count
            variance = sum((item - mean) ** 2 for item in x) / count
            eps = _at(values, operation.operands[1], cell)
            return (x[cell[operation.axis]] - mean) / math.sqrt(variance + eps)
        case "cross_entropy":
            logs = [item - max(x) - math.log(total) for item in x]
            target = operation.operands[1]
            assert isinstance(target, Operand)
            if operation.axis in target.labels:
                return -sum(_at(values, target, c) * log for c, log in zip(line, logs, strict=True))
            return -logs[int(_at(values, target, cell))]
    raise AssertionError(operation.function)
