"""RNN, LSTM, GRU and a linear state space as programs: equal to torch.nn with its weights, and to SciPy, on every engine."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from scipy import signal

from fuse_ref import Program
from tests.support.recurrence_programs import numbers

RNN = "H[b, t, h] = tanh(Wi[h, d] X[b, t, d] + Bi[h] + Wh[h, k] H[b, t-1, k] + Bh[h])\nexport H"
LSTM = """
I[b, t, h] = sig(Wi0[h, d] X[b, t, d] + Bi0[h] + Wh0[h, k] H[b, t-1, k] + Bh0[h])
F[b, t, h] = sig(Wi1[h, d] X[b, t, d] + Bi1[h] + Wh1[h, k] H[b, t-1, k] + Bh1[h])
G[b, t, h] = tanh(Wi2[h, d] X[b, t, d] + Bi2[h] + Wh2[h, k] H[b, t-1, k] + Bh2[h])
O[b, t, h] = sig(Wi3[h, d] X[b, t, d] + Bi3[h] + Wh3[h, k] H[b, t-1, k] + Bh3[h])
C[b, t, h] = F[b, t, h] C[b, t-1, h] + I[b, t, h] G[b, t, h]
H[b, t, h] = O[b, t, h] tanh(C[b, t, h])
export H
"""
GRU = """
R[b, t, h] = sig(Wi0[h, d] X[b, t, d] + Bi0[h] + Wh0[h, k] H[b, t-1, k] + Bh0[h])
Z[b, t, h] = sig(Wi1[h, d] X[b, t, d] + Bi1[h] + Wh1[h, k] H[b, t-1, k] + Bh1[h])
N[b, t, h] = tanh(Wi2[h, d] X[b, t, d] + Bi2[h] + R[b, t, h] (Wh2[h, k] H[b, t-1, k] + Bh2[h]))
H[b, t, h] = (1 - Z[b, t, h]) N[b, t, h] + Z[b, t, h] H[b, t-1, h]
export H
"""
LAYERS = {"rnn": (RNN, torch.nn.RNN, 1), "lstm": (LSTM, torch.nn.LSTM, 4), "gru": (GRU, torch.nn.GRU, 3)}


def _weights(layer: torch.nn.RNNBase, gates: int) -> dict[str, np.ndarray]:
    """torch's weights of all gates stand one above the other."""
    found: dict[str, np.ndarray] = {}
    for name, own in (("weight_ih_l0", "Wi"), ("weight_hh_l0", "Wh"), ("bias_ih_l0", "Bi"), ("bias_hh_l0", "Bh")):
        whole = getattr(layer, name).detach().numpy()
        for gate, part in enumerate(np.split(whole, gates)):
            found[own if gates == 1 else f"{own}{gate}"] = part
    return found


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_torch(name: str, backend: str) -> None:
    text, kind, gates = LAYERS[name]
    torch.manual_seed(0)
    layer = kind(3, 4, batch_first=True)
    runner = Program(text).compile(backend)  # type: ignore[arg-type]
    for batch, length in ((2, 10), (1, 12)):
        x = torch.randn(batch, length, 3)
        given: Mapping[str, np.ndarray] = {"X": x.numpy(), **_weights(layer, gates)}
        found = np.asarray(runner(given)["H"])
        np.testing.assert_allclose(found, layer(x)[0].detach().numpy(), 1e-5, 1e-5)


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_a_linear_state_space_as_scipy_filters(backend: str) -> None:
    program = Program("S[t, n] = A[n, m] S[t-1, m] + B[n, d] X[t, d]\nY[t, d] = C[d, n] S[t, n]\nexport Y")
    runner = program.compile(backend)  # type: ignore[arg-type]
    for seed, length in ((0, 9), (1, 20)):
        draw = numbers(seed)
        a, b, c, x = draw(3, 3), draw(3, 2), draw(2, 3), draw(length, 2)
        _, wanted, _ = signal.dlsim((a, b, c @ a, c @ b, 1), x)
        found = np.asarray(runner(A=a, B=b, C=c, X=x)["Y"])
        np.testing.assert_allclose(found, wanted, 1e-4, 1e-4)
