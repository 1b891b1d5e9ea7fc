"""Rules that have a meaning: every variable is bound, and nothing depends on its own negation."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from fuse_ref.analysis.dependencies import Dependencies, Group
from fuse_ref.analysis.recurrence import Cycle
from fuse_ref.errors import FuseError
from fuse_ref.ir.index import Affine
from fuse_ref.ir.nodes import (
    ArrayLiteral,
    Compare,
    Equation,
    Expr,
    FileContent,
    Negate,
    Not,
    Number,
    Or,
    Position,
    Product,
    ProgramIR,
    Project,
    Read,
    Sum,
    SymbolValue,
)
from fuse_ref.ir.variables import children, free_variables, reads, target_variables
from fuse_ref.mistakes import mistake

__all__ = ["order_mistake", "ordered_axes", "ordered_symbols", "unsafe_rules", "unstratified"]

_Variables = frozenset[str]
_NONE: _Variables = frozenset()


def unsafe_rules(program: ProgramIR) -> Iterator[FuseError]:
    """Rules with a variable of the head, of `not` or of a comparison that nothing in the body binds."""
    boolean = {tensor.name for tensor in program.tensors if tensor.boolean}
    for equation in program.equations:
        if equation.kind == "equation" and equation.target.tensor in boolean:
            found = next(_unsafe(equation), None)
            if found is not None:
                yield found


def _unsafe(equation: Equation) -> Iterator[FuseError]:
    bound = _binds(equation.body)
    span = equation.target.span
    for variable in target_variables(equation.target):
        if variable not in bound:
            yield mistake("FUSE161", span, variable=_shown(variable), where="of the head")
    for variable, where in _unbound(equation.body, bound):
        yield mistake("FUSE161", equation.span, variable=_shown(variable), where=where)


def _shown(variable: str) -> str:
    return "_" if variable.startswith("_") else variable


def _binds(expr: Expr) -> _Variables:
    """Variables that get their values from a positive atom or a numeric reference of `expr`."""
    match expr:
        case Read() | ArrayLiteral():
            return frozenset(free_variables(expr))
        case Or(operands):
            return frozenset.intersection(*(_binds(operand) for operand in operands))
        case Not() | Number() | Position() | SymbolValue() | FileContent():
            return _NONE
        case Project(_, variables, body):
            return _binds(body) - frozenset(variables)
        case _:
            return _NONE.union(*(_binds(child) for child in children(expr)))


def _unbound(expr: Expr, bound: _Variables) -> Iterator[tuple[str, str]]:
    """(variable, place) for `not` and comparisons whose variables nothing binds."""
    stack: list[tuple[Expr, _Variables]] = [(expr, bound)]
    while stack:
        node, around = stack.pop()
        inner = around | _binds(node)
        match node:
            case Not(operand):
                for variable in free_variables(operand):
                    if variable not in around:
                        yield variable, "below `not`"
                inner = around | _binds(operand)
            case Compare():
                for variable in free_variables(node):
                    if variable not in inner:
                        yield variable, "of a comparison"
            case Project(operator, variables, body):
                inner = (around - frozenset(variables)) | _binds(body)
                if operator != "any":
                    # `x < y` with a `y` of its own side alone is read as a sum over `y`.
                    for variable in variables:
                        if variable not in inner:
                            yield variable, "of a comparison"
            case _:
                pass
        stack.extend((child, inner) for child in reversed(children(node)))


def ordered_axes(program: ProgramIR) -> Iterator[tuple[str, str, Compare]]:
    """(axis, variable, comparison) for each bare index that `<` or its kin look at: its axis has positions."""
    axes = {tensor.name: tensor.axes for tensor in program.tensors}
    for equation in program.equations:
        compared = [(name, item) for item in _comparisons(equation.body) for name in _bare(item)]
        if not compared:
            continue
        joined: dict[str, str] = {}
        for read in (equation.target, *reads(equation.body)):
            for index, axis in zip(read.indices, axes[read.tensor], strict=True):
                if isinstance(index, Affine) and index.variable is not None:
                    joined.setdefault(index.variable, axis)
        yield from ((joined[name], name, item) for name, item in compared if name in joined)


def ordered_symbols(program: ProgramIR) -> Iterator[FuseError]:
    """Comparisons by order of what the program says are symbols."""
    symbols = {axis.name: axis.symbols for axis in program.axes if axis.symbols}
    for axis, variable, item in ordered_axes(program):
        if axis in symbols:
            yield order_mistake(variable, item, symbols[axis][0])


def order_mistake(variable: str, item: Compare, symbol: str) -> FuseError:
    """What is wrong with ordering `variable`, which stands for symbols such as `symbol`."""
    return mistake("FUSE168", item.span, operator=item.operator, variable=_shown(variable), symbol=symbol)


def _comparisons(expr: Expr) -> Iterator[Compare]:
    if isinstance(expr, Compare) and expr.operator not in ("==", "!="):
        yield expr
    for child in children(expr):
        yield from _comparisons(child)


def _bare(expr: Expr) -> Iterator[str]:
    """Indices whose positions are numbers in `expr`, by themselves or in a sum or a product."""
    match expr:
        case Position(variable):
            yield variable
        case Compare() | Sum() | Negate() | Product():
            for child in children(expr):
                yield from _bare(child)


def unstratified(
    program: ProgramIR, dependencies: Dependencies, cycles: Mapping[tuple[str, ...], Cycle]
) -> Iterator[FuseError]:
    """Logical cycles through `not`."""
    for group in dependencies.groups:
        cycle = cycles.get(group.tensors)
        if cycle is None or cycle.kind != "logical":
            continue
        for number in group.equations:
            equation = program.equations[number]
            denied = next(
                (a.tensor for a in dependencies.reads[number] if a.negated and a.tensor in group.tensors), None
            )
            if denied is not None:
                name = equation.target.tensor
                yield mistake(
                    "FUSE160", equation.span, tensor=name, cycle=_path(program, dependencies, group, name, denied)
                )
                break


def _path(program: ProgramIR, dependencies: Dependencies, group: Group, name: str, denied: str) -> str:
    """ "A <- not B <- C <- A": the shortest way from the negated tensor back."""
    came_from: dict[str, str] = {}
    waiting = deque([denied])
    while waiting and name not in came_from and denied != name:
        current = waiting.popleft()
        for number in dependencies.definitions[current]:
            for access in dependencies.reads[number]:
                other = access.tensor
                if other in group.tensors and other not in came_from and other != denied:
                    assert other is not None
                    came_from[other] = current
                    waiting.append(other)
    back = [name]
    while back[-1] != denied:
        back.append(came_from[back[-1]])
    way = [*reversed(back)]
    return f"{name} <- not {' <- '.join(way)}"
