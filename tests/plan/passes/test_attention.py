"""Softmaxes of products times values: attention over one or several tensors, with every mask exact."""

from __future__ import annotations

import math
import warnings

import jax
import numpy as np
import pytest
import torch

import fuse_jax
from fuse_ref import ExecutionConfig, Program
from fuse_ref.plan.estimates import Estimates
from fuse_ref.plan.passes.attention import why_not
from fuse_ref.plan.passes.framework import Block
from fuse_ref.plan.passes.tracing import Tracer
from fuse_ref.plan.steps import Attention, Contract, Output
from fuse_torch import FuseModule
from tests.plan.passes.agreement import again, agree, draw, operations_of, plans, savings_of
from tests.plan.running import run

PLAIN = "Y[p, v] = softmax(Q[p, k] K[q, k] / sqrt(3), axis=q) V[q, v]\nexport Y"
TENSORS = (
    "D = 4\nS[b, h, p, q] = Q[b, h, p, k] K[b, h, q, k] / sqrt(D)\nA[b, h, p, p'.] = softmax(S[b, h, p, p'])\n"
    "Y[b, p, h, k] = A[b, h, p, q] V[b, h, q, k]\nexport Y"
)
CAUSAL = (
    "A[b, p, q.] = softmax(case { q <= p -> Q[b, p, k] K[b, q, k]; default -> -1e9 })\n"
    "Y[b, p, v] = A[b, p, q] V[b, q, v]\nexport Y"
)
CHOSEN = (
    "A[p, q.] = softmax(case { M[p, q] > 0 -> Q[p, k] K[q, k] / 2; default -> -1e9 })\n"
    "Y[p, v] = A[p, q] V[q, v]\nexport Y"
)
MASKED = "A[b, p, q.] = masked_softmax(Q[b, p, k] K[b, q, k], M[p, q])\nY[b, p, v] = A[b, p, q] V[b, q, v]\nexport Y"
ADDED = "A[p, q.] = softmax(Q[p, k] K[q, k] / 2 + M[p, q])\nY[p, v] = A[p, q] V[q, v]\nexport Y"

