"""Every piece of Fuse in docs/language.md is what it says: read, checked, and run on all engines where it runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from fuse_ref import InMemoryWeightStore, Program, RuntimePolicies
from tests.boundaries.sources import ROOT
from tests.support.oracle import run as run_oracle

PAGE = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")

# What a statement needs around it; the same line for each line of a snippet.
AROUND: dict[str, str] = {
    "Y[i] = relu(W[i, j] X[j])": "",
    "P[x/2] max= F[x]": "",
    "Aunt(x, z) <- Sister(x, y), Parent(y, z)": "input Sister(x, y); input Parent(x, y)",
    "Edge[A, B] = 0.8": "",
    "W = [0.2, 1.9]": "",
    "M[i, j] = [[0, 1], [1, 0]]": "",
    'W[i, j] = "w.npy"': "",
    '"out.npz" = Y[i] + 1': "Y[i] = 2 X[i]",
    "Ancestor(Alice, x)?": "Ancestor(Alice, Bob)",
    "Y?": "Y[i] = 2 X[i]",
    "export Y, Z": "Y[i] = 2 X[i]; Z[i] = 3 X[i]",
    "axis d = 64, e = 2 * L": "L = 3; Y[d, e] = X[d] Z[e]",
    "axis x = {Ann, Bob}": "Y[x] = 2 X[x]",
    "L = 4": "Y[i] = L X[i]",
    "M = 2 * L": "L = 4; Y[i] = M X[i]",
    "input X[b, d]": "Y[b] = X[b, d]",
    "input T[b]: int64": "Y[b] = T[b]",
    "input Edge(x, y)": "Degree[x] = Edge(x, y)",
    "param W[o, d] ~ xavier()": "axis o = 3, d = 4; Y[o] = W[o, d] X[d]",
    "fn linear(X[d], W[o, d]) = W[o, d] X[d]": "Y[b, o] = linear(A[b, d], B[o, d])",
    "fn head(Q[p, k], K[q, k]) = softmax(Q[p, k] K[q, k], axis=q)": "Y[b, p, q] = head(A[b, p, k], B[b, q, k])",
    "Y[X[p], d] = Z[p, d]": "input X[p]: int64; axis n = 5; Y[n, d] += 0",
    "P[p, d] = sin(p / 10**d)": "axis p = 5, d = 3",
    "Y[t] = X[t+1] - X[t]": "",
    "F[x] = K[dx] I[x+dx]": "axis dx = 3",
    "axis x = 5": "axis dx = 3; F[x] = K[dx] I[x+dx]",
    "P[x] max= I[2*x+dx]": "axis dx = 3",
    "F[x] = K[dx] I[x+dx] + B[x]": "axis dx = 3",
    "Y[t] = X[t-1]": "",
    "U[x] = P[x/2]": "",
    "R[i] = X[N-1-i]": "N = 6",
    "Y[i] = W[i,j] X[j] + B[i]": "",
    "Y[i] = relu(W[i,j] X[j])": "",
    "K[i,i'] = (X[i,j] X[i',j])**2": "",
    "L = (A[i,j] X[j] - T[i])**2": "",
    "K[i,i'] = exp(-(X[i,j] - X[i',j])**2 / V)": "V = 2",
    "N[i,j] = A[i,j] / A[i,k]": "",
    "D[y] min= Edge(x, y), D[x] + W[x, y]": "input Edge(x, y); D[0] = 0",
    "Mean[x] avg= Parent(x, y) Age[y]": "input Parent(x, y)",
    "D[S] = 0": "S = 1; D[y] min= W[x, y]",
    "Sibling(x, y) <- Parent(p, x), Parent(p, y), x != y": "input Parent(x, y)",
    "Close(x, y) <- Sim[x, y] > 0.5": "",
    "Children[x] = Parent(x, y)": "input Parent(x, y)",
    "Root(x) <- Person(x), not Parent(_, x)": "input Person(x); input Parent(x, y)",
    "Busy(x) <- Person(x), sum(y: Calls(x, y) and Late(y))": "input Person(x); input Calls(x, y); input Late(y)",
    "Agg[n, d] = Neig(n, m) Z[m, d]": "input Neig(n, m)",
    "EmbR[i, j] = R(x, y) Emb[x, i] Emb[y, j]": "input R(x, y)",
    "C[b, j] = concat(A[b, j], B[b, j], axis=j)": "",
    "M[b, p, m] = concat(Attn[b, h, p, v])": "",
    "Y[p, v] = attention(Q[p, k], K[q, k], V[q, v], mask=M[p, q], causal=1, scale=0.125)": "",
    "D[y] min= D[x] + W[x, y] (Edge(x, y) or Edge(y, x))": "input Edge(x, y); D[0] = 0",
    '"y.npy" = W[i, j] X[j]': "",
    "X = const([2, 0, 1])": "Y[i] = 2 X[i]",
    "I[p, q] = X[p] - q": "axis q = 4",
    "input X[p]: int64": "Y[p] = X[p] + 0.5",
    "axis n = 5": "Y[n, d] = X[n] Z[d]",
    "axis d = 64": "Y[d] = X[d]",
    "Y[n, d] += 0": "axis n = 5, d = 3",
    "axis dx = 3": "K[dx] = 1; F[x] = K[dx] X[x+dx]",
    "K[dx] = 1": "axis dx = 3; Y[x] max= X[2*x+dx] K[dx]",
    "Y[x] max= X[2*x+dx]": "axis dx = 3, x = 2",
    "Right avg= (P[b] == T[b])": "",
    "axis i = 3": "U[i] = rmsnorm(V[i/2], axis=i) + E[i+1]",
    "U[i] = rmsnorm(V[i/2], axis=i) + E[i+1]": "axis i = 3; V[0] = 0.7; V[1] = 1.1",
}

# Words of the page that hold an = or an arrow and are no statements.
_WORDS = re.compile(
    r"^[+\w()~/… ]*[<=]?[=-]?$|^\w+=\"?[\w.]*\"?$|^\w+\([^()\[\]]*\)$|…|^import |^[Bx][<\[]\S*-1$|^B\[t\]|^sum\(|^(ExecutionConfig\()?disabled_passes=|^axis nn[.]|^W\[0, j\]"
)


def statements() -> list[str]:
    """The spans of code that are statements, each once."""
    text = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    spans = dict.fromkeys(re.findall(r"`([^`\n]+)`", text))
    signs = re.compile(r"(?<![<>=!])=(?!=)|<-|\?$|^(export|input|param|axis|fn) ")
    return [span for span in spans if signs.search(span) and not _WORDS.search(span)]


def blocks() -> list[str]:
    return re.findall(r"```fuse\n(.*?)```", PAGE, flags=re.DOTALL)


def test_every_statement_of_the_page_is_tried_and_no_other() -> None:
    assert set(statements()) == set(AROUND)


def test_blocks_are_read_and_checked() -> None:
    assert blocks()
    for text in blocks():
        Program("axis i = 3, n = 2, l = 3\n" + text)


def given(program: Program, seed: int) -> dict[str, np.ndarray]:
    """Values for what a program needs: axes without a size get 6 positions, or 3 for the letters of filters."""
    rng = np.random.default_rng(seed)
    values: dict[str, np.ndarray] = {}
    for spec in program.tensors.values():
        if spec.role not in ("input", "free", "param"):
            continue
        shape = tuple(6 if size is None else size for size in spec.shape)
        if spec.boolean:
            values[spec.name] = rng.random(shape) < 0.5
        elif spec.dtype == "int64":
            values[spec.name] = rng.integers(0, 5, shape)
        else:
            values[spec.name] = rng.uniform(0.5, 1.5, shape)
    return values


def whole(statement: str) -> str:
    return f"{AROUND[statement]}\n{statement}\n"


@pytest.mark.parametrize("statement", AROUND, ids=range(len(AROUND)))
def test_a_statement_means_the_same_everywhere(statement: str, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.arange(12.0).reshape(3, 4))
    program = Program(whole(statement), path=tmp_path / "page.fuse")
    assert Program(program.format(), path=tmp_path / "page.fuse").digest == program.digest
    if any(step.unsupported for step in program.plan().steps):
        return  # recurrences and streams: that they are read, checked and planned is all that section 12 claims
    for seed in (0, 1):
        values = given(program, seed)
        expected = run_oracle(program.explicit(), values, folder=tmp_path).exports
        store = InMemoryWeightStore({name: values.pop(name) for name in program.params})
        for backend in ("numpy", "torch", "jax"):
            # float32: whether JAX computes in 64 bits is decided for a whole process.
            runner = program.compile(backend, policies=RuntimePolicies(weight_store=store))
            found = runner(values)
            assert found.keys() == expected.keys()
            for name, array in found.items():
                np.testing.assert_allclose(np.asarray(array), expected[name], rtol=2e-5, atol=1e-5, err_msg=backend)
