"""Random syntax trees that the grammar can write, and every node of a tree."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from hypothesis import strategies as hs

from fuse_ref.language import syntax_tree as st
from fuse_ref.language.checks import INITIALISERS
from fuse_ref.source import Source, Span

HERE = Span(Source(""), 0, 0)

NAMES = hs.sampled_from(
    ["i", "x", "p'", "d_k", "_", "_a", "X", "W1", "M''", "Größe", "nn.head", "a.b.c'", "notx", "maxi", "e", "inf"]
)
PLAIN = hs.sampled_from(["i", "j", "p'", "d_k", "ß"])
FILES = hs.sampled_from(["w.npy", 'odd "name".npz:key', "a\\b", "two\nlines", "# no comment", "", "ü; ["])
NUMBERS = hs.one_of(
    hs.integers(0, 10**20),
    hs.floats(min_value=0, allow_infinity=False, allow_nan=False).map(abs),  # -0.0 has a sign
)


def optional(strategy: hs.SearchStrategy[st.Expression]) -> hs.SearchStrategy[st.Expression | None]:
    return hs.none() | strategy


def several(strategy: hs.SearchStrategy, least: int, most: int = 3) -> hs.SearchStrategy:
    return hs.lists(strategy, min_size=least, max_size=most).map(tuple)


name = NAMES.map(lambda word: st.Name(word, HERE))
number = NUMBERS.map(lambda value: st.Number(value, HERE))
string = FILES.map(lambda text: st.String(text, HERE))
virtual = PLAIN.map(lambda word: st.Virtual(word, HERE))
normalised = PLAIN.map(lambda word: st.Normalised(word, HERE))
scalar = name | number
signed = scalar | scalar.map(lambda value: st.Negate(value, HERE))
array = hs.recursive(
    several(signed, 0).map(lambda items: st.Array(items, HERE)),
    lambda inner: several(inner | signed, 0).map(lambda items: st.Array(items, HERE)),
    max_leaves=6,
)
literal = several(array | signed, 1, 1).map(lambda items: st.Application("const", items, (), HERE))


def chain(node: type, signs: str, part: hs.SearchStrategy) -> hs.SearchStrategy:
    """Sums and products: the first sign is the chain's own."""
    return hs.tuples(part, several(hs.tuples(hs.sampled_from(signs), part), 1)).map(
        lambda parts: node(((signs[0], parts[0]), *parts[1]), HERE)
    )


def affine(inner: hs.SearchStrategy) -> hs.SearchStrategy:
    part = virtual | inner
    return chain(st.Sum, "+-", part) | chain(st.Product, "*/", part) | part.map(lambda node: st.Negate(node, HERE))


def index(inner: hs.SearchStrategy) -> hs.SearchStrategy:
    bound = optional(inner)
    return hs.one_of(inner, string, virtual, affine(inner), hs.builds(st.Slice, bound, bound, bound, hs.just(HERE)))


def keywords(inner: hs.SearchStrategy) -> hs.SearchStrategy:
    return hs.dictionaries(hs.sampled_from(["T", "axis", "eps", "mask"]), inner | string, max_size=2).map(
        lambda items: tuple(items.items())
    )


def with_a_condition(operands: tuple[st.Expression, ...]) -> bool:
    """Numbers alone are refused: whoever writes `1, 2` means a list."""
    return not all(isinstance(operand, st.Number) for operand in operands)


def compound(inner: hs.SearchStrategy) -> hs.SearchStrategy:
    here = hs.just(HERE)
    compared = inner | string
    projector = hs.sampled_from(["sum", "max", "min", "avg", "prod"])
    distinct = hs.lists(PLAIN, min_size=1, max_size=3, unique=True).map(tuple)
    branches = several(hs.tuples(inner, inner), 1, 2)
    return hs.one_of(
        hs.builds(st.Reference, NAMES, several(index(inner), 1), here),
        hs.builds(st.Application, NAMES, several(index(inner), 0), keywords(inner), here),
        hs.builds(st.Application, projector, several(inner, 0), keywords(inner), here),
        hs.builds(st.Projection, projector, distinct, inner, here),
        hs.builds(st.Case, branches, optional(inner), here),
        hs.builds(st.Case, hs.just(()), inner, here),
        chain(st.Sum, "+-", inner),
        chain(st.Product, "*/", inner),
        hs.builds(st.Negate, inner, here),
        hs.builds(st.Power, inner, inner, here),
        hs.builds(st.Compare, hs.sampled_from(["<", "<=", ">", ">=", "==", "!="]), compared, compared, here),
        hs.builds(st.Not, inner, here),
        hs.builds(st.And, several(inner, 2).filter(with_a_condition), here),
        hs.builds(st.Or, several(inner, 2), here),
        literal,
    )


expression = hs.recursive(name | number, compound, max_leaves=12)


def references(indices: hs.SearchStrategy) -> hs.SearchStrategy:
    return hs.builds(st.Reference, NAMES, several(indices, 1), hs.just(HERE))


def applications(indices: hs.SearchStrategy) -> hs.SearchStrategy:
    return hs.builds(st.Application, NAMES, several(indices, 0), hs.just(()), hs.just(HERE))


target = name | references(index(expression) | normalised) | applications(index(expression) | normalised)
asked = name | references(index(expression)) | applications(index(expression))
declared = name | references(name) | applications(name)


def statements() -> hs.SearchStrategy[st.Statement]:
    here = hs.just(HERE)
    symbols = several(hs.sampled_from(["Ann", "New York", "max", "3", "a.b", ""]), 0)
    items = hs.builds(st.AxisItem, NAMES, expression, hs.none(), here) | hs.builds(
        st.AxisItem, NAMES, hs.none(), symbols, here
    )
    initialiser = hs.builds(
        st.Application, hs.sampled_from(INITIALISERS), several(signed, 0), keywords(expression), here
    )
    operators = hs.sampled_from(["=", "+=", "max=", "min=", "avg=", "prod="])
    return hs.one_of(
        hs.builds(st.Equation, target, operators, expression | array | string, hs.just(False), here),
        hs.builds(st.Equation, target, hs.just("="), expression, hs.just(True), here),
        hs.builds(st.Fact, applications(index(expression)), here),
        hs.builds(st.Sink, FILES, expression, here),
        hs.builds(st.Query, asked, here),
        hs.builds(st.Export, several(NAMES, 1), here),
        hs.builds(st.AxisDeclaration, several(items, 1), here),
        hs.builds(st.Input, declared, hs.sampled_from([None, "float", "int64", "bool"]), here),
        hs.builds(st.Param, name | references(name), optional(initialiser), here),
        hs.builds(st.Function, NAMES, several(declared, 0), expression, here),
        hs.builds(st.Import, FILES, hs.none() | NAMES, here),
    )


modules = several(statements(), 0, 4).map(st.Module)


def nodes(value: object) -> Iterator[object]:
    """The dataclasses inside a tree, itself first."""
    if isinstance(value, tuple):
        for item in value:
            yield from nodes(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, Span):
        yield value
        for field in dataclasses.fields(value):
            if field.name != "span":
                yield from nodes(getattr(value, field.name))
