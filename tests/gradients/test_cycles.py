"""Gradient programs of recurrences and of numeric fixpoints: against autograd, on every engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fuse_ref import ExecutionConfig, Program, generate_gradient_program
from fuse_torch import FuseModule
from tests.agreement.engines import x64
from tests.gradients.programs import compare

_CONFIG = ExecutionConfig(precision="float64", tol=1e-13, max_iters=5000)

# Program, then of each tensor its letters; `t` and `b` change.
CYCLES = {
    "network": ("H[b, i, t+1] = tanh(W[i, j] H[b, j, t] + V[i, k] X[b, k, t])\nL = H[b, i, t]**2", "W ii,V ik,X bkt"),
    "start": ("H[i, 0] = S[i]\nH[i, t+1] = sig(W[i, j] H[j, t] + X[i, t])\nL = H[i, -1]**2", "W ii,S i,X it"),
    "linear": ("H[t] = A[t] H[t-1] + X[t]\nL = H[t]**2", "A t,X t"),
    "window": ("H[t] = 0.5 H[t-1] - G H[t-3] + X[t]\nL = H[t]**3", "G ,X t"),
    "backward": ("B[t] = 0.5 B[t+1] + X[t]\nB[9] = S\nL = X[t] B[t]**2", "X t,S "),
    "two": ("H[t+1] = tanh(C[t] + X[t])\nC[t+1] = 0.5 C[t] + W H[t]\nL = H[t]**2", "W ,X t"),
    "layers": ("E[b, 0, i] = X[b, i]\nE[b, t+1, i] = gelu(W[t, i, i'] E[b, t, i'])\nL = E[b, -1, i]", "X bi,W tii"),
    "grid": ("D[b, t] = 0.5 D[b-1, t] + C D[b, t-1] + X[b, t]\nL = D[b, t]**2", "C ,X bt"),
    "best path": (
        "V[0, i] max= P[i]\nV[t+1, i'] max= V[t, i] + T[i, i'] + E[i', t]\nL = max(i: V[-1, i])",
        "P i,T ii,E it",
    ),
    "ranks": ("R[i] = 0.2 A[i, j] R[j] + B[i]\nL = R[i]**2", "A ii,B i"),
    "equilibrium": ("Z[b, i] = tanh(0.3 W[i, j] Z[b, j] + X[b, i])\nL = Z[b, i]**2", "W ii,X bi"),
    "shortest paths": ("D[0] = 0\nD[y] min= D[x] + (W[x, y]**2 + 0.1)\nL = D[y]**2", "W bb"),
    "two fixpoints": ("A[i] = sig(M[i, j] B[j])\nB[i] = 0.2 N[i, j] A[j] + C[i]\nL = B[i] A[i]", "M ii,N ii,C i"),
}


@pytest.mark.parametrize(("text", "letters"), CYCLES.values(), ids=CYCLES.keys())
def test_cycles(text: str, letters: str) -> None:
    text += "\nexport L"
    names = [item.split(" ") for item in letters.split(",")]
    program = generate_gradient_program(text, seeds={"L": "1.0"}, export_grads=[name for name, _ in names])
    assert Program(program.format()).digest == program.digest
    # Two sizes; on JAX, which compiles anew for each, one.
    for seed, sizes in enumerate(({"b": 2, "i": 3, "k": 2, "t": 9}, {"b": 4, "i": 2, "k": 1, "t": 10})):
        rng = np.random.default_rng(seed)
        given = {name: rng.uniform(-1, 1, tuple(sizes[letter] for letter in axes)) for name, axes in names}
        leaves = {name: torch.from_numpy(array.copy()).requires_grad_() for name, array in given.items()}
        result = FuseModule(text, config=_CONFIG)(leaves)
        result.backward()
        right = {name: leaf.grad.numpy() for name, leaf in leaves.items() if leaf.grad is not None}
        assert list(right) == list(given)
        compare(program.compile("numpy", config=_CONFIG)(given), right)
        found = program.compile("torch", config=_CONFIG)(given)
        compare({name: tensor.detach().numpy() for name, tensor in found.items()}, right)
        if seed == 1:
            with x64("float64"):
                found = program.compile("jax", config=_CONFIG)(given)
                compare({name: np.asarray(array) for name, array in found.items()}, right)


def test_through_512_steps() -> None:
    text = "H[i, t+1] = tanh(W[i, j] H[j, t] + X[i, t])\nL = H[i, -1]**2\nexport L"
    runner = generate_gradient_program(text, seeds={"L": "1"}, export_grads=["W", "X"]).compile("numpy", config=_CONFIG)
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=(4, 4)) * 0.6, rng.normal(size=(4, 512)) * 0.5
    W, X = torch.tensor(w, requires_grad=True), torch.tensor(x, requires_grad=True)
    state = torch.zeros(4, dtype=torch.float64)
    for step in range(512):
        state = torch.tanh(W @ state + X[:, step])
    (state**2).sum().backward()
    assert W.grad is not None
    assert X.grad is not None
    compare(runner(W=w, X=x), {"W": W.grad.numpy(), "X": X.grad.numpy()})
