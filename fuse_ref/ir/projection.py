"""Where sums happen: language reference, section 4, made explicit.

The input is an expression as written (IR nodes without the implied projections); the output says
every projection with a `Project` node. Chains keep the nesting of their parentheses: a `Product`
inside another node was written in parentheses.

Two notions carry the rules. A variable is *visible* in a node when the node shows it to the rest of
its term (references and bare indices, but not function arguments, and not what a parenthesis has
contracted by itself). It *stands* in a node when the node's value depends on it: what no divisor of
its term is projected from.

Both are least fixpoints: of parts that would each keep a variable only because of the others, none
does. Every variable is decided for itself, and one that a part shows or has by itself is seen by all
the others, so what the parts do by themselves and then once more beside each other is the fixpoint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from fuse_ref.ir.nodes import (
    And,
    ArrayLiteral,
    Call,
    Case,
    Compare,
    Expr,
    Negate,
    Not,
    Number,
    Or,
    Position,
    Power,
    Product,
    Project,
    Read,
    Sum,
)
from fuse_ref.ir.operations import INLINED, row_of
from fuse_ref.ir.term import (
    NONE,
    Rest,
    Variables,
    Written,
    all_variables,
    bare_variables,
    negate,
    own_variables,
    summed,
    together,
)
from fuse_ref.ir.variables import children, free_variables, index_variables
from fuse_ref.mistakes import mistake

__all__ = ["project_boolean", "project_numeric", "project_sink", "project_whole"]


def project_numeric(body: Expr, surviving: Iterable[str]) -> Expr:
    """The right-hand side of `=` with a numeric head, projections written out.

    Args:
        body: as written.
        surviving: the variables of the left-hand side.
    """
    return _Projection().scope(_conjunction_as_product(body), frozenset(surviving))


def project_whole(body: Expr) -> Expr:
    """The right-hand side of `max=`, `min=`, `avg=` or `prod=`: every index survives every scope."""
    body = _conjunction_as_product(body)
    return _Projection().scope(body, all_variables(body))


def project_boolean(body: Expr, surviving: Iterable[str]) -> Expr:
    """The body of a rule: a truth value; variables that the head lacks are projected with OR."""
    kept = frozenset(surviving)
    result = _Projection().truth(body, kept, NONE)
    lacking = tuple(v for v in free_variables(result) if v not in kept)
    return Project("any", lacking, result) if lacking else result


def project_sink(body: Expr) -> Expr:
    """A sink's expression: what its products repeat is contracted, every other index is kept."""
    return _Projection().node(_conjunction_as_product(body), NONE, NONE)


def _conjunction_as_product(body: Expr) -> Expr:
    """`Edge(x, y), D[x] + W[x, y]` under a numeric head: truth values are factors 0 and 1."""
    match body:
        case And(operands):
            return Product(operands, ())
        case _:
            return body


