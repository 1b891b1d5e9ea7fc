"""What the parts of a term have and show to each other, as written: what the projection rules ask of an expression."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from fuse_ref.ir.nodes import ArrayLiteral, Call, Expr, Negate, Number, Position, Power, Product, Project, Read, Sum
from fuse_ref.ir.operations import INLINED
from fuse_ref.ir.variables import children, free_variables, index_variables

__all__ = [
    "NONE",
    "Rest",
    "Variables",
    "Written",
    "all_variables",
    "bare_variables",
    "negate",
    "own_variables",
    "summed",
    "together",
]

Variables: TypeAlias = frozenset[str]
NONE: Variables = frozenset()


def all_variables(expr: Expr) -> Variables:
    """Every variable of `expr`, bound ones included."""
    found: set[str] = set()
    stack = [expr]
    while stack:
        node = stack.pop()
        found.update(free_variables(node))
        if isinstance(node, Project):
            found.update(node.variables)
        elif isinstance(node, Call) and node.axis is not None:
            found.add(node.axis)
        stack.extend(children(node))
    return frozenset(found)


def bare_variables(expr: Expr) -> Variables:
    """Variables of bare indices: these are visible even between the sides of a comparison."""
    match expr:
        case Position(variable):
            return frozenset((variable,))
        case Call(function=function):
            return bare_variables(expr.arguments[0]) - own_variables(expr) if function == INLINED else NONE
        case _:
            return NONE.union(*(bare_variables(child) for child in children(expr)))


def own_variables(expr: Call) -> Variables:
    """The variables of a function of the program that its result lacks."""
    return frozenset(dict(expr.options)["own"].split())


def summed(variables: Iterable[str], expr: Expr) -> Expr:
    names = tuple(variables)
    return Project("sum", names, expr) if names else expr


def negate(expr: Expr) -> Expr:
    return Number(-expr.value) if isinstance(expr, Number) else Negate(expr)


class Written:
    """What nodes show and divide by, before anything is projected. Kept per node."""

    def __init__(self) -> None:
        self._shown: dict[int, Variables] = {}
        self._divided: dict[int, Variables] = {}
        self._alive: list[Expr] = []  # ids stay unique only while their nodes live

    def shown(self, expr: Expr) -> Variables:
        """What `expr` shows where its parentheses contract nothing."""
        if id(expr) not in self._shown:
            self._alive.append(expr)
            match expr:
                case Call(function=function, arguments=arguments) if function == INLINED:
                    found = self.shown(arguments[0]) - own_variables(expr)
                case Project(_, variables, body):
                    found = self.shown(body) - frozenset(variables)
                case Call():
                    found = NONE
                case Read(indices=indices) | ArrayLiteral(indices=indices):
                    found = frozenset(v for index in indices for v in index_variables(index))
                case Position(variable):
                    found = frozenset((variable,))
                case _:
                    found = NONE.union(*(self.shown(child) for child in children(expr)))
            self._shown[id(expr)] = found
        return self._shown[id(expr)]

    def divided(self, expr: Expr) -> Variables:
        """What the divisors of `expr` have, as far as they see the rest of its term."""
        if id(expr) not in self._divided:
            self._alive.append(expr)
            match expr:
                case Product(factors, divisors):
                    having = (frozenset(free_variables(divisor)) for divisor in divisors)
                    found = NONE.union(*map(self.divided, factors), *having)
                case Sum() | Power() | Negate():
                    found = NONE.union(*map(self.divided, children(expr)))
                case Project(_, variables, body):
                    found = self.divided(body) - frozenset(variables)
                case Call(function=function, arguments=arguments) if function == INLINED:
                    found = self.divided(arguments[0]) - own_variables(expr)
                case _:
                    found = NONE
            self._divided[id(expr)] = found
        return self._divided[id(expr)]


class Rest:
    """For parts of one term: what all the others show. Linear in the number of parts."""

    def __init__(self, shown: Sequence[Variables]) -> None:
        counts = Counter(v for variables in shown for v in variables)
        self.shown = shown
        self._all = frozenset(counts)
        self._once = frozenset(v for v, count in counts.items() if count == 1)

    def without(self, position: int) -> Variables:
        return self._all - (self._once & self.shown[position])


def together(
    part_of: Callable[[int, Variables, Variables], Expr],
    rest: Rest,
    outside: Variables,
    beside: Variables,
    *,
    divided: bool,
) -> tuple[Expr, ...]:
    """Parts of one term, each beside what the others show and, where there are divisors, what stands in them.

    Args:
        part_of: makes the part at a place from what is visible, and what stands, in the rest of the term.
        rest: what the parts show.
        outside: what the rest of the term around the parts shows.
        beside: what stands there.
        divided: whether a divisor could ask.
    """
    seen = [outside | rest.without(i) for i in range(len(rest.shown))]
    alone = tuple(part_of(i, visible, NONE) for i, visible in enumerate(seen))
    if not divided:
        return alone
    standing = Rest([frozenset(free_variables(part)) for part in alone])
    return tuple(part_of(i, visible, beside | standing.without(i)) for i, visible in enumerate(seen))
