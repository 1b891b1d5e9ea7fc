"""The workloads in NumPy as a careful person writes them: BLAS, in place, in the best order."""

from __future__ import annotations

import numpy as np

__all__ = ["attention", "block", "chain", "convolution", "cp", "cp_fit", "gram", "kernel_machine", "mlp", "tucker"]

Array = np.ndarray


def _softmax(x: Array) -> Array:
    x -= x.max(axis=-1, keepdims=True)
    np.exp(x, out=x)
    x /= x.sum(axis=-1, keepdims=True)
    return x


def _normalise(x: Array) -> Array:
    x -= x.mean(axis=-1, keepdims=True)
    variance = np.square(x).mean(axis=-1, keepdims=True)
    variance += np.float32(1e-5)
    x /= np.sqrt(variance, out=variance)
    return x


def attention(Q: Array, K: Array, V: Array) -> Array:
    scores = Q @ K.T
    scores *= np.float32(0.125)
    return _softmax(scores) @ V


def block(X: Array, WQ: Array, WK: Array, WV: Array, WO: Array, W1: Array, B1: Array, W2: Array, B2: Array) -> Array:
    b, p, d = X.shape
    h, k, _ = WQ.shape
    rows = X.reshape(b * p, d)

    def heads(W: Array) -> Array:
        return (rows @ W.reshape(h * k, d).T).reshape(b, p, h, k).transpose(0, 2, 1, 3)

    query = heads(WQ)
    query *= np.float32(0.125)
    mixed = _softmax(query @ heads(WK).transpose(0, 1, 3, 2)) @ heads(WV)
    middle = mixed.transpose(0, 2, 1, 3).reshape(b * p, h * k) @ WO.reshape(d, h * k).T
    middle += rows
    middle = _normalise(middle)
    hidden = middle @ W1.T
    hidden += B1
    np.maximum(hidden, 0, out=hidden)
    result = hidden @ W2.T
    result += B2
    result += middle
    return _normalise(result).reshape(b, p, d)


def tucker(M: Array, N: Array, O: Array, C: Array) -> Array:  # noqa: E741
    p, q, r = C.shape
    first = (M @ C.reshape(p, q * r)).reshape(-1, q, r)
    return np.matmul(np.matmul(N, first), O.T)


def cp(M: Array, N: Array, O: Array) -> Array:  # noqa: E741
    pairs = M[:, None, :] * N[None, :, :]
    return (pairs.reshape(-1, pairs.shape[2]) @ O.T).reshape(len(M), len(N), len(O))


def cp_fit(T: Array, M: Array, N: Array, O: Array) -> Array:  # noqa: E741
    i, j, k = T.shape
    first = (T.reshape(i * j, k) @ O).reshape(i, j, -1)
    first *= N
    second = first.sum(axis=1)
    second *= M
    return second.sum(axis=0)


def chain(A: Array, B: Array, C: Array, D: Array, E: Array, F: Array) -> Array:
    # The cheapest order: everything passes through the two narrow places, b = 20 and f = 10.
    return (A @ ((B @ C) @ (D @ E))) @ F


def convolution(Image: Array, Filter: Array) -> Array:
    b, c, height, width = Image.shape
    o, _, dx, dy = Filter.shape
    x, y = height - dx + 1, width - dy + 1
    windows = np.lib.stride_tricks.sliding_window_view(Image, (dx, dy), axis=(2, 3))
    columns = windows.transpose(0, 1, 4, 5, 2, 3).reshape(b, c * dx * dy, x * y)
    return np.matmul(Filter.reshape(o, -1), columns).reshape(b, o, x, y)


def _gaussian(Q: Array, X: Array, scale: float) -> Array:
    # exp(-|q - x|² / s) = exp((2 q·x - |q|² - |x|²) / s)
    kernel = Q @ (X.T * np.float32(2 / scale))
    kernel -= np.square(Q).sum(axis=1)[:, None] / np.float32(scale)
    kernel -= np.square(X).sum(axis=1) / np.float32(scale)
    return np.exp(kernel, out=kernel)


def gram(X: Array) -> Array:
    return _gaussian(X, X, 64.0)


def kernel_machine(Q: Array, X: Array, A: Array, T: Array, Bias: Array) -> Array:
    scores = _gaussian(Q, X, 64.0) @ (A * T)
    scores += Bias
    return 1 / (1 + np.exp(-scores))


def mlp(X: Array, W1: Array, B1: Array, W2: Array, B2: Array) -> Array:
    hidden = X @ W1.T
    hidden += B1
    np.maximum(hidden, 0, out=hidden)
    result = hidden @ W2.T
    result += B2
    return result
