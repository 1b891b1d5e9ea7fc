"""Programs with rules for the tests of torch: what they share."""

from __future__ import annotations

import numpy as np
import torch

from fuse_torch import Facts

__all__ = ["LAYER", "MIXED", "PAIRS", "edges", "facts"]

# Dense, logical, dense: a threshold chooses nodes, rules find what they reach, features of those are added.
MIXED = """\
axis d = 3
input X[n, d]
input Edge(x, y)
param W[d] ~ normal(0, 1)
S[n] = sig(W[d] X[n, d])
Good(n) <- S[n] > 0.5
Path(x, y) <- Edge(x, y)
Path(x, z) <- Path(x, y), Edge(y, z)
Both(x, y) <- Path(x, y), Good(x)
Agg[n, d] = Both(n, m) X[m, d] S[n]
Out[d] = sum(n: tanh(Agg[n, d]))
export Out
"""

# A layer whose output may go into another one.
LAYER = """\
axis d = 3, e = 3
input X[n, d]
input Edge(x, y)
param W[d, e] ~ normal(0, 1)
S[n] = sum(d: X[n, d])
Near(x, y) <- Edge(x, y), S[x] > -100
Near(x, z) <- Near(x, y), Edge(y, z)
Agg[n, d] = Near(n, m) X[m, d]
Out[n, e] = relu(Agg[n, d] W[d, e] + X[n, e])
export Out
"""

PAIRS = [(0, 1), (1, 2), (3, 4)]


def edges(count: int, nodes: int, seed: int) -> np.ndarray:
    """(count, 2) positions; some may stand twice."""
    return np.random.default_rng(seed).integers(0, nodes, (count, 2))


def facts(count: int, nodes: int, seed: int = 0) -> Facts:
    return Facts(torch.from_numpy(edges(count, nodes, seed)))
