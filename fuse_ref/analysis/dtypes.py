"""Which tensors hold truth values, integers or numbers of the run's precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

from fuse_ref.analysis.dependencies import Dependencies
from fuse_ref.errors import FuseError
from fuse_ref.ir.index import Gather
from fuse_ref.ir.nodes import (
    And,
    ArrayLiteral,
    Call,
    Case,
    Compare,
    Dtype,
    Equation,
    Expr,
    FileContent,
    Negate,
    Not,
    Number,
    Or,
    Position,
    Power,
    Product,
    ProgramIR,
    Project,
    Read,
    Sum,
    SymbolValue,
)
from fuse_ref.ir.variables import children, free_variables, reads
from fuse_ref.mistakes import mistake
from fuse_ref.source import Span

__all__ = ["expression_dtype", "tensor_dtypes", "wrong_indices", "wrong_targets"]


def tensor_dtypes(program: ProgramIR, dependencies: Dependencies) -> dict[str, Dtype]:
    """The dtype of every tensor.

    Boolean by definition; int64 when declared so, or when all definitions are made of integer reads
    and integer numbers by + - products, negation, and sum, max, min and prod; float otherwise.
    Literals, facts, positions and numbers alone are integers where they serve as an index of another tensor.
    """
    indices = _indices(program, dependencies)
    found: dict[str, Dtype] = {}
    for tensor in program.tensors:
        if tensor.boolean:
            found[tensor.name] = "bool"
        elif tensor.role != "computed":
            found[tensor.name] = tensor.dtype
    for group in dependencies.groups:
        members = [name for name in group.tensors if name not in found]
        # A cycle is integer if it is so on the assumption that its own tensors are.
        found.update((name, "int64") for name in members)
        changed = True
        while changed:
            changed = False
            for name in members:
                equations = [program.equations[i] for i in dependencies.definitions[name]]
                dtype = _defined(equations, found, index=name in indices)
                if dtype != found[name]:
                    found[name] = dtype
                    changed = True
    return found


def _indices(program: ProgramIR, dependencies: Dependencies) -> set[str]:
    """The tensors that stand as an index of another, and those that they are computed from."""
    pending = [read.tensor for read, _, _ in _gathers(program)]
    found: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            numbers = dependencies.definitions.get(name, ())
            pending.extend(a.tensor for n in numbers for a in dependencies.reads[n] if a.tensor is not None)
    return found


def _gathers(program: ProgramIR) -> Iterator[tuple[Read, str, Span]]:
    """Every tensor that stands as an index: its read, the tensor that it indexes, and where."""
    for equation in program.equations:
        for read in (*reads(equation.target), *reads(equation.body)):
            yield from _inside(read, equation.span)
    for sink in program.sinks:
        for read in reads(sink.body):
            yield from _inside(read, sink.span)


def _inside(read: Read, span: Span) -> Iterator[tuple[Read, str, Span]]:
    for index in read.indices:
        if isinstance(index, Gather):
            yield index.read, read.tensor, index.read.span or span


def _defined(equations: Sequence[Equation], dtypes: Mapping[str, Dtype], *, index: bool) -> Dtype:
    """The dtype of a numeric tensor with these definitions; `index` tells that it stands as one."""
    integer = index
    for equation in equations:
        if equation.operator == "avg=":
            return "float"
        body = equation.body
        if index and isinstance(body, ArrayLiteral) and not body.indices:
            kind = "number" if all(isinstance(value, int) for value in body.values) else "float"
        elif index and isinstance(body, Call) and body.function == "cast" and ("dtype", "int64") in body.options:
            kind = "int64"
        else:
            kind = _kind(body, dtypes, index=index)
        if equation.operator in ("max=", "min=") or kind == "float":
            # inf and -inf, which elements that nothing gives hold, are no integers.
            return "float"
        integer = integer or kind == "int64"
    return "int64" if integer else "float"


def wrong_indices(program: ProgramIR, dtypes: Mapping[str, Dtype]) -> Iterator[FuseError]:
    """Tensors as indices that hold no whole numbers."""
    tensors = {tensor.name: tensor for tensor in program.tensors}
    for read, source, span in _gathers(program):
        tensor = tensors[read.tensor]
        if dtypes[read.tensor] == "int64":
            continue
        if dtypes[read.tensor] == "bool":
            holds, cure = "truth values", "to choose by a truth value write `case { ... }`"
        elif tensor.role == "input":
            holds, cure = "float numbers", f"declare it: `input {read.tensor}[{', '.join(tensor.letters)}]: int64`"
        elif tensor.role == "param":
            holds, cure = "learned numbers", "positions are no parameters; make it an `input` of type int64"
        else:
            holds = "float numbers"
            cure = "compute it from int64 inputs by + - and products, by argmax, or by `cast(..., int64)` alone"
        yield mistake("FUSE167", span, cure=cure, index=read.tensor, source=source, holds=holds)


def wrong_targets(program: ProgramIR, dtypes: Mapping[str, Dtype]) -> Iterator[FuseError]:
    """Calls of cross_entropy whose target has neither the class index nor integer classes."""
    for body in (*(equation.body for equation in program.equations), *(sink.body for sink in program.sinks)):
        stack: list[Expr] = [body]
        while stack:
            node = stack.pop()
            stack.extend(reversed(children(node)))
            if not isinstance(node, Call) or node.function != "cross_entropy" or node.axis is None:
                continue
            target = node.arguments[1]
            if node.axis in free_variables(target) or _kind(target, dtypes) in ("int64", "number"):
                continue
            name = target.tensor if isinstance(target, Read) else "the target"
            dtype = expression_dtype(target, dtypes)
            yield mistake("FUSE163", node.span, axis=node.axis, target=name, dtype=dtype)


def expression_dtype(expr: Expr, dtypes: Mapping[str, Dtype]) -> Dtype:
    """The dtype of an expression whose tensors have `dtypes`."""
    match expr:
        case Compare() | Not() | And() | Or():
            return "bool"
        case Read(tensor, _, boolean, _):
            return "bool" if boolean else dtypes[tensor]
        case Project(operator="any"):
            return "bool"
        case _:
            return "int64" if _kind(expr, dtypes) == "int64" else "float"


def _kind(expr: Expr, dtypes: Mapping[str, Dtype], *, index: bool = False) -> str:
    """ "int64", "float", or "number" for integer numbers, which follow what they stand beside."""
    match expr:
        case Number(value):
            return "number" if isinstance(value, int) else "float"
        case Read(tensor, _, boolean, _):
            return "int64" if not boolean and dtypes[tensor] == "int64" else "float"
        case Sum(terms, _):
            return _together(terms, dtypes, index)
        case Product(factors, divisors, _):
            return "float" if divisors else _together(factors, dtypes, index)
        case Negate(operand):
            return _kind(operand, dtypes, index=index)
        case Project(operator, _, body, _):
            kind = _kind(body, dtypes, index=index)
            return kind if operator in ("sum", "prod", "max", "min") and kind == "int64" else "float"
        case Call("max" | "min" | "concat", arguments):
            return _together(arguments, dtypes, index)
        case Call("argmax"):
            return "int64"
        case Position():
            # Beside what stands as an index a position is a whole number; elsewhere it is like any number.
            return "number" if index else "float"
        case (
            Call()
            | SymbolValue()
            | ArrayLiteral()
            | FileContent()
            | Power()
            | Compare()
            | Not()
            | And()
            | Or()
            | Case()
        ):
            return "float"
        case _:
            assert_never(expr)


def _together(parts: Sequence[Expr], dtypes: Mapping[str, Dtype], index: bool) -> str:
    kinds = {_kind(part, dtypes, index=index) for part in parts}
    if "float" in kinds:
        return "float"
    return "int64" if "int64" in kinds else "number"
