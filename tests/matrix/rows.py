"""The rows of the support matrix: features, and every operator, index form and function of the language."""

from __future__ import annotations

import typing
from collections.abc import Iterator

from fuse_ref import Program
from fuse_ref.ir import nodes
from fuse_ref.ir.operations import CATALOGUE
from tests.agreement.triples import form_of, parts

__all__ = ["ENGINES", "SECTIONS", "rows_of"]

ENGINES = ("NumPy", "torch eager", 'torch "fuse"', "JAX")

_FEATURES = (
    "core execution",
    "gradients",
    "streaming and rolling indices",
    "Boolean Datalog",
    'Boolean Datalog, logic="dense"',
    "queries and explanations",
    "relation × dense",
    "max= and min= cycles over relations",
    "Monte Carlo projection",
    "temperatures and schedules",
    "demand mode",
    "fixpoint mode, rules",
    "fixpoint mode, numbers",
    "memory-mapped sources",
    "weights policies: stores, manifests, folders, strict_mmap",
    "weights policies: sharding, quantization, LoRA",
    "device selection",
    "graph tooling",
    "export",
)
_DTYPES = ("float32", "float64", "bfloat16", "float16", "int64", "bool")
_FORMS = (
    "plain",
    "constant",
    "from the end",
    "symbol",
    "ahead",
    "behind",
    "stride",
    "negative coefficient",
    "several variables",
    "quotient",
    "slice",
    "gather",
    "virtual",
)
_EXPRESSIONS = {
    "comparison": (nodes.Compare,),
    "and, or, not": (nodes.And, nodes.Or, nodes.Not),
    "case": (nodes.Case,),
    "power": (nodes.Power,),
    "position as a value": (nodes.Position,),
    "literal": (nodes.ArrayLiteral,),
    "file source": (nodes.FileContent,),
}

# Section -> its rows, in the order of the page.
SECTIONS: dict[str, tuple[str, ...]] = {
    "Features": _FEATURES,
    "Types": _DTYPES,
    "Operators of equations": tuple(
        "`=`, `+=`" if operator == "=" else f"`{operator}`" for operator in typing.get_args(nodes.Operator)
    ),
    "Explicit projections": tuple(f"`{operator}(j: …)`" for operator in ("sum", "max", "min", "avg", "prod")),
    "Several equations and base cases": ("several equations for one tensor", "facts and literals as base cases"),
    "Expressions": tuple(_EXPRESSIONS),
    "Index forms, read": tuple(f"reads {form}" for form in _FORMS),
    "Index forms, written": tuple(f"writes {form}" for form in _FORMS if form != "from the end"),
    "Functions": tuple(f"`{name}`" for name in CATALOGUE),
}


def rows_of(program: Program) -> set[str]:
    """The rows that a program shows when an engine computes it rightly; those of types aside from the run's own."""
    ir = program.ir
    found = {"core execution"}
    targets: list[str] = []
    for equation in ir.equations:
        targets.append(equation.target.tensor)
        found.add("`=`, `+=`" if equation.operator == "=" else f"`{equation.operator}`")
        found |= {f"writes {form_of(index)}" for index in equation.target.indices}
        found |= set(_body_rows(equation.body))
    tensors = {tensor.name: tensor for tensor in ir.tensors}
    repeated = {name for name in targets if targets.count(name) > 1}
    if repeated:
        found.add("several equations for one tensor")
    if any(equation.kind != "equation" and equation.target.tensor in repeated for equation in ir.equations):
        found.add("facts and literals as base cases")
    found |= {tensor.dtype for tensor in tensors.values() if tensor.dtype in ("int64", "bool")}
    return found


def _body_rows(body: nodes.Expr) -> Iterator[str]:
    for part in parts(body):
        for row, kinds in _EXPRESSIONS.items():
            if isinstance(part, kinds):
                yield row
        match part:
            case nodes.Read(indices=indices):
                yield from (f"reads {form_of(index)}" for index in indices)
            case nodes.Project(operator=operator) if operator != "any":
                yield f"`{operator}(j: …)`"
            case nodes.Call(function=function):
                yield f"`{function}`"
