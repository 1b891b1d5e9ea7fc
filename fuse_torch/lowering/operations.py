"""The elementwise functions and operators as torch calls: one line each, the same names as the catalogue.

To add an operation, add its row to `fuse_ref.ir.operations` and its line to `ELEMENTWISE` here (or to
`ALONG` in `along.py`). Every call must be an operation of torch, so that the graph runs without Fuse.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch.fx import Node
from torch.nn import functional

from fuse_ref.ir.nodes import Dtype
from fuse_ref.plan.steps import Map, Operand
from fuse_torch.lowering.emitter import Argument, Emitter, Value
from fuse_torch.registered import apply_registered

__all__ = ["ELEMENTWISE", "KEEPS_TYPES", "Elementwise", "lower_map"]

# (emitter, arguments, options) -> result. Arguments broadcast against each other; at least the first
# is a node unless the row is listed in `_TAKES_NUMBERS`.
Elementwise: TypeAlias = Callable[[Emitter, Sequence[Argument], Mapping[str, str]], Node]

_TORCH_TYPES: dict[str, torch.dtype] = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}


def _plain(function: Callable[..., Any]) -> Elementwise:
    """The row of a torch function that takes the arguments as they are."""

    def row(emit: Emitter, arguments: Sequence[Argument], options: Mapping[str, str]) -> Node:
        return emit.call(function, *arguments)

    return row


def _tensor(emit: Emitter, argument: Argument) -> Node:
    """`argument`, a number becoming a scalar tensor of the run's precision."""
    return argument if isinstance(argument, Node) else emit.full((), argument, "float")


def _step(emit: Emitter, arguments: Sequence[Argument], options: Mapping[str, str]) -> Node:
    # relu(sign(x)) is 1 above 0 and else 0 and has the gradient 0; a comparison would have none at all.
    return emit.call(torch.relu, emit.call(torch.sign, arguments[0]))


def _sign(emit: Emitter, arguments: Sequence[Argument], options: Mapping[str, str]) -> Node:
    # torch.sign has 0 for NaN, which then would be lost.
    x = _tensor(emit, arguments[0])
    return emit.call(torch.where, emit.call(operator.ne, x, x), x, emit.call(torch.sign, x))


def _power(emit: Emitter, arguments: Sequence[Argument], options: Mapping[str, str]) -> Node:
    # The code that FX generates for operator.pow of -2 is `-2 ** x`, which Python reads as -(2 ** x).
    function = operator.pow if isinstance(arguments[0], Node) else torch.pow
    return emit.call(function, *arguments)


def _leaky_relu(emit: Emitter, arguments: Sequence[Argument], options: Mapping[str, str]) -> Node:
    x, slope = arguments
    if not isinstance(slope, Node):
        return emit.call(functional.leaky_relu, x, slope)
    x = _tensor(emit, x)
    return emit.call(torch.where, emit.call(operator.gt, x, 0), x, emit.call(operator.mul, slope, x))


def _sigmoid(emit: Emitter, arguments: Sequence[Argument], options: Mapping[str, str]) -> Node:
    x, temperature = arguments
    if not isinstance(temperature, Node):
        if temperature == 0:
            return _step(emit, [x], options)
        scaled = x if temperature == 1 else emit.call(operator.truediv, x, temperature)
        return emit.call(torch.sigmoid, scaled)
    x, hard = _tensor(emit, x), emit.call(operator.eq, temperature, 0)
    # Where T is 0 the quotient is not used, but its gradient would be: divide by 1 there.
    safe = emit.call(torch.where, hard, 1, temperature)
    soft = emit.call(torch.sigmoid, emit.call(operator.truediv, x, safe))
    return emit.call(torch.where, hard, _step(emit, [x], options), soft)


def _gelu(emit: Emitter, arguments: Sequence[Argument], options: Mapping[str, str]) -> Node:
    return emit.call(functional.gelu, arguments[0], approximate=options.get("approximate", "none"))


def _clip(emit: Emitter, arguments: Sequence[Argument], options: Mapping[str, str]) -> Node:
    x, low, high = arguments
    if not isinstance(low, Node) and not isinstance(high, Node):
        return emit.call(torch.clamp, x, low, high)
    above = emit.call(torch.maximum, _tensor(emit, x), _tensor(emit, low))
    return emit.call(torch.minimum, above, _tensor(emit, high))


def _larger(function: Callable[..., Any]) -> Elementwise:
    """torch.maximum and torch.minimum split the gradient at ties evenly; torch.clamp does not."""

    def row(emit: Emitter, arguments: Sequence[Argument], options: Mapping[str, str]) -> Node:
        left, right = arguments
        if not isinstance(right, Node):
            left, right = right, left
        assert isinstance(right, Node)
        if not isinstance(left, Node):
            left = emit.method("new_full", right, (), left)
        return emit.call(function, left, right)

    return row


def _cast(emit: Emitter, arguments: Sequence[Argument], options: Mapping[str, str]) -> Node:
    x, target = _tensor(emit, arguments[0]), options["dtype"]
    if target == "int64":
        return emit.call(torch.trunc, x)
    if target == "bool":
        return emit.method("to", emit.call(operator.ne, x, 0), emit.precision())
    return emit.method("to", emit.method("to", x, _TORCH_TYPES[target]), emit.precision())


