"""Dependencies, cycles and what kind of cycle they are."""

from __future__ import annotations

import random

import pytest

from fuse_ref.analysis.dependencies import find_dependencies
from fuse_ref.analysis.graph import groups
from fuse_ref.analysis.recurrence import Cycle, classify
from tests.analysis.reading import program_of


def _cycles(text: str) -> dict[tuple[str, ...], Cycle]:
    program = program_of(text)
    dependencies = find_dependencies(program)
    return {g.tensors: classify(program, dependencies, g) for g in dependencies.groups if g.cyclic}


def _only(text: str) -> Cycle:
    (cycle,) = _cycles(text).values()
    return cycle


def _reaches(graph: dict[int, list[int]], start: int) -> set[int]:
    seen: set[int] = set()
    waiting = list(graph[start])
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting.extend(graph[node])
    return seen


@pytest.mark.parametrize("seed", range(30))
def test_groups_are_what_reaches_each_other(seed: int) -> None:
    choose = random.Random(seed)
    count = choose.randint(1, 9)
    graph = {i: [choose.randrange(count) for _ in range(choose.randint(0, 2))] for i in range(count)}
    found = groups(range(count), graph)
    reach = {i: _reaches(graph, i) for i in range(count)}
    for members in found:
        assert list(members) == sorted(members)
        for a in members:
            assert {b for b in range(count) if b == a or (b in reach[a] and a in reach[b])} == set(members)
    place = {node: k for k, members in enumerate(found) for node in members}
    assert len(place) == count
    for node, needed in graph.items():
        assert all(place[other] <= place[node] for other in needed)


def test_a_chain_of_ten_thousand_needs_no_recursion() -> None:
    graph = {i: [i + 1] for i in range(10_000)}
    assert groups(range(10_001), graph)[0] == (10_000,)


def test_independent_tensors_keep_the_order_of_the_text() -> None:
    program = program_of("C = A[i] A[i]\nB = A[i] 2\nD = B + E\nE = C\nexport D")
    found = find_dependencies(program)
    assert [group.tensors for group in found.groups] == [("C",), ("B",), ("E",), ("D",)]
    assert found.readers["A"] == (0, 1)
    assert found.definitions["D"] == (2,)
    assert found.group_of("E") is not None
    assert found.group_of("A") is None


def test_a_gather_needs_its_index() -> None:
    program = program_of("input N[p]: int64\nX[p] = N[p] + 1\nY[p, d] = E[X[p], d]")
    assert find_dependencies(program).groups[-1].needs == ("E", "X")


# Recurrences --------------------------------------------------------------------------------------

_RECURRENCES = [
    ("X[0] = A\nX[t+1] = 0.5 X[t]", [("forward", 1)]),
    ("X[t] = X[t-1] + U[t]", [("forward", 1)]),
    ("X[t+1] = X[t] + X[t-2]", [("forward", 3)]),
    ("B[t] = B[t+1] + U[t]\naxis t = 4", [("backward", 1)]),
    ("B[9] = 1\nB[t] = B[t+2] + U[t]", [("backward", 2)]),
    ("D[i, j] = D[i-1, j] + D[i, j-1] + C[i, j]", [("forward", 1), ("forward", 1)]),
    ("D[i, j] = D[i-1, j+1] + C[i, j]", [("forward", 1)]),
    ("D[i, j] min= D[i-1, j-1] + C[i, j]", [("forward", 1)]),
    ("Q[b] = W[b] S[b]\nS[b+1] = Q[b]\nS[0] = A", [("forward", 1)]),
    ("V[0, s] max= P[s]\nV[t+1, s'] max= V[t, s] T[s, s'] E[s', t+1]", [("forward", 1)]),
    ("A[k, t+1] = B[t, k]\nB[t, k] = A[k, t] + U[k]", [("forward", 1)]),
    ("X[t+1] = X[t] + X[0]", [("forward", 1)]),
    ("H[i, *t+1] = W[i, j] H[j, *t]", [("forward", 1)]),
    ("H[*t+1] = G[*t]\nG[*t] = H[*t] + H[*t-3]", [("forward", 3)]),
    ("Alive(x, t+1) <- Alive(x, t), not Dead(x, t)\nDead(x, t) <- Alive(x, t), Old(x, t)", [("forward", 1)]),
]


@pytest.mark.parametrize(("text", "along"), _RECURRENCES)
def test_recurrences(text: str, along: list[tuple[str, int]]) -> None:
    cycle = _only(text)
    assert cycle.kind == "recurrence"
    found = [(item.direction, item.reach) for item in cycle.along]
    assert [direction for direction, _ in found] == [direction for direction, _ in along]
    assert found[0][1] == along[0][1]
    assert cycle.virtual == ("*t" in text)


def test_each_tensor_of_a_group_has_its_own_position() -> None:
    cycle = _only("A[k, t+1] = B[t, k]\nB[t, k] = A[k, t] + U[k]")
    assert dict(cycle.along[0].positions) == {"A": 1, "B": 0}


def test_a_grid_moves_along_both_axes() -> None:
    cycle = _only("D[i, j] = D[i-1, j] + D[i, j-1] + C[i, j]")
    assert [dict(item.positions) for item in cycle.along] == [{"D": 0}, {"D": 1}]
    assert cycle.reason == "forward along i, then forward along j"


