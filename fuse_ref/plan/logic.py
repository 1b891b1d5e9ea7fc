"""Equations with a Boolean head as rules of the logic engine.

`or` gives several rules, and `not` goes down to the atoms. Comparisons and numeric conjuncts whose variables
atoms bind are tested tuple by tuple. What sums, works along an axis, or binds variables by itself
(`Close(x, y) <- Sim[x, y] > 0.5`) is a dense truth table of its own, made before: it costs what its
tensors cost anyhow.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Final

from fuse_ref.analysis.shapes import ScopeShapes
from fuse_ref.ir.index import Affine, Index
from fuse_ref.ir.nodes import (
    ArrayLiteral,
    Comparator,
    Compare,
    Equation,
    Expr,
    Not,
    Number,
    Product,
    Project,
    Read,
)
from fuse_ref.ir.text import expression_text, rule_text
from fuse_ref.ir.variables import free_variables, target_variables
from fuse_ref.plan.bodies import alternatives, bound_letters, denied_read
from fuse_ref.plan.references import Tensors
from fuse_ref.plan.rule_values import NotByTuple, RuleValues, is_whole
from fuse_ref.plan.steps import Condition, Contribution
from fuse_ref.plan.values import Unsupported
from fuse_ref.records import dataclass
from fuse_ref.relations.rules import (
    Apply,
    Assignment,
    Atom,
    Constant,
    Denial,
    Domain,
    Filter,
    Literal,
    Rule,
    Term,
    Value,
    Variable,
    literal_variables,
    value_variables,
)
from fuse_ref.source import Span

if TYPE_CHECKING:
    from fuse_ref.plan.lower import Definition

__all__ = ["Table", "contribution", "denied_read", "join_rule", "lower_rules"]

_FLIPPED: Final[dict[Comparator, Comparator]] = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
_WORDS: Final[dict[Comparator, str]] = {
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
    "==": "equal",
    "!=": "not_equal",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A truth table that a dense step makes for rules."""

    name: str
    body: Expr  # a truth value
    variables: tuple[str, ...]  # its dimensions
    shapes: ScopeShapes  # of the equation that it is for

    @property
    def condition(self) -> Condition:
        """As explanations write it."""
        return Condition(self.name, self.variables, expression_text(self.body))


def lower_rules(
    name: str, definitions: Sequence[tuple[int, Definition]], tensors: Tensors
) -> tuple[tuple[Rule, ...], tuple[Table, ...]]:
    """The rules of one Boolean tensor, and the tables that they read.

    Args:
        definitions: its equations, with their positions in the program.

    Raises:
        Unsupported: a stream.
    """
    rules: list[Rule] = []
    tables: list[Table] = []
    for number, definition in definitions:
        scope = _Scope(name, number, definition.shapes, tensors, len(tables))
        rules.extend(_Equation(scope, definition.equation).rules())
        tables.extend(scope.tables)
    return tuple(rules), tuple(tables)


def join_rule(
    name: str,
    conjuncts: Sequence[Expr],
    variables: tuple[str, ...],
    shapes: ScopeShapes,
    tensors: Tensors,
    span: Span | None,
    *,
    inside: bool,
) -> Rule | None:
    """The rule of the combinations that an equation for numbers multiplies: `name(variables) <- conjuncts`.

    None where a conjunct is not tested tuple by tuple.

    Args:
        inside: a combination lies inside of what it denies too.
    """
    scope = _Scope(name, 0, shapes, tensors, 0)
    rule = _Conjunction(scope, conjuncts)
    terms = rule.body(())
    if inside:
        rule.stay_inside()
    text = f"{name}({', '.join(variables)}) <- {', '.join(map(expression_text, conjuncts))}"
    assert not terms
    found = Rule(name, tuple(map(Variable, variables)), tuple(rule.literals), 0, text, span)
    return None if scope.tables else found


