"""From written indices to index forms."""

from __future__ import annotations

from collections.abc import Callable

from fuse_ref.ir.index import Affine, FromEnd, Gather, Index, Quotient, SliceIndex, Symbol, Virtual, plain
from fuse_ref.ir.names import Names, is_variable
from fuse_ref.ir.nodes import Read
from fuse_ref.language import syntax_tree as tree
from fuse_ref.language.printer import print_expression
from fuse_ref.mistakes import mistake

__all__ = ["IndexReader"]


class IndexReader:
    """Reads the indices of one equation: wildcards are numbered, slices paired by their order."""

    def __init__(self, names: Names, read: Callable[[tree.Reference | tree.Application], Read]) -> None:
        self._names = names
        self._read = read  # how a gather's inner reference is read
        self.wildcards: dict[str, None] = {}  # what each `_` is called

    def indices(self, written: tuple[tree.Expression, ...]) -> tuple[Index, ...]:
        """All indices of one reference."""
        found: list[Index] = []
        slices = 0
        for item in written:
            if isinstance(item, tree.Slice):
                slices += 1
                found.append(self._slice(item, slices))
            else:
                found.append(self.index(item))
        return tuple(found)

    def _slice(self, item: tree.Slice, number: int) -> SliceIndex:
        start, stop = (None if e is None else self._whole(e) for e in (item.start, item.stop))
        step = 1 if item.step is None else self._whole(item.step)
        if step < 1:
            raise mistake("FUSE106", item.span, text=item.span.text, reason="the step of a slice is at least 1")
        return SliceIndex(f":{number}", start, stop, step)

    def _whole(self, expression: tree.Expression) -> int:
        value = self._names.integer(expression)
        if value is None:
            number = self._names.number(expression)
            if number is not None:
                raise mistake("FUSE105", expression.span, what=print_expression(expression), value=number)
            reason = "the bounds of a slice are whole numbers and constants"
            raise mistake("FUSE106", expression.span, text=print_expression(expression), reason=reason)
        return value

    def index(self, item: tree.Expression) -> Index:
        match item:
            case tree.String(text):
                return Symbol(text)
            case tree.Normalised(name):
                return plain(name)
            case tree.Name("_"):
                name = f"_{len(self.wildcards) + 1}"
                self.wildcards[name] = None
                return plain(name)
            case tree.Name(name) if not is_variable(name) and name not in self._names.constants:
                return Symbol(name)
            case tree.Negate(tree.Number(int(value))) if value > 0:
                return FromEnd(value)
            case tree.Product(factors) if factors[-1][0] == "/" and self._names.number(item) is None:
                return self._quotient(item, factors)
            case _:
                return self._combination(item)

    def _quotient(self, item: tree.Product, factors: tuple[tuple[str, tree.Expression], ...]) -> Index:
        *rest, (_, last) = factors
        divisor = self._names.integer(last)
        text = print_expression(item)
        if divisor is None:
            number = self._names.number(last)
            if number is not None:
                raise mistake("FUSE105", last.span, what=f"the divisor in {text}", value=number)
            reason = f"it divides by {print_expression(last)!r}, and the divisor must be a constant"
            raise mistake("FUSE106", item.span, text=text, reason=reason)
        if divisor < 1:
            raise mistake("FUSE106", item.span, text=text, reason="the divisor must be at least 1")
        numerator = rest[0][1] if len(rest) == 1 else tree.Product(tuple(rest), item.span)  # type: ignore[arg-type]
        form = self._combination(numerator)
        if not isinstance(form, Affine):
            reason = "only variables and constants can be divided"
            raise mistake("FUSE106", item.span, text=text, reason=reason)
        return Quotient(form, divisor) if divisor > 1 else form

    def _combination(self, item: tree.Expression) -> Index:
        """Variables, constants, one virtual index or one gather, added and scaled by constants."""
        terms: dict[str, int] = {}
        special: list[tree.Virtual | tree.Reference | tree.Application] = []
        offset = self._collect(item, 1, terms, special)
        text = print_expression(item)
        if not special:
            return Affine(tuple((v, c) for v, c in terms.items() if c != 0), offset)
        if len(special) > 1 or any(terms.values()):
            reason = "a virtual index goes with constants only"
            if all(not isinstance(part, tree.Virtual) for part in special):
                reason = "an integer tensor goes with constants only; give the whole sum a name of its own"
            raise mistake("FUSE106", item.span, text=text, reason=reason)
        only = special[0]
        if isinstance(only, tree.Virtual):
            return Virtual(only.name, offset)
        return Gather(self._read(only), offset)

    def _collect(
        self,
        item: tree.Expression,
        factor: int,
        terms: dict[str, int],
        special: list[tree.Virtual | tree.Reference | tree.Application],
    ) -> int:
        """Adds `factor` times `item` to terms and special; returns its constant part."""
        value = self._names.integer(item)
        match item:
            case tree.Name(name) if is_variable(name):
                terms[name] = terms.get(name, 0) + factor  # a variable hides a constant of its name
                return 0
            case _ if value is not None:
                return factor * value
            case tree.Sum(parts):
                return sum(
                    self._collect(part, factor if sign == "+" else -factor, terms, special) for sign, part in parts
                )
            case tree.Negate(operand):
                return self._collect(operand, -factor, terms, special)
            case tree.Product(factors) if all(operator == "*" for operator, _ in factors):
                return self._scaled(item, [part for _, part in factors], factor, terms, special)
            case tree.Virtual() | tree.Reference() if factor == 1:
                special.append(item)
                return 0
            case _:
                raise self._no_index(item)

    def _scaled(
        self,
        item: tree.Product,
        factors: list[tree.Expression],
        factor: int,
        terms: dict[str, int],
        special: list[tree.Virtual | tree.Reference | tree.Application],
    ) -> int:
        others: list[tree.Expression] = []
        for part in factors:
            value = None if isinstance(part, tree.Name) and is_variable(part.name) else self._names.integer(part)
            if value is None:
                others.append(part)
            else:
                factor *= value
        if not others:
            return factor
        if len(others) > 1:
            text = print_expression(item)
            raise mistake("FUSE106", item.span, text=text, reason="two variables are multiplied")
        return self._collect(others[0], factor, terms, special)

    def _no_index(self, item: tree.Expression) -> Exception:
        text = print_expression(item)
        number = self._names.number(item)
        if number is not None:
            return mistake("FUSE105", item.span, what=text, value=number)
        match item:
            case tree.Reference():
                reason = "an integer tensor goes with constants only; give the whole sum a name of its own"
            case tree.Application(name):
                reason = f"a function cannot stand in an index; give {name}(...) a name and write that"
            case tree.Name(name):
                reason = f"{name} is a symbol, and symbols stand alone"
            case tree.String():
                reason = "symbols stand alone"
            case tree.Product():
                reason = "a division stands last, as in (i+1)/2"
            case _:
                reason = "an index is a whole-number combination of variables"
        return mistake("FUSE106", item.span, text=text, reason=reason)