def test_reasons_name_axis_and_window() -> None:
    assert _only("H[*t+1] = H[*t] + H[*t-3]").reason == "forward along *t, window 4"


_NO_RECURRENCES = [
    ("R[i] = 0.85 M[i, j] R[j] + 0.15", "numeric"),  # PageRank
    ("X[t+1] = X[t]\nX[t] = X[t+1]", "numeric"),  # both directions
    ("X[t] = 0.5 X[t] + U[t]", "numeric"),  # no step
    ("X[t+1] = sum(t: X[t])\nX[0] = A", "numeric"),  # another t
    ("X[2*t] = X[t]", "numeric"),
    ("D[y] min= D[x] + W[x, y]\nD[0] = 0", "numeric"),
    ("D[i, j] = D[i-1, j] + D[i+1, j]", "numeric"),
    ("Y[t] = sum(s: W[t, s] Y[s])", "numeric"),
    ("Reach(x, z) <- Edge(x, z)\nReach(x, z) <- Reach(x, y), Edge(y, z)", "logical"),
    ("Even(x) <- Zero(x)\nEven(y) <- Odd(x), Next(x, y)\nOdd(y) <- Even(x), Next(x, y)", "logical"),
    ("S(x) <- S(y), E[x, y] > 0.5\nS(x) <- P(x)", "logical"),
    ("S(x) <- T[x] > 0.5\nT[x] = W[x, y] S(y)", "numeric"),  # Boolean and numeric together
]


@pytest.mark.parametrize(("text", "kind"), _NO_RECURRENCES)
def test_fixpoints(text: str, kind: str) -> None:
    cycle = _only(text)
    assert cycle.kind == kind
    assert cycle.along == ()
    assert "needs" in cycle.reason or "need themselves" in cycle.reason


def test_a_long_group_is_one_recurrence() -> None:
    lines = [f"T{k}[t] = T{k - 1}[t] + 1" for k in range(1, 400)]
    cycle = _only("\n".join(["T0[t+1] = T399[t]", "T0[0] = A", *lines]))
    assert cycle.kind == "recurrence"
    assert len(cycle.along[0].positions) == 400


# The programs that must run -----------------------------------------------------------------------

_PROGRAMS = {
    "paper_datalog": {("Ancestor",): "logical"},
    "paper_gnn": {("Emb", "Z", "Agg"): "recurrence"},
    "paper_loss": {("X",): "recurrence"},
    "paper_mlp": {("X",): "recurrence"},
    "paper_rnn": {("X",): "stream"},
    "dialect_logic": {("Reach",): "logical", ("State",): "stream"},
}
_TEXTS = {
    "paper_datalog": "Ancestor(x, y) <- Parent(x, y)\nAncestor(x, z) <- Ancestor(x, y), Parent(y, z)",
    "paper_gnn": (
        "L = 2\nEmb[n, 0, d] = X[n, d]\nZ[n, l, d'] = relu(WP[l, d', d] Emb[n, l, d])\n"
        "Agg[n, l, d] = Neig(n, n') Z[n', l, d]\n"
        "Emb[n, l+1, d'] = relu(WAgg[d', d] Agg[n, l, d] + WSelf[d', d] Emb[n, l, d])\n"
        "Node[n] = sig(WOut[d] Emb[n, L, d])"
    ),
    "paper_loss": "X[e, 0, k] = Data[e, k]\nX[e, i+1, j] = sig(W[i+1, j, k] X[e, i, k])",
    "paper_mlp": "X[0, k] = Input[k]\nX[i+1, j] = sig(W[i+1, j, k] X[i, k])",
    "paper_rnn": "X[i, *t+1] = sig(W[i, j] X[j, *t] + V[i, j] U[j, t])",
    "dialect_logic": (
        "Reach(x, z) = Edge(x, z)\nReach(x, z) = Reach(x, y) Edge(y, z)\n"
        "State[i, *t+1] = relu(EmbR[i, j] State[j, *t] + Emb[0, i])"
    ),
}


@pytest.mark.parametrize("name", sorted(_PROGRAMS))
def test_cycles_of_the_programs_that_must_run(name: str) -> None:
    found = {tensors: "stream" if cycle.virtual else cycle.kind for tensors, cycle in _cycles(_TEXTS[name]).items()}
    assert found == _PROGRAMS[name]


def test_the_transformer_is_one_recurrence_over_its_blocks() -> None:
    text = (
        "Stream[0, p, d] = EmbX[p, d]\n"
        "Query[b, h, p, dk] = WQ[b, h, dk, d] Stream[b, p, d]\n"
        "Comp[b, h, p, p'.] = softmax(Query[b, h, p, dk] Query[b, h, p', dk])\n"
        "Attn[b, h, p, dk] = Comp[b, h, p, p'] Query[b, h, p', dk]\n"
        "Merge[b, p, dm] = concat(Attn[b, h, p, dk])\n"
        "Mid[b, p, d.] = lnorm(WS[b, d, dm] Merge[b, p, dm] + Stream[b, p, d])\n"
        "Stream[b+1, p, d.] = lnorm(Mid[b, p, d])\n"
    )
    cycle = _only(text)
    assert cycle.kind == "recurrence"
    assert all(position == 0 for _, position in cycle.along[0].positions)
    assert len(cycle.along[0].positions) == 6
