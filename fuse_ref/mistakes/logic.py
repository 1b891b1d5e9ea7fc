"""Rows of the table of mistakes; see `fuse_ref.mistakes` for the code ranges."""

from __future__ import annotations

from fuse_ref.errors import DivergenceError, GradientError, LimitError
from fuse_ref.mistakes.row import Example, Mistake

__all__ = ["LOGIC_MISTAKES"]

_CLOSURE = 'Program("input Edge(x, y)\\nPath(x, z) <- Edge(x, z)\\nPath(x, z) <- Edge(x, y), Path(y, z), x != z")'
_CHAIN = "(Edge=np.stack([np.arange(300), np.arange(1, 301)], axis=1))"
_LATE = """
from fuse_ref.relations.derive import Limits, derive
from fuse_ref.relations.rules import Atom, Rule, Variable
from fuse_ref.relations.tuples import Tuples
rule = Rule("Path", (Variable("x"),), (Atom("Edge", (Variable("x"),)),), 0, "Path(x) <- Edge(x)")
derive([rule], {"Edge": Tuples([np.arange(9)], (9,))}, {}, {"Path": (9,)}, int, Limits(seconds=0.0))
"""

LOGIC_MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "FUSE262",
        LimitError,
        "rules beyond the memory limit",
        "the relations of a logical step would take {held} bytes, more than memory_limit={limit}: {head}, with {count} "
        "tuples so far, grew by the rule {rule}",
        "give a larger memory_limit, or ask for less with a query in demand mode; the error's .partial has what was "
        "derived until then",
        (
            Example(
                "grew by the rule Path(x, z) <- Edge(x, y), Path(y, z), x != z",
                python=f"{_CLOSURE}.compile(config=ExecutionConfig(memory_limit=200_000)){_CHAIN}",
            ),
        ),
    ),
    Mistake(
        "FUSE263",
        LimitError,
        "rules beyond the time limit",
        "a logical step took {spent:.3g} seconds, more than time_limit={limit}, at the rule {rule}, which derives {head}",
        "give a larger time_limit, or ask for less with a query in demand mode; the error's .partial has what was "
        "derived until then",
        (
            Example(
                "more than time_limit=0.0, at the rule Path(x) <- Edge(x), which derives Path",
                python=_LATE,
            ),
        ),
    ),
    Mistake(
        "FUSE264",
        DivergenceError,
        "a fixpoint that goes on",
        "{name} still changes after max_iters={rounds} rounds; the last largest changes are {history}",
        "make the equations pull together (smaller weights, a factor below 1, a mean of old and new value); else give "
        'a larger max_iters or tol, or on_divergence="last"; the error\'s .residuals has the change of every round',
        (
            Example(
                "R still changes after max_iters=4 rounds; the last largest changes are 0.667, 0.571, 0.533",
                python=(
                    'Program("R[i] = 2 A[i, j] R[j] + 1\\nexport R").compile("numpy", '
                    "config=ExecutionConfig(max_iters=4))(A=[[1.0]])"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE265",
        LimitError,
        "a fixpoint beyond the time limit",
        "{name} still changes after {spent:.3g} seconds, more than time_limit={limit}",
        "give a larger time_limit, or fewer rounds with max_iters; the error's .partial has the last values",
        (
            Example(
                "seconds, more than time_limit=1e-09",
                python=(
                    'Program("R[i] = 2 A[i, j] R[j] + 1\\nexport R").compile("numpy", '
                    "config=ExecutionConfig(time_limit=1e-9))(A=[[1.0]])"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE266",
        GradientError,
        "a fixpoint without a gradient",
        "the gradient of the fixpoint of {name} does not settle within max_iters={rounds} rounds",
        "a fixpoint has a gradient where small changes die away from round to round; else give a larger max_iters",
        (
            Example(
                "the gradient of the fixpoint of R does not settle within max_iters=20 rounds",
                python=(
                    "import torch; from fuse_torch import FuseModule; "
                    'm = FuseModule("R[i] = 2 A[i] R[i] + 1\\nexport R", '
                    'config=ExecutionConfig(max_iters=20, on_divergence="last"))\n'
                    "m(A=torch.ones(1, requires_grad=True)).sum().backward()"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE268",
        DivergenceError,
        "a fixpoint of max= or min= that goes on",
        "{name} still changes after max_iters={rounds} rounds; the last largest changes are {history}",
        'a cycle of negative steps has no shortest path; else give a larger max_iters, or on_divergence="last"',
        (
            Example(
                "D still changes after max_iters=1000 rounds; the last largest changes are 2, 2, 2",
                python=(
                    'Program("input Edge(x, y)\\nD[0] = 0\\nD[y] min= Edge(x, y), D[x] - 1\\nexport D").compile()'
                    "(Edge=[(0, 1), (1, 0)])"
                ),
            ),
        ),
    ),
)
