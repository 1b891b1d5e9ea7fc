"""How random programs call each function of the catalogue: arguments kept where the function is well-conditioned."""

from __future__ import annotations

from fuse_ref.ir.operations import CATALOGUE, Operation

__all__ = ["ALONG", "ELEMENTWISE", "LEAVING", "SHAPED", "unknown"]

# Calls of one or two values, by function. "{}" are any values; positions and classes come from what is read.
_SPECIAL: dict[str, tuple[str, ...]] = {
    "cast": tuple(f"cast({{}}, {word})" for word in ("float16", "bfloat16", "int64", "bool", "float32", "float64")),
    "leaky_relu": ("leaky_relu({})", "leaky_relu({}, 0.3)"),
    "sig": ("sig({})", "sig({}, T=0.5)", "sig({}, 0)", "sig({}, 1 + abs({}))"),
    "gelu": ("gelu({})", 'gelu({}, approximate="tanh")'),
    "softplus": ("softplus({})",),
    "exp": ("exp(-abs({}))", "exp(tanh({}))"),
    "log": ("log(0.2 + abs({}))",),
    "sqrt": ("sqrt(0.1 + abs({}))", "sqrt(0.2 + {}**2)"),
    "sin": ("sin({})",),
    "floor": ("floor({})", "floor(3 {})"),
    "clip": ("clip({}, -0.5, 0.7)", "clip({}, -1, 1 + abs({}))"),
    "max": ("max({}, 0.3)", "max({}, {})"),
    "min": ("min({}, {})", "min({}, {}, -0.2)"),
    "even": ("even({l})", "even({l}) {}"),
    "odd": ("odd({l})", "odd({l} + 1) {}"),
    "where": ("where({t}, {}, {})", "select({t}, {}, 0.5)"),
    "dropout": ("dropout({}, 0)",),
    "rope": (),  # see SHAPED
}

# Along the axis {a}, whose letter stands in the argument; "{}" is any value.
_ALONG: dict[str, tuple[str, ...]] = {
    "softmax": (
        "softmax({} + {a} / 3, axis={a})",
        "softmax({} ({a} - 1), axis={a})",
        "softmax(100 {} + {a}, axis={a})",
    ),
    "log_softmax": ("log_softmax({} + {a} / 3, axis={a})", "log_softmax({} W[2*{a}], axis={a})"),
    "lnorm": ("lnorm({} + {a} / 3, axis={a})", "lnorm({} + V[4-{a}], eps=0.1, axis={a})"),
    "masked_softmax": ("masked_softmax({} + {a} / 3, {t}, axis={a})", "masked_softmax({} + {a}, {a} < 2, axis={a})"),
    "rmsnorm": ("rmsnorm({} + 1 + {a} / 3, axis={a})", "rmsnorm({} + {a}, eps=0.1, axis={a})"),
    "cumsum": ("cumsum({} + {a} / 3, axis={a})",),
    "topk": ("topk({} + {a} / 3, 1, axis={a})", "topk(sin({}) + {a} / 7, 2, axis={a})"),
}

# The axis {a} leaves.
_LEAVING: dict[str, tuple[str, ...]] = {
    "cross_entropy": (
        "cross_entropy({} + {a} / 3, softmax(W[{a}+1] + {a}, axis={a}), axis={a})",
        "cross_entropy({} + {a} / 3, N[j], axis={a})",
    ),
    "argmax": ("argmax({} + {a} / 7, axis={a})",),
}

# Right-hand sides that only stand alone: (indices of the left-hand side, text).
_SHAPED: dict[str, tuple[tuple[str, str], ...]] = {
    "concat": (
        ("i, h", "concat(A[i, j], A[i, j'], axis=h)"),
        ("k, h", "concat(E[k, i], B[j, k], axis=h)"),
        ("i, h", "concat(T[i, j, k], axis=h)"),
        ("h", "concat(C[i], D[k], D[k], axis=h)"),
    ),
    "one_hot": (("j, c", "one_hot(N[j], 3, axis=c)"), ("j, c", "one_hot(N[j], 2, axis=c) C[i]")),
    "causal_mask": (("p, q", "causal_mask(3)"), ("p, q", "causal_mask(4) C[i]")),
    "rope": (("k, c", "rope(Z[k, c], k)"), ("i, k, c", "rope(Z[k, c] C[i], 2 k + C[i], base=50)")),
    "tucker_dense": (("i, j", "tucker_dense(A[i, j], 1, 0.3)"), ("i, j, k", "tucker_dense(T[i, j, k])")),
}


def _generic(row: Operation) -> tuple[str, ...]:
    """A call for a function that is not named above: each argument drawn within its domain."""
    low, high = row.domain
    plainly = (low, high) == (-2.0, 2.0)
    holes = ["{}" if plainly else f"{low} + {high - low} sig({{}})"] + ["{}"] * (
        len([a for a in row.arguments if a.default is None]) - 1
    )
    return (f"{row.name}({', '.join(holes)})",)


ELEMENTWISE: dict[str, tuple[str, ...]] = {
    name: _SPECIAL.get(name) or _generic(row)
    for name, row in CATALOGUE.items()
    if row.kind == "elementwise" and name not in _SHAPED
}
ALONG: dict[str, tuple[str, ...]] = {
    name: _ALONG.get(name) or (f"{name}({{}} + {{a}} / 3, axis={{a}})",)
    for name, row in CATALOGUE.items()
    if row.kind == "along_axis" and name not in _SHAPED
}
LEAVING: dict[str, tuple[str, ...]] = {
    name: _LEAVING.get(name) or (f"{name}({{}} + {{a}} / 3, axis={{a}})",)
    for name, row in CATALOGUE.items()
    if row.kind == "reduce_axis"
}
SHAPED: dict[str, tuple[tuple[str, str], ...]] = {name: calls for name, calls in _SHAPED.items() if name in CATALOGUE}


def unknown() -> set[str]:
    """Functions of the catalogue that no random program calls."""
    return set(CATALOGUE) - ELEMENTWISE.keys() - ALONG.keys() - LEAVING.keys() - SHAPED.keys()