def contribution(definition: Definition, tensors: Tensors) -> Contribution | None:
    """What an equation for numbers makes of relations; None where it is more than rules can say."""
    equation = definition.equation
    name, body = equation.target.tensor, equation.body
    while isinstance(body, Project) and body.operator == "sum":
        body = body.body
    factors = body.factors if isinstance(body, Product) and not body.divisors else (body,)
    conditions = [factor for factor in factors if _condition(factor, tensors)]
    if not any(isinstance(factor, Read) for factor in conditions):
        return None
    scope = _Scope(name, 0, definition.shapes, tensors, 0)
    rule = _Conjunction(scope, conditions)
    try:
        terms = rule.body(equation.target.indices)
        numbers = [rule.values.value(factor) for factor in factors if factor not in conditions]
    except (NotByTuple, Unsupported):
        return None
    value = rule.values.folded("multiply", numbers) if numbers else None
    if scope.tables:
        return None
    return Contribution(name, tensors.specs[name].operator, terms, value, tuple(rule.literals))


def _condition(expr: Expr, tensors: Tensors) -> bool:
    match expr:
        case Read(tensor):
            return tensors.specs[tensor].boolean
        case Not() | Compare():
            return True
        case _:
            return False


@dataclass
class _Scope:
    """What the rules of one equation share."""

    name: str
    number: int  # the equation's position in the program
    shapes: ScopeShapes
    tensors: Tensors
    first_table: int
    tables: list[Table] = field(default_factory=list)
    made: int = 0  # variables

    def fresh(self) -> Variable:
        self.made += 1
        return Variable(f"~{self.made}")

    def table(self, body: Expr) -> Table:
        name = f"{self.name}~t{self.number}_{self.first_table + len(self.tables)}"
        table = Table(name, body, free_variables(body), self.shapes)
        self.tables.append(table)
        return table


@dataclass
class _Equation:
    scope: _Scope
    equation: Equation

    def rules(self) -> Iterator[Rule]:
        equation, scope = self.equation, self.scope
        if equation.kind == "literal":
            yield from self._literal()
            return
        text = rule_text(equation)
        body = equation.body
        while isinstance(body, Project) and body.operator == "any":
            body = body.body
        letters = Counter((*target_variables(equation.target), *free_variables(body), *bound_letters(body)))
        once = frozenset(letter for letter, count in letters.items() if count == 1)
        facts = equation.kind == "fact"
        conjunctions = [[]] if facts and _true(body) else [] if facts else alternatives(body, once)
        for conjuncts in conjunctions:
            rule = _Conjunction(scope, conjuncts)
            terms = rule.body(equation.target.indices)
            yield Rule(scope.name, terms, tuple(rule.literals), scope.number, text, equation.span)

    def _literal(self) -> Iterator[Rule]:
        equation, scope = self.equation, self.scope
        body = equation.body
        assert isinstance(body, ArrayLiteral)
        places = itertools.product(*(range(size) for size in body.shape))
        for place, value in zip(places, body.values, strict=True):
            if value > 0:
                terms = tuple(Constant(position) for position in place)
                text = f"{scope.name}({', '.join(map(str, place))})"
                yield Rule(scope.name, terms, (), scope.number, text, equation.span)


def _true(body: Expr) -> bool:
    return not (isinstance(body, Number) and body.value <= 0)


