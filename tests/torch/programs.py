"""Programs and hand-written torch that several tests use."""

from __future__ import annotations

import torch

__all__ = ["DENSE", "LOSS", "SQUARE", "by_hand"]

# A dense layer with a bias.
DENSE = """\
axis d = 4, o = 3
input X[b, d]
param W[o, d] ~ xavier()
param B[o] ~ normal(0, 1)
Y[b, o] = relu(W[o, d] X[b, d] + B[o])
"""

# The same shape in and out, so that layers can be stacked.
SQUARE = """\
axis d = 4, e = 4
input X[b, d]
param W[e, d]
Y[b, e] = tanh(W[e, d] X[b, d])
"""

# A loss over classes, with a hidden layer.
LOSS = """\
axis d = 4, h = 8, c = 3
input X[b, d]
input T[b]: int64
param W1[h, d]
param W2[c, h]
H[b, h] = tanh(W1[h, d] X[b, d])
Z[b, c] = W2[c, h] H[b, h]
Loss = cross_entropy(Z[b, c], T[b], axis=c)
export Loss
"""


def by_hand(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What `DENSE` computes, written in torch."""
    return torch.relu(x @ module.W.T + module.B)
