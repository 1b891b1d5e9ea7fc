"""What is right by the projection rules but often not what was meant: the warnings of `fuse check`.

The cases are those of the language reference, section 5. Each looks at the explicit form, where a
projection that the text itself wrote has a span and an implied one has none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Set

from fuse_ref.analysis.words import reference_text
from fuse_ref.ir.index import Affine, Quotient
from fuse_ref.ir.nodes import (
    And,
    Call,
    Compare,
    DeclaredAxis,
    Equation,
    Expr,
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
)
from fuse_ref.ir.text import equation_text
from fuse_ref.ir.variables import children, free_variables, index_variables, reads
from fuse_ref.records import dataclass
from fuse_ref.source import Span, excerpt

__all__ = ["Advice", "advise"]


@dataclass(frozen=True, slots=True)
class Advice:
    message: str  # what the equation does, and what may have been meant
    means: str  # the equation in explicit form
    span: Span  # of the equation

    def __str__(self) -> str:
        return f"{self.span}: {self.message}\n{excerpt(self.span)}\nmeans: {self.means}"


def advise(program: ProgramIR) -> tuple[Advice, ...]:
    """Every such place of a program, in text order, each once for an equation and kind."""
    found: list[Advice] = []
    declared = {item.letter.rstrip("'"): item for item in program.declared}
    along = {axis.name for axis in program.axes if axis.stepped}
    stepped = {(t.name, position) for t in program.tensors for position, axis in enumerate(t.axes) if axis in along}
    for equation in program.equations:
        if equation.kind == "equation" and not equation.target.boolean:
            for message in dict.fromkeys(
                (*_messages(equation), *_unbounded(equation, declared, stepped), *_share(equation))
            ):
                found.append(Advice(message, equation_text(equation), equation.span))
    found += _written_twice(program)
    return tuple(sorted(found, key=lambda item: (item.span.source.name, item.span.start)))


def _messages(equation: Equation) -> Iterator[str]:
    for node in _all(equation.body):
        match node:
            case Call(function, arguments):
                for argument in arguments:
                    yield from _summed_inside(function, argument)
            case Project("sum", variables, body, None):
                yield from _lacking_term(variables, body)
            case Power(base, _):
                yield from _squared_difference(base)
            case Product(factors, divisors):
                yield from _own_normaliser(factors, divisors)
            case _:
                pass


def _all(expr: Expr) -> Iterator[Expr]:
    yield expr
    for child in children(expr):
        yield from _all(child)


def _summed_inside(function: str, argument: Expr) -> Iterator[str]:
    """`exp(W[i, j])` sums over j, then takes exp."""
    terms = argument.terms if isinstance(argument, Sum) else (argument,)
    for term in terms:
        inner = term.operand if isinstance(term, Negate) else term
        if isinstance(inner, Project) and inner.operator == "sum" and inner.span is None:
            counts = Counter(v for read in _plain_reads(inner.body) for v in set(free_variables(read)))
            for variable in inner.variables:
                if counts[variable] == 1:
                    read = next(r for r in _plain_reads(inner.body) if variable in free_variables(r))
                    text = reference_text(read.tensor, read.indices)
                    yield (
                        f"{variable} of {text} alone is summed inside {function}(…), before {function} is taken; "
                        f"write sum({variable}: {function}(…)) to sum its results"
                    )


def _plain_reads(body: Expr) -> tuple[Read, ...]:
    """The references that a product shows; none where a power, call or sum stands between, as in a norm."""
    match body:
        case Read():
            return (body,)
        case Negate(operand):
            return _plain_reads(operand)
        case Product(factors, divisors):
            if all(isinstance(item, Read | Number) for item in (*factors, *divisors)):
                return tuple(item for item in (*factors, *divisors) if isinstance(item, Read))
    return ()


def _lacking_term(variables: tuple[str, ...], body: Expr) -> Iterator[str]:
    """`2 (W[i, j] + B[i])` adds B once for each j."""
    if not isinstance(body, Product):
        return
    for factor in body.factors:
        if isinstance(factor, Sum):
            free = [set(free_variables(term)) for term in factor.terms]
            for variable in variables:
                lacking = [t for t, names in zip(factor.terms, free, strict=True) if names and variable not in names]
                if lacking and any(variable in names for names in free):
                    read = next(reads(lacking[0]), None)
                    what = "a term" if read is None else reference_text(read.tensor, read.indices)
                    yield (
                        f"{what} stands in a parenthesis that is multiplied and summed over {variable}, "
                        f"so it is added once for every {variable}; multiply the terms out to add it once"
                    )


def _squared_difference(base: Expr) -> Iterator[str]:
    """`(M[e] (Y[e] - X[e]))**2` squares the sum."""
    if isinstance(base, Project) and base.operator == "sum" and base.span is None and isinstance(base.body, Product):
        differences = [
            factor
            for factor in base.body.factors
            if isinstance(factor, Sum) and any(isinstance(term, Negate) for term in factor.terms)
        ]
        if differences:
            names = ", ".join(base.variables)
            yield (
                f"the product is summed over {names} before the power is taken; "
                f"write sum({names}: …) around the power, or raise each factor, to sum the powers"
            )


def _own_normaliser(factors: tuple[Expr, ...], divisors: tuple[Expr, ...]) -> Iterator[str]:
    """`X[i, d] / sqrt(X[i, d]**2)` divides each element by itself."""
    own = {read for factor in factors for read in ([factor] if isinstance(factor, Read) else [])}
    for divisor in divisors:
        squared = divisor.arguments[0] if isinstance(divisor, Call) and divisor.function == "sqrt" else divisor
        base = squared.base if isinstance(squared, Power) else squared
        if isinstance(base, Product) and len(set(base.factors)) == 1 and not base.divisors:
            base = base.factors[0]
        if isinstance(base, Product) and own.issuperset(base.factors) and not base.divisors and base.factors:
            # Q K V / (Q K): the sum over what is contracted stands around the whole quotient.
            yield (
                "the divisor repeats factors of its term with their letters, so it divides element by element, before "
                "the sum; give it letters of its own, or a name in an equation of its own, to divide by its sum"
            )
        elif base in own or divisor in factors:
            read = next(reads(base), None)
            if read is not None and free_variables(read):
                last = free_variables(read)[-1]
                yield (
                    f"{reference_text(read.tensor, read.indices)} is divided by itself, element by element, since the "
                    f"left-hand side has {last} too; use another letter, {last}', in the divisor to sum there"
                )


def _unbounded(
    equation: Equation, declared: Mapping[str, DeclaredAxis], stepped: Set[tuple[str, int]]
) -> Iterator[str]:
    """`Y[t] = X[t-1, t+dt]` beside `axis dt = 3`: on a stepped axis the line speaks of what is computed there.

    Args:
        stepped: tensors and positions along stepped axes.
    """
    places: dict[str, str] = {}
    alone = {node.variable for node in _all(equation.body) if isinstance(node, Position)}
    for read in (equation.target, *reads(equation.body)):
        for position, index in enumerate(read.indices):
            form = index.numerator if isinstance(index, Quotient) else index
            if not isinstance(form, Affine) or (index == Affine(form.terms) and form.variable is not None):
                alone.update(index_variables(index))
            elif len(form.terms) > 1 and (read.tensor, position) in stepped:
                for variable, _ in form.terms:
                    places.setdefault(variable, reference_text(read.tensor, read.indices))
    for variable, text in places.items():
        item = declared.get(variable.rstrip("'"))
        if item is not None and item.size is not None and variable not in alone:
            yield (
                f"axis {item.letter} = {item.size} does not bound {variable} here, which never stands alone as an index, "
                f"while other equations step along that axis: it runs as far as {text} stays inside; a factor K[{variable}], with K[{variable}] = 1, bounds it"
            )


def _share(equation: Equation) -> Iterator[str]:
    """`Right avg= (P[b] == T[b])` keeps what is right, and the mean of 1 over that is 1."""
    body = equation.body
    factors = body.factors if isinstance(body, Product) and not body.divisors else (body,)
    filters = [factor for factor in factors if isinstance(factor, Compare | Not | Or | And)]
    if equation.operator == "avg=" and filters and len(filters) == len(factors):
        yield (
            "under avg= a condition is a filter, so this is the mean of 1 over the positions where it holds; "
            "to get the share of them, define the condition first (Hit[b] = …) and average that"
        )


def _written_twice(program: ProgramIR) -> Iterator[Advice]:
    """`S[0, d] = …` beside `S[t, d] = …`: both write position 0, and the results are combined."""
    by_tensor: dict[str, list[Equation]] = {}
    for equation in program.equations:
        by_tensor.setdefault(equation.target.tensor, []).append(equation)
    for name, equations in by_tensor.items():
        for constant in equations:
            for position, index in enumerate(constant.target.indices):
                if index != Affine(()):
                    continue
                for general in equations:
                    other = general.target.indices[position] if general.target.indices else None
                    if isinstance(other, Affine) and other.variable is not None and general is not constant:
                        yield Advice(
                            f"position 0 of {name} is written here and by the equation of line {general.span.line}, "
                            f"and the results are combined; write [{other.variable}+1] there to leave position 0 to this one",
                            equation_text(constant),
                            constant.span,
                        )
