"""Functions that other tensor libraries have and Fuse writes otherwise."""

from __future__ import annotations

__all__ = ["ELSEWHERE", "PRODUCTS"]

_PRODUCT = "a product is written side by side, with its indices: A[i, j] B[j, k]"
_ORDER = "the left-hand side says the order: Y[j, i] = X[i, j]"
_FLAT = "concat flattens the indices that the left-hand side lacks: Y[b, m] = concat(X[b, i, j])"
_JOIN = "write Y[k, j] = concat(A[i, j], B[i, j], axis=k)"
_MEAN = "write avg(j: X[i, j]), or Y[i] avg= X[i, j]"
_VARIANCE = "M[i] avg= X[i, j]; Var[i] avg= (X[i, j] - M[i])**2"

# Nobody gives a relation such a name, so `matmul(A, B)` is no atom either.
PRODUCTS = frozenset(("einsum", "matmul", "mm", "bmm", "tensordot"))

# Name -> the cure of its error.
ELSEWHERE = {
    **dict.fromkeys(sorted(PRODUCTS | {"dot"}), _PRODUCT),
    **dict.fromkeys(("transpose", "permute", "rearrange"), _ORDER),
    **dict.fromkeys(("reshape", "view", "flatten"), _FLAT),
    **dict.fromkeys(("cat", "concatenate", "stack"), _JOIN),
    **dict.fromkeys(("mean", "average"), _MEAN),
    "var": f"write {_VARIANCE}",
    "std": f"write the root of the variance: {_VARIANCE}",
    "ln": "write log(x)",
    "pow": "write x ** y",
    "square": "write x**2",
    "logsumexp": "write log(sum(j: exp(X[i, j])))",
    "norm": "write sqrt(sum(j: X[i, j]**2)); lnorm makes mean 0 and variance 1 along an axis",
    "round": "write floor(x + 0.5)",
    **dict.fromkeys(("mod", "remainder", "fmod"), "write x - n floor(x / n)"),
    "arange": "an index alone is its position: P[i] = i",
}
