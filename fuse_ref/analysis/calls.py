"""What functions ask of the lengths of their axes, and of the numbers that they are given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fuse_ref.analysis.dtypes import expression_dtype
from fuse_ref.analysis.findings import Finding
from fuse_ref.analysis.lengths import Fixed, Length, floor_divide, linear
from fuse_ref.analysis.produced import made_size
from fuse_ref.analysis.solve import RangeNode, Solver
from fuse_ref.errors import FuseError
from fuse_ref.ir.nodes import Call, Dtype, Expr, Negate, Number, Position, Product, ProgramIR, Project, Read, Sum
from fuse_ref.ir.text import expression_text
from fuse_ref.ir.variables import children
from fuse_ref.mistakes import mistake

__all__ = ["call_errors", "call_findings"]


def call_findings(solver: Solver) -> Iterator[Finding]:
    """The lengths that calls need, scope by scope."""
    for number, table in enumerate(solver.tables):
        for call in _calls(table.scope.body):
            if call.axis is not None:
                yield from _of_call(solver, number, call, call.axis)


def _calls(body: Expr) -> Iterator[Call]:
    stack = [body]
    while stack:
        node = stack.pop()
        if isinstance(node, Call):
            yield node
        stack.extend(reversed(children(node)))


def _of_call(solver: Solver, number: int, call: Call, axis: str) -> Iterator[Finding]:
    lengths = solver.solution.lengths
    length = lengths[RangeNode(number, axis)]
    words = (("name", call.function), ("axis", axis))
    values: tuple[tuple[str, Length], ...] = (("actual", length),)
    match call.function:
        case "argmax":
            yield Finding(length, ">=", Fixed(1), "FUSE170", words, values, "argmax", call.span, variable=axis)
        case "rope":
            pairs = linear([(floor_divide(length, 2), 2)])
            yield Finding(pairs, ">=", length, "FUSE171", words, values, "pairs of rope", call.span, variable=axis)
        case "one_hot" | "causal_mask":
            rows = dict(call.options).get("rows")
            size = made_size(call)
            if size is not None:
                for variable in (axis, *((rows,) if rows else ())):
                    yield _made(call, variable, lengths[RangeNode(number, variable)], Fixed(size), "")
            elif rows is not None:
                why = f" there, as many as axis {rows} has"
                yield _made(call, axis, length, lengths[RangeNode(number, rows)], why)
        case _:
            pass


def _made(call: Call, axis: str, length: Length, made: Length, why: str) -> Finding:
    words = (("name", call.function), ("axis", axis), ("why", why))
    values = (("actual", length), ("expected", made))
    return Finding(length, "==", made, "FUSE172", words, values, call.function, call.span, variable=axis)


def call_errors(program: ProgramIR, dtypes: Mapping[str, Dtype]) -> Iterator[FuseError]:
    """Calls of one_hot at numbers that are no positions."""
    for body in (*(equation.body for equation in program.equations), *(sink.body for sink in program.sinks)):
        for call in _calls(body):
            if call.function == "one_hot" and not _whole(call.arguments[0], dtypes):
                argument = call.arguments[0]
                what = argument.tensor if isinstance(argument, Read) else expression_text(argument)
                dtype = expression_dtype(argument, dtypes)
                yield mistake("FUSE133", call.span, what=what, dtype=dtype)


def _whole(expr: Expr, dtypes: Mapping[str, Dtype]) -> bool:
    """Whether an expression is made of whole numbers, positions and truth values."""
    match expr:
        case Number(value):
            return isinstance(value, int)
        case Position():
            return True
        case Call("cast"):
            return ("dtype", "int64") in expr.options
        case Call("floor"):
            return True
        case Sum() | Product(divisors=()) | Negate() | Project(operator="sum" | "max" | "min" | "prod"):
            return all(_whole(part, dtypes) for part in children(expr))
        case _:
            return expression_dtype(expr, dtypes) in ("int64", "bool")