def _softplus(emit: Emitter, arguments: Sequence[Argument], options: Mapping[str, str]) -> Node:
    # Beyond its threshold torch gives x itself. At the default 20 that is wrong by 2e-9, which float64 shows.
    return emit.call(functional.softplus, _tensor(emit, arguments[0]), threshold=40)


def _parity(shift: int) -> Elementwise:
    """1 where x + shift is an even whole number; the gradient is 0, not missing."""

    def row(emit: Emitter, arguments: Sequence[Argument], options: Mapping[str, str]) -> Node:
        x = emit.call(operator.add, arguments[0], shift) if shift else arguments[0]
        remainder = emit.call(torch.remainder, x, 2)
        return emit.call(operator.sub, 1, emit.call(torch.sign, remainder))

    return row


def _where(emit: Emitter, arguments: Sequence[Argument], options: Mapping[str, str]) -> Node:
    condition, yes, no = arguments
    if not isinstance(yes, Node) and not isinstance(no, Node):
        yes = _tensor(emit, yes)  # of two numbers torch would take its default dtype
    return emit.call(torch.where, condition, yes, no)


def _dropout(emit: Emitter, arguments: Sequence[Argument], options: Mapping[str, str]) -> Node:
    return emit.call(functional.dropout, arguments[0], arguments[1], emit.training())


def _to_number(emit: Emitter, arguments: Sequence[Argument], options: Mapping[str, str]) -> Node:
    return emit.method("to", _tensor(emit, arguments[0]), emit.precision())


def _to_boolean(emit: Emitter, arguments: Sequence[Argument], options: Mapping[str, str]) -> Node:
    return emit.call(operator.gt, _tensor(emit, arguments[0]), 0)


ELEMENTWISE: dict[str, Elementwise] = {
    # functions of the catalogue
    "cast": _cast,
    "step": _step,
    "relu": _plain(torch.relu),
    "leaky_relu": _leaky_relu,
    "sig": _sigmoid,
    "tanh": _plain(torch.tanh),
    "gelu": _gelu,
    "silu": _plain(functional.silu),
    "softplus": _softplus,
    "exp": _plain(torch.exp),
    "log": _plain(torch.log),
    "sqrt": _plain(torch.sqrt),
    "abs": _plain(torch.abs),
    "sign": _sign,
    "sin": _plain(torch.sin),
    "cos": _plain(torch.cos),
    "floor": _plain(torch.floor),
    "clip": _clip,
    "max": _larger(torch.maximum),
    "min": _larger(torch.minimum),
    "even": _parity(0),
    "odd": _parity(1),
    "dropout": _dropout,
    # operators of expressions
    "add": _plain(operator.add),
    "subtract": _plain(operator.sub),
    "multiply": _plain(operator.mul),
    "divide": _plain(operator.truediv),
    "power": _power,
    "negate": _plain(operator.neg),
    "less": _plain(operator.lt),
    "less_equal": _plain(operator.le),
    "greater": _plain(operator.gt),
    "greater_equal": _plain(operator.ge),
    "equal": _plain(operator.eq),
    "not_equal": _plain(operator.ne),
    "and": _plain(torch.logical_and),
    "or": _plain(torch.logical_or),
    "not": _plain(torch.logical_not),
    "where": _where,
    "to_number": _to_number,
    "to_boolean": _to_boolean,
}

# What makes positions of positions, exactly.
_WHOLE = ("add", "subtract", "multiply", "negate")

# Functions whose operands keep their types: truth values, or the conversions themselves.
KEEPS_TYPES = {"and", "or", "not", "to_number", "to_boolean", "where"}


def lower_map(emit: Emitter, operation: Map) -> Value:
    """An elementwise function of operands that are aligned by label."""
    output = operation.output
    exact = operation.function in _WHOLE and all(_is_whole(emit, operand) for operand in operation.operands)
    arguments: list[Argument] = []
    for position, operand in enumerate(operation.operands):
        if not isinstance(operand, Operand):
            arguments.append(operand)
            continue
        node = emit.operand(operand)
        condition = operation.function == "where" and position == 0
        if output.dtype == "float" and not condition and not exact and _converts(operation.function):
            node = emit.floating(node, emit.dtype(operand))
        arguments.append(emit.aligned(node, operand.labels, output.labels))
    if not any(isinstance(argument, Node) for argument in arguments):
        arguments[0] = emit.full((), _number(arguments[0]), _scalar_dtype(output.dtype))
    row = ELEMENTWISE.get(operation.function)
    if row is None:
        tensors = [_tensor(emit, argument) for argument in arguments]
        result = emit.call(apply_registered, operation.function, *tensors)
    else:
        result = row(emit, arguments, dict(operation.options))
    if operation.function == "cast" and output.dtype == "int64":
        result = emit.method("to", result, torch.int64)  # an index: elsewhere casts stay in the run's precision
    if exact:
        emit.positions.add(output.out)
        return Value(result, output.lengths, "int64")
    return Value(result, output.lengths, output.dtype)


def _is_whole(emit: Emitter, operand: Operand | int | float) -> bool:
    """Whether it is positions, or a number to compute positions with."""
    return operand.value in emit.positions if isinstance(operand, Operand) else isinstance(operand, int)


def _converts(function: str) -> bool:
    return function == "where" or function not in KEEPS_TYPES


def _number(argument: Argument) -> int | float:
    assert not isinstance(argument, Node)
    return argument


def _scalar_dtype(dtype: Dtype) -> Dtype:
    return "float" if dtype == "bool" else dtype