CASES = {
    "one equation": (PLAIN, {"Q": (5, 3), "K": (6, 3), "V": (6, 4)}, {"Q": (2, 4), "K": (3, 4), "V": (3, 1)}),
    "three tensors, heads and other letters": (
        TENSORS,
        {"Q": (2, 3, 5, 4), "K": (2, 3, 5, 4), "V": (2, 3, 5, 4)},
        {"Q": (1, 2, 3, 2), "K": (1, 2, 3, 2), "V": (1, 2, 3, 3)},
    ),
    "causal": (
        CAUSAL,
        {"Q": (2, 5, 3), "K": (2, 5, 3), "V": (2, 5, 4)},
        {"Q": (1, 6, 2), "K": (1, 6, 2), "V": (1, 6, 2)},
    ),
    "causal, added": (
        "Y[p, v] = softmax(Q[p, k] K[q, k] + case { q <= p -> 0; default -> -1e9 }, axis=q) V[q, v]\nexport Y",
        {"Q": (5, 3), "K": (5, 3), "V": (5, 4)},
        {"Q": (6, 3), "K": (6, 3), "V": (6, 2)},
    ),
    "masked": (
        MASKED,
        {"Q": (2, 5, 3), "K": (2, 6, 3), "V": (2, 6, 4), "M": (5, 6)},
        {"Q": (3, 4, 2), "K": (3, 3, 2), "V": (3, 3, 1), "M": (4, 3)},
    ),
    "masked by truth values": (
        "input M(p, q)\n" + MASKED.replace("M[p, q]", "M(p, q)"),
        {"Q": (2, 5, 3), "K": (2, 6, 3), "V": (2, 6, 4), "M": (5, 6)},
        {"Q": (3, 4, 2), "K": (3, 3, 2), "V": (3, 3, 1), "M": (4, 3)},
    ),
    "chosen": (
        CHOSEN,
        {"Q": (5, 3), "K": (6, 3), "V": (6, 4), "M": (5, 6)},
        {"Q": (4, 2), "K": (3, 2), "V": (3, 1), "M": (4, 3)},
    ),
    "added": (
        ADDED,
        {"Q": (5, 3), "K": (6, 3), "V": (6, 4), "M": (5, 6)},
        {"Q": (4, 2), "K": (3, 2), "V": (3, 1), "M": (4, 3)},
    ),
    "two masks, scaled and subtracted": (
        "S[b, p, q] = -2 (M[p, q] - Q[b, p, k] K[b, q, k] / 3) + N[b, q]\n"
        "Y[b, p, v] = softmax(S[b, p, q], axis=q) V[b, q, v]\nexport Y",
        {"Q": (2, 4, 3), "K": (2, 5, 3), "V": (2, 5, 2), "M": (4, 5), "N": (2, 5)},
        {"Q": (1, 3, 3), "K": (1, 2, 3), "V": (1, 2, 2), "M": (3, 2), "N": (1, 2)},
    ),
    "several rows, features and columns": (
        "Y[x, b, y, v, w] = softmax(Q[b, x, y, k, l] K[k, b, q, l] + M[y, q], axis=q) V[b, q, w, v]\nexport Y",
        {"Q": (2, 3, 4, 2, 3), "K": (2, 2, 5, 3), "V": (2, 5, 2, 3), "M": (4, 5)},
        {"Q": (1, 2, 3, 2, 1), "K": (2, 1, 4, 1), "V": (1, 4, 1, 2), "M": (3, 4)},
    ),
    "keys that heads share": (
        "Y[b, h, p, v] = softmax(Q[b, h, p, k] K[b, q, k], axis=q) V[b, q, v]\nexport Y",
        {"Q": (2, 3, 4, 3), "K": (2, 5, 3), "V": (2, 5, 2)},
        {"Q": (1, 2, 3, 2), "K": (1, 4, 2), "V": (1, 4, 3)},
    ),
    "values for each head, keys for all": (
        "Y[a, b, h, p] = softmax(Q[b, p, k] K[q, k], axis=q) V[a, h, q]\nexport Y",
        {"Q": (2, 4, 3), "K": (5, 3), "V": (2, 3, 5)},
        {"Q": (3, 2, 2), "K": (3, 2), "V": (1, 2, 3)},
    ),
    "temperatures": (
        "S[b, p, q] = Q[b, p, k] K[b, q, k] / T\nY[b, p, v] = softmax(G[p] S[b, p, q], axis=q) V[b, q, v]\nexport Y",
        {"Q": (2, 4, 3), "K": (2, 5, 3), "V": (2, 5, 2), "T": (), "G": (4,)},
        {"Q": (1, 3, 2), "K": (1, 2, 2), "V": (1, 2, 3), "T": (), "G": (3,)},
    ),
    "the function": (
        "Y[p, v] = attention(Q[p, k], K[q, k], V[q, v], mask=M[p, q])\nexport Y  # masked",
        {"Q": (5, 3), "K": (6, 3), "V": (6, 4), "M": (5, 6)},
        {"Q": (4, 2), "K": (3, 2), "V": (3, 1), "M": (4, 3)},
    ),
    "causal mask": (
        "M[p, q] = causal_mask()\n" + MASKED,
        {"Q": (2, 5, 3), "K": (2, 5, 3), "V": (2, 5, 4)},
        {"Q": (1, 3, 2), "K": (1, 3, 2), "V": (1, 3, 2)},
    ),
    "one row": (
        "Y[b, v] = softmax(Q[k] K[b, q, k], axis=q) V[b, q, v]\nexport Y",
        {"Q": (3,), "K": (2, 5, 3), "V": (2, 5, 2)},
        {"Q": (2,), "K": (3, 4, 2), "V": (3, 4, 1)},
    ),
}


def _drawn(shapes: dict[str, tuple[int, ...]], text: str, seed: int) -> dict[str, np.ndarray]:
    """Masks of programs that compare them have rows that keep nothing."""
    given = draw(shapes, seed)
    if "M" in given and ("masked" in text or "case" in text):
        mask = given["M"] > 0
        mask[0] = False
        given["M"] = mask if "input M" in text else mask.astype(np.float32)
    return given


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_stay(name: str) -> None:
    text, first, second = CASES[name]
    plan, plain = plans(text, "attention")
    assert savings_of(plan, "attention") == ["Y"]
    assert not operations_of(plain, Attention)
    (attention,) = operations_of(plan, Attention)
    assert bool(attention.causal) == name.startswith("causal")
    assert plan.steps[-1].largest <= plain.steps[-1].largest
    agree(text, "attention", _drawn(first, text, 0), tolerance=10)
    again(text, "attention", [_drawn(first, text, 1), _drawn(second, text, 2)], tolerance=10)


