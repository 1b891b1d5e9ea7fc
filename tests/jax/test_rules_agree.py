"""Rules of every kind: JAX derives what NumPy derives, by the host in compiled code and as truth values."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import fuse_jax
from fuse_jax import ExecutionConfig, Program

PROGRAMS = {
    "denial": "N(x) <- E(x, _); Root(x) <- N(x), not E(_, x); export Root",
    "self-join": "L(x) <- E(x, x); T(x, y, z) <- E(x, y), E(y, z), E(z, x); C = T(x, y, z); export L, T, C",
    "constants": "A(y) <- E(0, y); B(x) <- E(x, -1); export A, B",
    "comparisons": "S(x, y) <- E(x, y), x < y; D(x, y) <- E(x, y), y - x > 1; M(x, x+1) <- E(x, x+1); export S, D, M",
    "mutual": "Odd(x, y) <- E(x, y); Odd(x, y) <- E(x, z), Even(z, y); Even(x, y) <- E(x, z), Odd(z, y); export Even, Odd",
    "generation": "S(x, y) <- E(x, p), E(y, p); S(x, y) <- E(x, p), S(p, q), E(y, q); export S",
    "or": "U(x, y) <- E(x, y) or E(y, x); V(x) <- U(x, y), not (E(x, y), E(y, x)); export U, V",
    "heads": "axis x = 5; H(x+1, 2) <- E(x, y); G(x/2) <- E(x, y); export H, G",
    "numbers between": (
        "input W[x, y]; C(x, y) <- W[x, y] > 0.5; Q(x, y) <- C(x, y), E(x, y); N[x] = Q(x, y); K(x) <- N[x] > 1; "
        "R(x, y) <- K(x), E(x, y); R(x, z) <- R(x, y), E(y, z); A[x] avg= R(x, y) W[y, x]; export Q, N, K, R, A"
    ),
    "no arguments": "Some() <- E(x, y); Never() <- E(x, x), E(x, y), x != y, not Some(); export Some, Never",
    "three arguments": "P(x, y, z) <- E(x, y), E(y, z); Q(x, z) <- P(x, _, z), not P(z, _, x); K[x, z] = P(x, y, z); export Q, K",
    "read as numbers": "T(x, y) <- E(x, y); T(x, z) <- T(x, y), T(y, z); B[x, y] = T(x, y) + 2 E(x, y); export B",
    "embedding": "input X[x]; R(x, y) <- E(x, y), X[x] + X[y] > 0; Y[x] = softmax(R(x, y) X[y]); Z = R(x, y) X[x] X[y]; export Y, Z",
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_agreement_with_numpy(name) -> None:
    program = Program(f"input E(x, y); {PROGRAMS[name]}")
    on_numpy = program.compile(backend="numpy")
    calls = [
        jax.jit(fuse_jax.compile(program, config=ExecutionConfig(route=route, capacity=capacity)))
        for route, capacity in (("reference", 130), ("native", None))
    ]
    for seed, count in [(0, 7), (1, 16), (2, 0)]:
        rng = np.random.default_rng(seed)
        edges = np.zeros((5, 5), bool)
        edges[tuple(rng.integers(0, 5, (2, count)))] = True
        given = {"E": edges, "W": rng.random((5, 5)).astype(np.float32), "X": rng.normal(size=5).astype(np.float32)}
        given = {name: value for name, value in given.items() if name in program.inputs}
        expected = on_numpy(given)
        for call in calls:
            result = call({}, given)
            for export, value in expected.items():
                np.testing.assert_allclose(np.asarray(result[export]), np.asarray(value), rtol=1e-5, atol=1e-6)
