"""`python -m tests.agreement.triples`: what the catalogue covers, as distinct (operator, index form, function) triples.

Computed from the meaning of every program: an operator of an equation, or of a projection inside it; a form of an
index that the equation reads or writes; a function that it calls, or "-" where it calls none.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeAlias, assert_never

from fuse_ref import Program
from fuse_ref.ir import nodes
from fuse_ref.ir.index import Affine, FromEnd, Gather, Index, Quotient, SliceIndex, Symbol, Virtual

__all__ = ["Triple", "form_of", "parts", "report", "triples_of"]

Triple: TypeAlias = tuple[str, str, str]  # operator, index form, function


def parts(item: object) -> Iterator[object]:
    """Every node below one, itself included."""
    yield item
    if isinstance(item, tuple):
        for inner in item:
            yield from parts(inner)
    elif dataclasses.is_dataclass(item):
        for field in dataclasses.fields(item):
            yield from parts(getattr(item, field.name))


def form_of(index: Index) -> str:
    """The form of an index, in a word or two."""
    match index:
        case Affine(terms, offset):
            if not terms:
                return "constant"
            if any(factor < 0 for _, factor in terms):
                return "negative coefficient"
            if len(terms) > 1:
                return "several variables"
            if terms[0][1] != 1:
                return "stride"
            if offset:
                return "ahead" if offset > 0 else "behind"
            return "plain"
        case FromEnd():
            return "from the end"
        case Symbol():
            return "symbol"
        case Quotient():
            return "quotient"
        case SliceIndex():
            return "slice"
        case Gather():
            return "gather"
        case Virtual():
            return "virtual"
        case _:
            assert_never(index)


def triples_of(program: Program) -> set[Triple]:
    """The triples of one program."""
    found: set[Triple] = set()
    for equation in program.ir.equations:
        below = list(parts(equation))
        operators = {equation.operator, *(f"{p.operator}(:)" for p in below if isinstance(p, nodes.Project))}
        forms = {f"writes {form_of(index)}" for index in equation.target.indices}
        for read in below:
            if isinstance(read, nodes.Read) and read is not equation.target:
                forms |= {form_of(index) for index in read.indices}
            elif isinstance(read, nodes.ArrayLiteral):
                forms.add("literal")
        functions = {p.function for p in below if isinstance(p, nodes.Call)} or {"-"}
        found |= {(o, f, g) for o in operators for f in forms or {"scalar"} for g in functions}
    return found


def report(programs: Iterable[Program]) -> str:
    """All triples, one line per operator and index form, with how many programs show them."""
    counts: Counter[Triple] = Counter()
    number = 0
    for program in programs:
        number += 1
        counts.update(triples_of(program))
    lines: dict[tuple[str, str], list[str]] = {}
    for (operator, form, function), count in sorted(counts.items()):
        lines.setdefault((operator, form), []).append(function if count == 1 else f"{function} ({count})")
    shown = [f"{operator:8} {form:28} {', '.join(names)}" for (operator, form), names in lines.items()]
    return "\n".join([*shown, f"{len(counts)} distinct triples in {number} programs"])


if __name__ == "__main__":
    from tests.agreement.catalogue import CASES
    from tests.agreement.engines import program_of

    print(report(program_of(case) for case in CASES))