@pytest.mark.parametrize("name", [name for name in CASES if "masked" not in CASES[name][0]])
def test_the_plan_says_what_it_means(name: str) -> None:
    """By plain loops over the operations of the plan."""
    text, _, shapes = CASES[name]
    given = {key: array.astype(np.float64) for key, array in _drawn(shapes, text, 3).items()}
    plan, plain = plans(text, "attention")
    np.testing.assert_allclose(run(plan, given)["Y"], run(plain, given)["Y"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("letter", ["b", "p", "q", "k", "v"])
def test_sizes_of_one_and_none(letter: str, size: int) -> None:
    sizes = {"b": 2, "p": 4, "q": 5, "k": 3, "v": 2, letter: size}
    letters = {"Q": "bpk", "K": "bqk", "V": "bqv", "M": "pq"}
    shapes = {name: tuple(sizes[k] for k in axes) for name, axes in letters.items()}
    given = draw(shapes)
    given["M"] = np.ones_like(given["M"])
    again(MASKED, "attention", [given, given], tolerance=10)
    if (letter, size) in (("q", 0), ("k", 0)):
        agree(MASKED, "attention", given, tolerance=10)


@pytest.mark.parametrize("engine", ["numpy", "torch", "jax"])
def test_a_row_that_keeps_nothing(engine: str) -> None:
    """As written: NaN where all scores are -inf, the plain mean where they are -1e9, 0 under masked_softmax."""
    given = draw({"Q": (3, 2), "K": (4, 2), "V": (4, 2), "M": (3, 4)})
    given["M"][:] = 1
    given["M"][1] = 0
    added = given | {"M": np.where(given["M"] > 0, 0, -np.inf).astype(np.float32)}
    mean = np.broadcast_to(given["V"].mean(0), (2,))
    cases = [
        (ADDED, added, np.full(2, np.nan)),
        (CHOSEN.replace("-1e9", "-1/0"), given, np.full(2, np.nan)),
        (CHOSEN, given, mean),
        (MASKED.replace("b, ", ""), given, np.zeros(2)),
    ]
    for text, values, expected in cases:
        for disabled in ((), ("attention",)):
            config = ExecutionConfig(disabled_passes=disabled)
            found = Program(text).compile(engine, config=config)({k: _array(engine, v) for k, v in values.items()})["Y"]
            np.testing.assert_allclose(np.asarray(found)[1], expected, rtol=1e-6)
            assert np.isfinite(np.asarray(found)[[0, 2]]).all()


def _array(engine: str, value: np.ndarray) -> object:
    return torch.tensor(value) if engine == "torch" else value


def test_gradients_of_a_row_that_keeps_nothing_come_from_the_values_alone() -> None:
    given = draw({"Q": (3, 2), "K": (4, 2), "V": (4, 2)})
    for text, whole in ((CHOSEN, 1.0), (MASKED.replace("b, ", ""), 0.0)):
        tensors = {name: torch.tensor(array, requires_grad=True) for name, array in given.items()}
        results = Program(text).compile("torch")(tensors | {"M": torch.zeros(3, 4)})
        results["Y"].sum().backward()
        assert tensors["Q"].grad is not None
        assert tensors["Q"].grad.abs().max() == 0
        assert tensors["K"].grad is not None
        assert tensors["K"].grad.abs().max() == 0
        assert tensors["V"].grad is not None
        torch.testing.assert_close(tensors["V"].grad, torch.full((4, 2), 3 * whole / 4))


REASONS = {
    "Y[p, v] = W[p, q] V[q, v]\nexport Y": "neither operand is a softmax",
    "A[p, q.] = softmax(Q[p, k] K[q, k])\nY[p, v] = A[p, q] V[q, v]\nexport A, Y": "neither operand is a softmax",
    "Y[p, v] = softmax(Q[p, k] K[q, k], axis=p) V[q, v]\nexport Y": "the softmax is not along what the product sums",
    "Y[v] = softmax(Q[p, k] K[q, k], axis=q) V[p, q, v]\nexport Y": "more than the softmax's own axis is summed",
    "Y[p, v] = softmax(S[p, q]) V[q, v]\nexport Y": "the softmax is not along what the product sums",
    "Y[p, v] = softmax(S[p, q], axis=q) V[q, v]\nexport Y": "the scores are given, or read elsewhere too",
    "S[p, q] = Q[p, k] K[q, k]\nY[p, v] = softmax(S[p, q], axis=q) V[q, v]\nexport S, Y": (
        "the scores are given, or read elsewhere too"
    ),
    "Y[p, v] = softmax(relu(Q[p, k] K[q, k]), axis=q) V[q, v]\nexport Y": (
        "the scores are no product of queries and keys"
    ),
    "Y[p, v] = softmax(Q[p, k] K[q, k] T[q], axis=q) V[q, v]\nexport Y": (
        "the scores are multiplied by what the queries lack"
    ),
    "Y[p, v] = softmax(Q[p, k] K[q, k] + B[p, v], axis=q) V[q, v]\nexport Y": "a mask has the values' own index",
}


@pytest.mark.parametrize("text", REASONS)
def test_what_is_no_attention_stays(text: str) -> None:
    plan, plain = plans(text, "attention")
    assert [step.operations for step in plan.steps] == [step.operations for step in plain.steps]
    assert savings_of(plan, "attention") == []
    (step,) = [step for step in plan.steps if step.operations]
    values = {operation.output.out: operation.output for operation in step.operations}
    for shape in plan.shapes:
        labels = tuple(str(k) for k in range(len(shape.lengths)))
        dtype = plan.program.tensor(shape.tensor).dtype
        values.setdefault(shape.tensor, Output(shape.tensor, labels, shape.lengths, dtype))
    kept = frozenset(name for name in plan.program.exports)
    tracer = Tracer(Block(step.operations, kept, values, Estimates({})))
    last = [operation for operation in step.operations if isinstance(operation, Contract)][-1]
    assert why_not(last, tracer) == REASONS[text]


def test_what_the_plan_saves() -> None:
    plan, _ = plans("axis p = 5, q = 7, k = 2, v = 3\n" + PLAIN, "attention")
    (saving,) = [item for item in plan.savings if item.name == "attention"]
    assert (saving.flops, saving.bytes) == (0, 2 * 4 * 5 * 7)
    assert saving.what == "softmax of Q times K, times V, is attention"


def _plain(Q: torch.Tensor, K: torch.Tensor, V: torch.Tensor) -> torch.Tensor:
    scores = (Q @ K.mT).masked_fill(torch.arange(K.shape[-2]) > torch.arange(Q.shape[-2])[:, None], -math.inf)
    return torch.softmax(scores, -1) @ V


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # torch's own forward derivatives
def test_transformations_of_torch() -> None:
    module = FuseModule(CAUSAL)
    Q, K, V = (torch.tensor(array) for array in draw({"Q": (2, 4, 3), "K": (2, 4, 3), "V": (2, 4, 2)}).values())
    close = torch.testing.assert_close

    def of(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = module(Q=query, K=key, V=value)
        return result

    def total(query: torch.Tensor) -> torch.Tensor:
        return (of(query, K, V) ** 2).sum()

    def plain_total(query: torch.Tensor) -> torch.Tensor:
        return (_plain(query, K, V) ** 2).sum()

    many = torch.stack([Q, 2 * Q, -Q])
    close(torch.vmap(lambda query: of(query, K, V))(many), torch.stack([_plain(query, K, V) for query in many]))
    close(torch.func.grad(total)(Q), torch.func.grad(plain_total)(Q))
    # torch says that it has no batching rule for the kernel's backward pass, and calls it for each in turn.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")
        jacobian = torch.func.jacrev(lambda query: of(query, K, V))(Q)
    close(jacobian, torch.func.jacrev(lambda query: _plain(query, K, V))(Q))
    # Second derivatives, and forward ones, exist in torch's own formula of it.
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        close(torch.func.hessian(total)(Q), torch.func.hessian(plain_total)(Q), rtol=1e-4, atol=1e-4)
        close(torch.func.jvp(total, (Q,), (K,))[1], torch.func.jvp(plain_total, (Q,), (K,))[1], rtol=1e-4, atol=1e-4)


def test_open_sizes_compiled_and_exported() -> None:
    module = FuseModule(TENSORS)
    compiled = torch.compile(module, backend="aot_eager", dynamic=True, fullgraph=True)
    dims = {0: torch.export.Dim("b", min=1, max=64), 2: torch.export.Dim("p", min=2, max=64)}
    example = {name: torch.randn(3, 2, 5, 4) for name in ("Q", "K", "V")}
    exported = torch.export.export(module, (), example, dynamic_shapes=dict.fromkeys(example, dims))
    for b, p in ((3, 5), (4, 7), (6, 3)):
        given = {name: torch.randn(b, 2, p, 4) for name in ("Q", "K", "V")}
        expected = (torch.softmax(given["Q"] @ given["K"].mT / 2, -1) @ given["V"]).transpose(1, 2)
        torch.testing.assert_close(compiled(**given), expected)
        torch.testing.assert_close(exported.module()(**given), expected)
    assert "scaled_dot_product_attention" in str(exported.graph)


def test_transformations_of_jax() -> None:
    function = fuse_jax.compile(Program(CAUSAL))
    given = draw({"Q": (2, 4, 3), "K": (2, 4, 3), "V": (2, 4, 2)})

    def of(query: jax.Array) -> jax.Array:
        result: jax.Array = function({}, given | {"Q": query})["Y"]
        return result

    def plain(query: jax.Array) -> np.ndarray:
        return np.asarray(_plain(*(torch.tensor(np.asarray(x)) for x in (query, given["K"], given["V"]))))

    many = np.stack([given["Q"], 2 * given["Q"]])
    np.testing.assert_allclose(jax.vmap(of)(many), np.stack([plain(query) for query in many]), rtol=1e-5, atol=1e-6)
    jacobian, forward = jax.jacrev(of)(given["Q"]), jax.jacfwd(of)(given["Q"])
    np.testing.assert_allclose(jacobian, forward, rtol=1e-4, atol=1e-5)
