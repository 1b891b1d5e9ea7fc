"""The derivative of every function of the library, written in Fuse.

Of an elementwise function: the slope in each argument, as an expression of the arguments (by their names), of
the result `y` and of nothing else. Of a function along an axis: what an argument's gradient is, as an
expression of the arguments, of `y` and of `g`, the gradient of the result; `a` is the axis, and `b` another
letter for it; `g_b` is `g` there. Where the axis leaves, `y` and `g` lack it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from fuse_ref.records import dataclass

__all__ = ["DERIVATIVES", "Derivative"]

_DENSITY: Final = repr(1 / math.sqrt(2 * math.pi))
_VARIANCE: Final = "avg(a: (x - avg(a: x))**2) + eps"
_SQUARE: Final = "avg(a: x**2) + eps"
_ROOT: Final = repr(math.sqrt(2 / math.pi))


@dataclass(frozen=True, slots=True)
class Derivative:
    """What reaches each argument, or why nothing does.

    Attributes:
        slopes: argument -> expression; an argument that is not there has no gradient.
        none: why no argument has one; "" where one has.
        by_option: what replaces `slopes` for a word that the call has ("tanh"), where eps or position varies along the
            axis ("varying"), where a target has the axis ("probabilities"), and for a temperature that is
            a number, 0 ("cold") or another ("warm").
    """

    slopes: Mapping[str, str]
    none: str = ""
    by_option: Mapping[str, Mapping[str, str]] | None = None


def _of(**slopes: str) -> Derivative:
    return Derivative(slopes)


def _flat(why: str) -> Derivative:
    return Derivative({}, why)


_WAVE = f"tanh({_ROOT} * (x + 0.044715 * x**3))"
# Of x after a quarter turn: position 2i holds -x[2i+1], position 2i+1 holds x[2i].
_TURNED = "rope(sum(b: x_b * ((b == a - 1) * odd(a) - (b == a + 1) * even(a))), position, base, axis=a)"

DERIVATIVES: Final[dict[str, Derivative]] = {
    # A rounded value passes gradients on as if it were not rounded, and so do the frameworks.
    "cast": Derivative({"x": "1"}, by_option={"int64": {}, "bool": {}}),
    "step": _flat("a step is flat"),
    "relu": _of(x="x > 0"),
    "leaky_relu": _of(x="where(x > 0, 1, slope)", slope="where(x > 0, 0, x)"),
    "sig": Derivative(
        {
            "x": "where(T == 0, 0, y * (1 - y) / where(T == 0, 1, T))",
            "T": "where(T == 0, 0, -y * (1 - y) * x / where(T == 0, 1, T)**2)",
        },
        by_option={"warm": {"x": "y * (1 - y) / T"}, "cold": {}},
    ),
    "tanh": _of(x="1 - y**2"),
    # The normal distribution function of x is y / x.
    "gelu": Derivative(
        {"x": f"where(x == 0, 0.5, y / where(x == 0, 1, x)) + {_DENSITY} * x * exp(-x**2 / 2)"},
        by_option={
            "tanh": {
                "x": f"0.5 * (1 + {_WAVE}) + {0.5 * math.sqrt(2 / math.pi)!r} * x * (1 - {_WAVE}**2) * (1 + 0.134145 * x**2)"
            }
        },
    ),
    "silu": _of(x="sig(x) + y * (1 - sig(x))"),
    "softplus": _of(x="sig(x)"),
    "exp": _of(x="y"),
    "log": _of(x="1 / x"),
    "sqrt": _of(x="0.5 / y"),
    "abs": _of(x="sign(x)"),
    "sign": _flat("a sign is flat"),
    "sin": _of(x="cos(x)"),
    "cos": _of(x="-sin(x)"),
    "floor": _flat("a floor is flat"),
    "clip": _of(x="x >= lo and x <= hi", lo="x < lo and lo <= hi", hi="max(x, lo) > hi"),
    "max": _of(a="(a > b) + 0.5 * (a == b)", b="(b > a) + 0.5 * (a == b)"),
    "min": _of(a="(a < b) + 0.5 * (a == b)", b="(b < a) + 0.5 * (a == b)"),
    "even": _flat("even(x) is 0 or 1"),
    "odd": _flat("odd(x) is 0 or 1"),
    "where": _of(a="where(condition, 1, 0)", b="where(condition, 0, 1)"),
    # What was drawn shows in the result.
    "dropout": _of(x="where(x == 0, 1, y / where(x == 0, 1, x))"),
    "softmax": _of(x="y * (g - sum(a: g * y))"),
    "log_softmax": _of(x="g - exp(y) * sum(a: g)"),
    "masked_softmax": _of(x="y * (g - sum(a: g * y))"),
    "lnorm": Derivative(
        {"x": f"(g - avg(a: g) - y * avg(a: g * y)) / sqrt({_VARIANCE})", "eps": f"-0.5 * g * y / ({_VARIANCE})"},
        by_option={
            "varying": {
                "x": f"g / sqrt({_VARIANCE}) - avg(a: g / sqrt({_VARIANCE})) - (x - avg(a: x)) * avg(a: g * y / ({_VARIANCE}))",
                "eps": f"-0.5 * g * y / ({_VARIANCE})",
            }
        },
    ),
    "rmsnorm": Derivative(
        {"x": f"(g - y * avg(a: g * y)) / sqrt({_SQUARE})", "eps": f"-0.5 * g * y / ({_SQUARE})"},
        by_option={
            "varying": {
                "x": f"g / sqrt({_SQUARE}) - x * avg(a: g * y / ({_SQUARE}))",
                "eps": f"-0.5 * g * y / ({_SQUARE})",
            }
        },
    ),
    "cumsum": _of(x="sum(a: g) - cumsum(g, axis=a) + g"),
    # Zeros that are kept show in no value: the first ones are, as many as there is room for behind what is larger.
    "topk": _of(x="g * where(x == 0, sum(a: x > 0) + cumsum(x == 0, axis=a) <= k, y != 0)"),
    "rope": Derivative(
        {"x": "rope(g, -position, base, axis=a)", "position": f"g * {_TURNED} * base**((odd(a) - a) / sum(a: 1))"},
        by_option={
            # Then the two of a pair are turned by angles of their own.
            "varying": {
                "x": "g * cos(position * base**((odd(a) - a) / sum(a: 1))) + sum(b: g_b * "
                "sin(position_b * base**((odd(b) - b) / sum(b: 1))) * ((b == a + 1) * even(a) - (b == a - 1) * odd(a)))",
                "position": f"g * {_TURNED} * base**((odd(a) - a) / sum(a: 1))",
            }
        },
    ),
    "argmax": _flat("a position is a whole number"),
    "reduce_max": _of(x="g * (x == y) / sum(a: x == y)"),
    "reduce_mean": _of(x="g / sum(a: 1)"),
    "logsumexp": _of(x="g * exp(x - y)"),
    "tucker_dense": _flat("a comparison with the threshold is flat"),
    "one_hot": _flat("a position is a whole number"),
    "causal_mask": _flat("it depends on sizes alone"),
    "cross_entropy": Derivative(
        {"logits": "g * (softmax(logits, axis=a) - (a == target))"},
        by_option={
            "probabilities": {
                "logits": "g * (softmax(logits, axis=a) * sum(a: target) - target)",
                "target": "-g * log_softmax(logits, axis=a)",
            }
        },
    ),
    "concat": _of(x="g"),  # each argument its own positions of it: concatenation.py
}
