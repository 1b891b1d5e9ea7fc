"""The library's functions on single Python floats, and along an axis on lists of them."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fuse_ref.language import syntax_tree as tree
from tests.support.oracle.errors import OracleAxisError, OracleError

__all__ = [
    "ALONG",
    "COMPARISONS",
    "ELEMENTWISE",
    "FUNCTION_NAMES",
    "LEAVES",
    "SHAPED",
    "TUCKER",
    "Function",
    "add",
    "divide",
    "larger",
    "multiply",
    "number_of",
    "power",
    "smaller",
]


# Arithmetic that follows IEEE 754 where Python raises -------------------------------------------


def add(a: float, b: float) -> float:
    return a + b


def multiply(a: float, b: float) -> float:
    return a * b


def divide(a: float, b: float) -> float:
    if b != 0.0:
        return a / b
    if a == 0.0 or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


def power(a: float, b: float) -> float:
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and b % 2 == 1 else math.inf
    except ValueError:
        # 0 to a negative power is infinite; a negative base has no real fractional power.
        if a == 0.0:
            return math.copysign(math.inf, a) if b % 2 == 1 else math.inf
        return math.nan


def larger(a: float, b: float) -> float:
    if math.isnan(a) or math.isnan(b):
        return math.nan
    return a if a >= b else b


def smaller(a: float, b: float) -> float:
    return -larger(-a, -b)


COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


# Elementwise ------------------------------------------------------------------------------------


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _log(x: float) -> float:
    if x > 0.0:
        return math.log(x)
    return -math.inf if x == 0.0 else math.nan


def _sqrt(x: float) -> float:
    return math.nan if x < 0.0 else math.sqrt(x)


def _step(x: float) -> float:
    return math.nan if math.isnan(x) else float(x > 0.0)


def _sign(x: float) -> float:
    return math.nan if math.isnan(x) else float(x > 0.0) - float(x < 0.0)


def _sig(x: float, temperature: float) -> float:
    if temperature == 0.0:
        return _step(x)
    z = x / temperature
    return 1.0 / (1.0 + _exp(-z))


def _softplus(x: float) -> float:
    return larger(x, 0.0) + math.log1p(_exp(-abs(x)))


def _gelu(x: float, approximate: str) -> float:
    if approximate == "tanh":
        return 0.5 * x * (1.0 + math.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1.0 + math.erf(x / math.sqrt(2.0)))


def _floor(x: float) -> float:
    return float(math.floor(x)) if math.isfinite(x) else x


def _periodic(function: Callable[[float], float]) -> Callable[[float], float]:
    return lambda x: function(x) if math.isfinite(x) else math.nan


def _cast(x: float, dtype: str) -> float:
    match dtype:
        case "float64":
            return x
        case "float32":
            return _rounded(x, "f")
        case "float16":
            return _rounded(x, "e")
        case "bfloat16":
            # The upper half of a float32, rounded to nearest, ties to even.
            bits = int(struct.unpack("<I", struct.pack("<f", _rounded(x, "f")))[0])
            if math.isnan(x):
                return x
            bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
            return float(struct.unpack("<f", struct.pack("<I", bits))[0])
        case "int64":
            return float(math.trunc(x))
        case "bool":
            return float(x != 0.0)
        case _:
            raise OracleError(f"cast to {dtype}")


def _rounded(x: float, code: str) -> float:
    try:
        return float(struct.unpack(f"<{code}", struct.pack(f"<{code}", x))[0])
    except OverflowError:
        return math.copysign(math.inf, x)


@dataclass(frozen=True)
class Function:
    parameters: tuple[str, ...]
    defaults: dict[str, float]
    apply: Callable[..., float]  # of the parameters' values, then of the words
    words: tuple[tuple[str, str | None], ...] = ()  # (name, default)


def _of(apply: Callable[..., float], *parameters: str, **defaults: float) -> Function:
    return Function(parameters or ("x",), defaults, apply)


ELEMENTWISE: dict[str, Function] = {
    "cast": Function(("x",), {}, _cast, (("dtype", None),)),
    "step": _of(_step),
    "relu": _of(lambda x: larger(x, 0.0)),
    "leaky_relu": _of(lambda x, slope: x if x > 0.0 else slope * x, "x", "slope", slope=0.01),
    "sig": _of(_sig, "x", "T", T=1.0),
    "tanh": _of(math.tanh),
    "gelu": Function(("x",), {}, _gelu, (("approximate", "none"),)),
    "silu": _of(lambda x: x * _sig(x, 1.0)),
    "softplus": _of(_softplus),
    "exp": _of(_exp),
    "log": _of(_log),
    "sqrt": _of(_sqrt),
    "abs": _of(abs),
    "sign": _of(_sign),
    "sin": _of(_periodic(math.sin)),
    "cos": _of(_periodic(math.cos)),
    "floor": _of(_floor),
    "clip": _of(lambda x, lo, hi: smaller(larger(x, lo), hi), "x", "lo", "hi"),
    "even": _of(lambda x: float(x % 2 == 0)),
    "odd": _of(lambda x: float(x % 2 == 1)),
    "where": _of(lambda c, a, b: a if c > 0.0 else b, "condition", "a", "b"),
    "select": _of(lambda c, a, b: a if c > 0.0 else b, "condition", "a", "b"),
    "mse": _of(lambda a, b: (a - b) ** 2, "a", "b"),
    "dropout": _of(lambda x, p: x, "x", "p"),  # programs are judged outside training
}


# Along an axis: the line of values (and what goes with it) -> the line of results --------------


def _softmax(line: Sequence[float]) -> list[float]:
    top = line[0]
    for x in line:
        top = larger(top, x)
    weights = [_exp(x - top) for x in line]
    total = sum(weights)
    return [divide(w, total) for w in weights]


def _log_softmax(line: Sequence[float]) -> list[float]:
    top = line[0]
    for x in line:
        top = larger(top, x)
    if not math.isfinite(top):
        return [math.nan for _ in line]
    total = math.log(sum(_exp(x - top) for x in line))
    return [x - top - total for x in line]


def _masked_softmax(line: Sequence[float], mask: Sequence[float]) -> list[float]:
    kept = [x for x, keep in zip(line, mask, strict=True) if keep != 0.0]
    values = iter(_softmax(kept) if kept else [])
    return [next(values) if keep != 0.0 else 0.0 for keep in mask]


def _lnorm(line: Sequence[float], eps: Sequence[float]) -> list[float]:
    mean = sum(line) / len(line)
    variance = sum((x - mean) ** 2 for x in line) / len(line)
    return [(x - mean) / math.sqrt(variance + e) for x, e in zip(line, eps, strict=True)]


def _rmsnorm(line: Sequence[float], eps: Sequence[float]) -> list[float]:
    square = sum(x * x for x in line) / len(line)
    return [x / math.sqrt(square + e) for x, e in zip(line, eps, strict=True)]


def _cumsum(line: Sequence[float]) -> list[float]:
    return [sum(line[: k + 1]) for k in range(len(line))]


def _topk(line: Sequence[float], count: Sequence[float]) -> list[float]:
    order = sorted(range(len(line)), key=lambda k: -line[k])
    kept = set(order[: int(count[0])])
    return [x if k in kept else 0.0 for k, x in enumerate(line)]


def _rope(line: Sequence[float], position: Sequence[float], base: Sequence[float]) -> list[float]:
    """Su et al. 2021, equation 34: the pair (2i, 2i + 1) of n numbers turned by position / base**(2i / n)."""
    if len(line) % 2:
        raise OracleAxisError(f"rope turns pairs, and the axis has {len(line)} positions")
    turned = []
    for k, x in enumerate(line):
        angle = position[k] / base[k] ** (2 * (k // 2) / len(line))
        other = line[k + 1] if k % 2 == 0 else line[k - 1]
        turned.append(x * math.cos(angle) + (-other if k % 2 == 0 else other) * math.sin(angle))
    return turned


def _argmax(line: Sequence[float]) -> float:
    # As in the frameworks, what is not a number is larger than all that are.
    return float(max(range(len(line)), key=lambda k: (math.isnan(line[k]), line[k])))


def _log_sum_exp(line: Sequence[float]) -> float:
    largest = _largest(line)
    if not math.isfinite(largest):
        return largest
    return largest + math.log(math.fsum(math.exp(x - largest) for x in line))


def _largest(line: Sequence[float]) -> float:
    largest = -math.inf
    for x in line:
        largest = larger(largest, x)
    return largest


# name -> (parameters, defaults, lines -> line)
ALONG: dict[str, Function] = {
    "softmax": Function(("x",), {}, _softmax),
    "log_softmax": Function(("x",), {}, _log_softmax),
    "masked_softmax": Function(("x", "mask"), {}, _masked_softmax),
    "lnorm": Function(("x", "eps"), {"eps": 1e-5}, _lnorm),
    "layernorm": Function(("x", "eps"), {"eps": 1e-5}, _lnorm),
    "rmsnorm": Function(("x", "eps"), {"eps": 1e-5}, _rmsnorm),
    "cumsum": Function(("x",), {}, _cumsum),
    "topk": Function(("x", "k"), {}, _topk),
    "rope": Function(("x", "position", "base"), {"base": 10000.0}, _rope),
}

# Functions whose axis leaves; cross_entropy is spelled out in elements.py because of its target.
LEAVES: dict[str, Callable[[Sequence[float]], float]] = {
    "argmax": _argmax,
    "logsumexp": _log_sum_exp,
    "reduce_max": _largest,
    "reduce_mean": lambda line: sum(line) / len(line) if line else 0.0,
}

# Of a tensor as a whole; elements.py lays it out.
TUCKER = Function(("x", "rank", "threshold"), {"rank": 0, "threshold": 0.5}, lambda x, rank, threshold: x)

SHAPED = ("concat", "one_hot", "causal_mask")

FUNCTION_NAMES = frozenset(
    {
        *ELEMENTWISE,
        *ALONG,
        *LEAVES,
        *SHAPED,
        "tucker_dense",
        "cross_entropy",
        "const",
        "sum",
        "max",
        "min",
        "avg",
        "prod",
    }
)


# Numbers and constants --------------------------------------------------------------------------

_NUMBER_FUNCTIONS: dict[str, Callable[[float], float]] = {"sqrt": _sqrt}


def number_of(expression: tree.Expression, constants: Mapping[str, int | float]) -> int | float:
    """The value of a scalar made of numbers and constants; integers stay integers where exact."""
    match expression:
        case tree.Number(value):
            return value
        case tree.Name(name) if name in constants:
            return constants[name]
        case tree.Negate(operand):
            return -number_of(operand, constants)
        case tree.Sum(terms):
            values = [(1 if sign == "+" else -1) * number_of(term, constants) for sign, term in terms]
            return sum(values[1:], values[0])
        case tree.Product(factors):
            result: int | float = 1
            for operator, factor in factors:
                value = number_of(factor, constants)
                if operator == "*":
                    result = result * value
                elif isinstance(result, int) and isinstance(value, int) and value != 0 and result % value == 0:
                    result = result // value
                else:
                    result = divide(float(result), float(value))
            return result
        case tree.Power(base, exponent):
            left, right = number_of(base, constants), number_of(exponent, constants)
            if isinstance(left, int) and isinstance(right, int) and right >= 0:
                return int(left**right)
            return power(float(left), float(right))
        case tree.Application("const", (argument,), ()):
            return number_of(argument, constants)
        case tree.Application(name, (argument,), ()) if name in _NUMBER_FUNCTIONS:
            return _NUMBER_FUNCTIONS[name](float(number_of(argument, constants)))
        case _:
            raise OracleError(f"not a number: {expression}")