class _Projection:
    """One pass over one equation. Results are kept per node: the rules look at siblings twice."""

    def __init__(self) -> None:
        self._terms: dict[tuple[int, Variables, Variables, Variables], Expr] = {}
        self._seen: dict[tuple[int, Variables], Variables] = {}
        self._written = Written()
        self._alive: list[Expr] = []  # ids stay unique only while their nodes live

    def scope(self, expr: Expr, kept: Variables) -> Expr:
        """A scope: each additive term is projected by itself onto `kept` (rule 2)."""
        match expr:
            case Sum(terms, span):
                return Sum(tuple(self.scope(term, kept) for term in terms), span)
            case Negate(operand):
                return negate(self.scope(operand, kept))
            case Call(function=function) if function == INLINED:
                return self.scope(expr.arguments[0], kept - own_variables(expr))
            case _:
                term = self._whole(expr, kept)
        lacking = tuple(v for v in free_variables(term) if v not in kept)
        named = tuple(v for v in lacking if not v.startswith(":"))
        if not named or len(named) == len(lacking):
            return summed(lacking, term)
        # Slices have no name to write down: they are decided where all other sums are written out, as they
        # are when the explicit text is read.
        explicit = summed(named, self._whole(expr, kept | {v for v in all_variables(expr) if v.startswith(":")}))
        term = self.node(explicit, kept, NONE)
        return summed((v for v in free_variables(term) if v not in kept), term)

    def _whole(self, expr: Expr, kept: Variables) -> Expr:
        """A whole term of a scope, but for the scope's own sum."""
        if isinstance(expr, Product):
            return self._product(expr, kept, NONE, NONE, whole_term=True)
        return self.node(expr, kept, NONE)

    def node(self, expr: Expr, kept: Variables, outside: Variables, beside: Variables = NONE) -> Expr:
        """A part of a term.

        Args:
            expr: as written.
            kept: what survives.
            outside: what is visible in the rest of the term.
            beside: what stands in the rest of the term. Only divisors ask.
        """
        beside = beside & self._written.divided(expr)
        key = (id(expr), kept, outside, beside)
        if key not in self._terms:
            self._alive.append(expr)
            self._terms[key] = self._node(expr, kept, outside, beside)
        return self._terms[key]

    def _node(self, expr: Expr, kept: Variables, outside: Variables, beside: Variables) -> Expr:
        match expr:
            case Negate(operand):
                return negate(self.node(operand, kept, outside, beside))
            case Not():
                return self.truth(expr, kept, outside)
            case Sum(terms, span):
                return Sum(self._siblings(terms, kept, outside, beside), span)
            case Product():
                return self._product(expr, kept, outside, beside, whole_term=False)
            case Power(base, exponent):
                left, right = self._siblings((base, exponent), kept, outside, beside)
                return Power(left, right)
            case And() | Or():
                return self.truth(expr, kept, outside)
            case Compare(operator, left, right, span):
                # A bare index is compared itself: the sum of its positions is never what `q <= p` means.
                kept = kept | outside | bare_variables(left) | bare_variables(right)
                return Compare(operator, self.scope(left, kept), self.scope(right, kept), span)
            case Case(branches, default):
                return self._case(branches, default, kept | outside)
            case Call(function=function) if function == INLINED:
                return self._inlined(
                    expr.arguments[0], kept - own_variables(expr), outside, beside, own_variables(expr)
                )
            case Call():
                return self._call(expr, kept | outside)
            case Project(operator, variables, body, span):
                bound = frozenset(variables)
                return Project(
                    operator, variables, self.node(body, kept | bound, outside - bound, beside - bound), span
                )
            case _:
                return expr

    def _inlined(self, expr: Expr, kept: Variables, outside: Variables, beside: Variables, own: Variables) -> Expr:
        """The body of a program's own function: a parenthesis in which its own variables are summed term by term."""
        match expr:
            case Sum(terms, span):

                def term_of(place: int, outside: Variables, beside: Variables) -> Expr:
                    return self._inlined(terms[place], kept, outside, beside, own)

                rest = self._rest(terms, kept, outside)
                divided = any(map(self._written.divided, terms))
                return Sum(together(term_of, rest, outside, beside, divided=divided), span)
            case Negate(operand):
                return negate(self._inlined(operand, kept, outside, beside, own))
            case _:
                term = self.node(expr, kept, outside, beside)
                return summed((v for v in free_variables(term) if v in own), term)

    def _siblings(
        self, parts: tuple[Expr, ...], kept: Variables, outside: Variables, beside: Variables
    ) -> tuple[Expr, ...]:
        """Parts that see each other: terms of a parenthesis, base and exponent."""

        def part_of(place: int, outside: Variables, beside: Variables) -> Expr:
            return self.node(parts[place], kept, outside, beside)

        rest = self._rest(parts, kept, outside)
        return together(part_of, rest, outside, beside, divided=any(map(self._written.divided, parts)))

    def _product(
        self, expr: Product, kept: Variables, outside: Variables, beside: Variables, *, whole_term: bool
    ) -> Expr:
        parts = (*expr.factors, *expr.divisors)
        count = len(expr.factors)

        def part_of(place: int, outside: Variables, beside: Variables) -> Expr:
            if place < count:
                return self.node(parts[place], kept, outside, beside)
            # A divisor is a scope that keeps every index standing elsewhere in the term.
            return self.scope(parts[place], kept | outside | beside)

        rest = self._rest(parts, kept, outside)
        done = together(part_of, rest, outside, beside, divided=bool(self._written.divided(expr)))
        factors = done[:count]
        result = Product(factors, done[count:], expr.span)
        if whole_term:
            return result  # the scope sums what is left, at the same place
        # Rule 1. A divisor is no factor, but what it shows is visible elsewhere in the term.
        elsewhere = kept | outside | NONE.union(*rest.shown[count:])
        counts = Counter(v for factor in factors for v in free_variables(factor))
        repeated = [v for v in free_variables(result) if counts[v] >= 2 and v not in elsewhere]
        slices = summed((v for v in repeated if v.startswith(":")), result)
        return summed((v for v in repeated if not v.startswith(":")), slices)

    def _case(self, branches: tuple[tuple[Expr, Expr], ...], default: Expr, kept: Variables) -> Expr:
        parts = [part for branch in branches for part in branch] + [default]
        rest = Rest([bare_variables(part) for part in parts])
        keeps = [kept | rest.without(i) for i in range(len(parts))]
        done = [
            self._condition(part, keeps[i]) if i % 2 == 0 and i < len(parts) - 1 else self.scope(part, keeps[i])
            for i, part in enumerate(parts)
        ]
        pairs = tuple((done[i], done[i + 1]) for i in range(0, len(parts) - 1, 2))
        return Case(pairs, done[-1])

    def _condition(self, expr: Expr, kept: Variables) -> Expr:
        """A condition is a scope: what its atoms alone have is counted, and it holds where the count is above 0.

        A bare index is visible from the values, so it stays.
        """
        condition = self.truth(expr, kept, NONE)
        kept = kept | bare_variables(expr)
        counted = summed((v for v in free_variables(condition) if v not in kept), condition)
        return condition if counted is condition else Compare(">", counted, Number(0))

    def _call(self, expr: Call, kept: Variables) -> Expr:
        row = row_of(expr.function)
        if expr.function in ("cross_entropy", "mse"):
            return self._mean_loss(expr, kept)
        assert row is not None, expr.function
        inner = kept if expr.axis is None or row.kind == "new_axis" else kept | {expr.axis}
        if row.kind == "concat":
            arguments = tuple(self.scope(a, kept | all_variables(a)) for a in expr.arguments)
            return Call(expr.function, arguments, expr.axis, expr.options, expr.span)
        arguments = tuple(self.scope(argument, inner) for argument in expr.arguments)
        return Call(expr.function, arguments, expr.axis, expr.options, expr.span)

    def _mean_loss(self, expr: Call, kept: Variables) -> Expr:
        """cross_entropy and mse: the mean over the indices that do not survive.

        The arguments keep their indices, as concat's do, but for what their products contract.
        They see each other: an index of the target is no contraction of the logits.
        """
        inner = kept if expr.axis is None else kept | {expr.axis}
        arguments = self._siblings(expr.arguments, inner, NONE, NONE)
        value: Expr
        if expr.function == "mse":
            left, right = arguments
            value = Power(Sum((left, negate(right)), expr.span), Number(2))
        else:
            value = Call(expr.function, arguments, expr.axis, expr.options, expr.span)
        lacking = tuple(v for v in free_variables(value) if v not in kept)
        if any(v.startswith(":") for v in lacking):
            raise mistake("FUSE148", expr.span, name=expr.function)
        return Project("avg", lacking, value, expr.span) if lacking else value

    def truth(self, expr: Expr, kept: Variables, outside: Variables) -> Expr:
        """`expr` as a truth value; conjuncts see each other, a numeric one is compared with 0."""
        match expr:
            case And(operands) | Product(operands, ()):
                rest = self._rest(operands, kept, outside)
                done: list[Expr] = []
                for i, operand in enumerate(operands):
                    part = self.truth(operand, kept, outside | rest.without(i))
                    done.extend(part.operands if isinstance(part, And) else (part,))
                return And(tuple(done))
            case Or(operands):
                return Or(tuple(self.truth(operand, kept, outside) for operand in operands))
            case Not(operand):
                return Not(self.truth(operand, kept, outside))
            case Project("sum" | "max", variables, body, span) if _is_truth(body):
                bound = frozenset(variables)
                return Project("any", variables, self.truth(body, kept | bound, outside - bound), span)
            case Call(
                function=function, arguments=(And() | Or() | Not() | Compare() | Read(boolean=True) as body,)
            ) if function == INLINED:
                return self.truth(body, kept - own_variables(expr), outside)
            case Read(boolean=True) | Compare():
                return self.node(expr, kept, outside)
            case _:
                return Compare(">", self.scope(expr, kept | outside), Number(0))

    def _rest(self, parts: Sequence[Expr], kept: Variables, outside: Variables) -> Rest:
        """What parts of one term show to each other: a parenthesis contracts nothing that it sees elsewhere."""
        alone = Rest([self.visible(part, kept) for part in parts])
        return Rest(
            [
                shown | (self._written.shown(part) & (outside | alone.without(i)))
                for i, (part, shown) in enumerate(zip(parts, alone.shown, strict=True))
            ]
        )

    def visible(self, expr: Expr, kept: Variables) -> Variables:
        """What `expr`, as one part of a term of which it sees nothing else, shows to the other parts."""
        key = (id(expr), kept)
        if key not in self._seen:
            self._alive.append(expr)
            self._seen[key] = self._visible(expr, kept)
        return self._seen[key]

    def _visible(self, expr: Expr, kept: Variables) -> Variables:
        match expr:
            case Read(indices=indices):
                return frozenset(v for index in indices for v in index_variables(index))
            case Position(variable):
                return frozenset((variable,))
            case Call(function=function, arguments=arguments) if function == INLINED:
                return self.visible(arguments[0], kept - own_variables(expr)) - own_variables(expr)
            case Call():
                return NONE
            case Project(_, variables, body):
                return self.visible(body, kept | frozenset(variables)) - frozenset(variables)
            case Product():
                shown = NONE.union(*(self.visible(child, kept) for child in children(expr)))
                alone = self.node(expr, kept, NONE)
                while isinstance(alone, Project):  # what rule 1 contracts in this parenthesis
                    shown -= frozenset(alone.variables)
                    alone = alone.body
                return shown
            case ArrayLiteral(indices=indices):
                return frozenset(v for index in indices for v in index_variables(index))
            case _:
                return NONE.union(*(self.visible(child, kept) for child in children(expr)))


def _is_truth(expr: Expr) -> bool:
    """Whether an expression is a truth value: a sum or maximum of these, taken as one, is their OR."""
    match expr:
        case Read(boolean=True) | Not() | Compare() | And() | Or():
            return True
        case Product(factors, ()):
            return all(map(_is_truth, factors))
        case _:
            return False