class _Conjunction:
    """One rule: the literals of its body as they are found."""

    def __init__(self, scope: _Scope, conjuncts: Sequence[Expr]) -> None:
        self.scope = scope
        self.shapes = scope.shapes
        self.tensors = scope.tensors
        self.values = RuleValues(scope.name, scope.shapes, scope.tensors)
        self.conjuncts = conjuncts
        self.literals: list[Literal] = []
        self.assigned: dict[Value, Variable] = {}
        # Variables that run over a whole axis in some positive atom, and over no less.
        self.bound: set[str] = set()
        # Variables that stand in one denial alone: no tuple may fit whatever they are.
        self.local: set[str] = set()

    def body(self, target: Sequence[Index]) -> tuple[Value, ...]:
        """Find the literals; the values of the left-hand side's indices."""
        atoms = [item for item in self.conjuncts if isinstance(item, Read)]
        for read in atoms:
            self._note(read)
        own: set[str] = {v for read in atoms for v in free_variables(read)}
        own.update(v for item in self.conjuncts if isinstance(item, Not) for v in free_variables(item))
        for item in self.conjuncts:
            self._conjunct(item, own)
        terms: tuple[Value, ...] = ()
        if target:
            axes, lengths = self.tensors.specs[self.scope.name].axes, self.tensors.shapes[self.scope.name]
            terms = tuple(self.values.place(*place) for place in zip(target, lengths, axes, strict=True))
        self._domains(terms)
        return terms

    def stay_inside(self) -> None:
        """No combination reads outside of what it denies."""
        for item in self.conjuncts:
            if not (isinstance(item, Not) and isinstance(item.operand, Read)):
                continue
            read = item.operand
            places = zip(
                read.indices, self.tensors.shapes[read.tensor], self.tensors.specs[read.tensor].axes, strict=True
            )
            for index, length, axis in places:
                value = self.values.place(index, length, axis)
                if not isinstance(value, Variable | Constant):
                    self.literals.append(Filter(">=", value, Constant(0)))
                    self.literals.append(Filter("<", value, Constant(length)))

    def _note(self, read: Read) -> None:
        for index, length in zip(read.indices, self.tensors.shapes[read.tensor], strict=True):
            variable = index.variable if isinstance(index, Affine) else None
            if variable is not None and self.shapes.ranges[variable] == length:
                self.bound.add(variable)

    def _domains(self, terms: Sequence[Value]) -> None:
        """Ranges of variables that no atom keeps to them."""
        used: dict[str, None] = {}
        for item in self.literals:
            used.update(dict.fromkeys(literal_variables(item)))
        for term in terms:
            used.update(dict.fromkeys(value_variables(term)))
        for name in used:
            if name in self.bound or name not in self.shapes.ranges or name in self.local:
                continue
            self.literals.append(Domain(Variable(name), self.shapes.ranges[name]))

    # Conjuncts ------------------------------------------------------------------------------------

    def _conjunct(self, expr: Expr, own: set[str]) -> None:
        match expr:
            case Read():
                self.literals.append(self._atom(expr))
            case Not(Read() | Project("any")):
                self._denial(expr)
            case Compare(">", Read() as read, Number(0)) if self.tensors.specs[read.tensor].boolean:
                self.literals.append(self._atom(read))
            case Compare() | Not(Compare()):
                try:
                    # One variable alone is tested over its axis, which costs no more than a table of it.
                    if not set(free_variables(expr)) <= own and len(free_variables(expr)) != 1:
                        raise NotByTuple
                    self.literals.append(self._filter(expr))
                except NotByTuple:
                    self._from_table(expr)
            case Number(value):
                if value <= 0:
                    self.literals.append(Filter(">", Constant(value), Constant(0)))
            case _:
                self._from_table(expr)

    def _denial(self, expr: Not) -> None:
        read = denied_read(expr, self.shapes, self.tensors)
        if read is None:
            self._from_table(expr)
            return
        atom = self._atom(read)
        if isinstance(expr.operand, Project):
            # Names of its own: the rule may call something else by the same letter.
            own = {Variable(name): self.scope.fresh() for name in expr.operand.variables}
            self.local.update(variable.name for variable in own.values())
            terms = tuple(own.get(term, term) if isinstance(term, Variable) else term for term in atom.terms)
            atom = Atom(atom.relation, terms, atom.span)
        self.literals.append(Denial(atom))

    def _from_table(self, expr: Expr) -> None:
        table = self.scope.table(expr)
        self.bound.update(table.variables)
        self.literals.append(Atom(table.name, tuple(Variable(v) for v in table.variables)))

    def _filter(self, expr: Compare | Not) -> Filter:
        if isinstance(expr, Compare):
            return Filter(expr.operator, self.values.value(expr.left), self.values.value(expr.right), expr.span)
        compare = expr.operand
        assert isinstance(compare, Compare)
        left, right = self.values.value(compare.left), self.values.value(compare.right)
        if is_whole(left) and is_whole(right):
            return Filter(_FLIPPED[compare.operator], left, right, compare.span)
        # What is not less than NaN is not greater or equal either.
        return Filter("==", Apply(_WORDS[compare.operator], (left, right)), Constant(0), compare.span)

    def _atom(self, read: Read) -> Atom:
        spec = self.tensors.specs[read.tensor]
        lengths = self.tensors.shapes[read.tensor]
        terms = tuple(
            self._term(self.values.place(index, length, axis))
            for index, length, axis in zip(read.indices, lengths, spec.axes, strict=True)
        )
        return Atom(read.tensor, terms, read.span)

    def _term(self, value: Value) -> Term:
        match value:
            case Variable() | Constant():
                return value
            case _:
                if value not in self.assigned:
                    self.assigned[value] = self.scope.fresh()
                    self.literals.append(Assignment(self.assigned[value], value))
                return self.assigned[value]
