"""The catalogue of functions: one row each, the single place that says which there are.

Every engine has a table with the same names (`evaluate/operations.py`, `fuse_torch/lowering/operations.py`,
`fuse_jax/operations.py`); a test fails when a row is missing in one of them.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from fuse_ref.records import dataclass

__all__ = [
    "ALIASES",
    "ALONG",
    "CATALOGUE",
    "NEUTRAL",
    "OPERATORS",
    "REGISTERED",
    "Argument",
    "ArgumentKind",
    "Operation",
    "Option",
    "row_of",
    "signature",
]

# What may stand for an argument, and how engines get it.
# value: a number. classes: an int64 tensor without the axis, or values with it. mask: a truth value, for
# numbers whether they are not 0. ordered: a number that stays whole where it is. aside: a number that is not
# repeated along the axis. number: known while planning. probability: a number from 0 to 1. count: a whole number.
# size: a count that may be left out.
ArgumentKind: TypeAlias = Literal[
    "value", "classes", "mask", "ordered", "aside", "number", "probability", "count", "size"
]


@dataclass(frozen=True, slots=True)
class Argument:
    name: str  # also its keyword in programs
    default: float | None = None  # None: must be given
    kind: ArgumentKind = "value"


def signature(argument: Argument) -> str:
    """As messages and the language page write it: "x", "eps=1e-05", "n=" for what may be left out."""
    if argument.kind == "size":
        return f"{argument.name}="
    return argument.name if argument.default is None else f"{argument.name}={argument.default:g}"


@dataclass(frozen=True, slots=True)
class Option:
    """A word argument, such as `approximate="tanh"` or the type in `cast(x, bfloat16)`."""

    name: str
    allowed: tuple[str, ...]
    default: str | None  # None: must be given


@dataclass(frozen=True, slots=True)
class Operation:
    name: str
    # elementwise: result has the indices of all arguments together.
    # along_axis: the same, and the axis survives in the arguments. reduce_axis: the axis leaves.
    # whole: the result has the indices of x, and each element depends on all of x.
    # new_axis: an index appears that the arguments lack. concat: any number of arguments, whose
    # indices that the left-hand side lacks are flattened into the axis.
    kind: Literal["elementwise", "along_axis", "reduce_axis", "whole", "new_axis", "concat"]
    arguments: tuple[Argument, ...]
    meaning: str  # one line of docs/language.md
    options: tuple[Option, ...] = ()
    domain: tuple[float, float] = (-2.0, 2.0)  # where tests draw values and gradients exist almost everywhere
    monotone: bool = False  # non-decreasing in its first argument
    expanded: bool = False  # planned as other operations: engines have no row for it
    identity: tuple[tuple[str, str], ...] = ()  # of a registered function: an option of its calls, for digests


def _elementwise(
    name: str,
    meaning: str,
    *more: Argument,
    options: tuple[Option, ...] = (),
    domain: tuple[float, float] = (-2.0, 2.0),
    monotone: bool = False,
) -> Operation:
    return Operation(name, "elementwise", (Argument("x"), *more), meaning, options, domain, monotone)


_ROWS: tuple[Operation, ...] = (
    _elementwise(
        "cast",
        "x rounded to a type (integers: towards zero); the computation goes on in the run's precision",
        options=(Option("dtype", ("float16", "bfloat16", "float32", "float64", "int64", "bool"), None),),
    ),
    _elementwise("step", "1 where x > 0, else 0", monotone=True),
    _elementwise("relu", "max(x, 0)", monotone=True),
    _elementwise("leaky_relu", "x where x > 0, else slope x", Argument("slope", 0.01), monotone=True),
    _elementwise("sig", "1 / (1 + exp(-x / T)); step(x) at T = 0", Argument("T", 1.0), monotone=True),
    _elementwise("tanh", "hyperbolic tangent", monotone=True),
    _elementwise(
        "gelu",
        'x times the normal distribution function of x; approximate="tanh" for its tanh form',
        options=(Option("approximate", ("none", "tanh"), "none"),),
    ),
    _elementwise("silu", "x sig(x)"),
    _elementwise("softplus", "log(1 + exp(x))", monotone=True),
    _elementwise("exp", "e to the x", monotone=True),
    _elementwise("log", "natural logarithm", domain=(0.1, 4.0), monotone=True),
    _elementwise("sqrt", "square root", domain=(0.1, 4.0), monotone=True),
    _elementwise("abs", "magnitude"),
    _elementwise("sign", "-1, 0 or 1", monotone=True),
    _elementwise("sin", "sine of x in radians"),
    _elementwise("cos", "cosine of x in radians"),
    _elementwise("floor", "largest integer that is at most x", monotone=True),
    _elementwise("clip", "x, at least lo and at most hi", Argument("lo"), Argument("hi"), monotone=True),
    Operation("max", "elementwise", (Argument("a"), Argument("b")), "the larger of a and b"),
    Operation("min", "elementwise", (Argument("a"), Argument("b")), "the smaller of a and b"),
    _elementwise("even", "1 at even positions, else 0", domain=(0.0, 9.0)),
    _elementwise("odd", "1 at odd positions, else 0", domain=(0.0, 9.0)),
    Operation(
        "where",
        "elementwise",
        (Argument("condition"), Argument("a"), Argument("b")),
        "a where the condition holds (a number: where it is greater than 0), else b",
    ),
    Operation(
        "dropout",
        "elementwise",
        (Argument("x"), Argument("p", kind="probability")),
        "x; in training each element is 0 with probability p, else x / (1 - p)",
    ),
    Operation("softmax", "along_axis", (Argument("x"),), "exp(x) divided by its sum along the axis"),
    Operation("log_softmax", "along_axis", (Argument("x"),), "log of softmax"),
    Operation(
        "masked_softmax",
        "along_axis",
        (Argument("x"), Argument("mask", kind="mask")),
        "softmax over the positions where mask is not 0; 0 elsewhere, and everywhere if it keeps none",
    ),
    Operation(
        "lnorm",
        "along_axis",
        (Argument("x"), Argument("eps", 1e-5)),
        "(x - mean) / sqrt(variance + eps) along the axis, variance over n",
    ),
    Operation(
        "rmsnorm",
        "along_axis",
        (Argument("x"), Argument("eps", 1e-5)),
        "x / sqrt(mean of squares + eps) along the axis",
    ),
    Operation("cumsum", "along_axis", (Argument("x"),), "sum of x at this and all earlier positions of the axis"),
    Operation(
        "topk",
        "along_axis",
        (Argument("x"), Argument("k", kind="count")),
        "x at its k largest values along the axis, 0 elsewhere; of equal ones the first count",
    ),
    Operation(
        "rope",
        "along_axis",
        (Argument("x"), Argument("position", kind="aside"), Argument("base", 10000.0, kind="number")),
        "positions 2i and 2i + 1 of the axis, of length n, turned by the angle position / base**(2i / n)",
    ),
    Operation(
        "argmax",
        "reduce_axis",
        (Argument("x", kind="ordered"),),
        "position of the largest value, a whole number; of equal ones the first",
    ),
    Operation("reduce_max", "reduce_axis", (Argument("x"),), "the largest value", expanded=True),
    Operation("reduce_mean", "reduce_axis", (Argument("x"),), "the mean", expanded=True),
    Operation(
        "logsumexp",
        "reduce_axis",
        (Argument("x"),),
        "log of the sum of exp(x), which does not overflow where exp(x) does",
        expanded=True,
    ),
    Operation(
        "tucker_dense",
        "whole",
        (Argument("x"), Argument("rank", 0.0, kind="count"), Argument("threshold", 0.5, kind="number")),
        "1 where the Tucker approximation of x, of this rank along every index, is above the threshold, else 0",
    ),
    Operation(
        "one_hot",
        "new_axis",
        (Argument("x"), Argument("n", kind="size")),
        "1 where the index that x lacks is at x, else 0; n is its size",
        expanded=True,
    ),
    Operation(
        "causal_mask",
        "new_axis",
        (Argument("n", kind="size"),),
        "1 where the left-hand side's last index is at most the one before it, else 0; n is the size of both",
        expanded=True,
    ),
    Operation(
        "cross_entropy",
        "reduce_axis",
        (Argument("logits"), Argument("target", kind="classes")),
        "-log_softmax(logits) at the target class, or weighted by target probabilities",
    ),
    Operation("concat", "concat", (Argument("x, ..."),), "arguments one after another along the axis"),
)

CATALOGUE: dict[str, Operation] = {row.name: row for row in _ROWS}

# The functions along an axis that every engine has a row for.
ALONG: tuple[str, ...] = tuple(
    row.name for row in _ROWS if row.kind in ("along_axis", "reduce_axis") and not row.expanded
)

# Other spellings, resolved while the IR is built: engines never see them.
ALIASES: dict[str, str] = {"layernorm": "lnorm", "select": "where"}

# The rows of functions that Python code has registered in this process (evaluate/registration.py).
REGISTERED: dict[str, Operation] = {}


def row_of(name: str) -> Operation | None:
    """The row of a function that programs can call, or None."""
    return CATALOGUE.get(name) or REGISTERED.get(name)


# What the operators of expressions are called where engines execute them. Not callable in programs.
OPERATORS: tuple[str, ...] = (
    "add",
    "subtract",
    "multiply",
    "divide",
    "power",
    "negate",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "equal",
    "not_equal",
    "and",
    "or",
    "not",
    "where",  # where(condition: bool, a, b)
    "to_number",  # bool or int64 -> the run's precision
    "to_boolean",  # x > 0
)

# A call of a program's own function until its projections are written out: then its body alone is left.
INLINED = "fn"

NEUTRAL: dict[str, float] = {"=": 0.0, "avg=": 0.0, "max=": -math.inf, "min=": math.inf, "prod=": 1.0}
