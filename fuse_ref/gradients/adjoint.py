"""From the gradient of an equation's left-hand side to the gradients of all that its right-hand side reads."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from fuse_ref.evaluate.registration import find_registered
from fuse_ref.gradients.concatenation import give_parts
from fuse_ref.gradients.derivatives import DERIVATIVES
from fuse_ref.gradients.giving import give
from fuse_ref.gradients.splitting import Linear, slopes_of
from fuse_ref.gradients.templates import filled, moved
from fuse_ref.gradients.work import Work, times
from fuse_ref.ir.nodes import (
    And,
    ArrayLiteral,
    Call,
    Case,
    Compare,
    Expr,
    FileContent,
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
    SymbolValue,
)
from fuse_ref.ir.operations import row_of
from fuse_ref.ir.variables import target_variables
from fuse_ref.records import dataclass

__all__ = ["differentiate"]


@dataclass(frozen=True, slots=True)
class _Flow:
    """What reaches an expression: a product, for every position of the variables."""

    factors: tuple[Expr, ...]
    divisors: tuple[Expr, ...]
    variables: tuple[str, ...]

    def times(self, *factors: Expr, divisors: tuple[Expr, ...] = ()) -> _Flow:
        return replace(self, factors=(*self.factors, *factors), divisors=(*self.divisors, *divisors))

    def over(self, *variables: str) -> _Flow:
        return replace(self, variables=tuple(dict.fromkeys((*self.variables, *variables))))

    @property
    def value(self) -> Expr:
        return times(self.factors, self.divisors)


def differentiate(work: Work, linear: Linear) -> None:
    """Adds the equations that `linear` gives to gradients."""
    gradient = Read(work.gradient[linear.target.tensor], linear.target.indices, False)
    flow = _Flow((gradient,), (), target_variables(linear.target))
    _Adjoint(work, linear).into(linear.body, flow)


class _Adjoint:
    def __init__(self, work: Work, linear: Linear) -> None:
        self.work = work
        self.linear = linear

    def into(self, expr: Expr, flow: _Flow) -> None:
        """What reaches `expr` goes on to what it reads."""
        if not self.work.is_active(expr):
            return
        match expr:
            case Read():
                give(self.work, expr, flow.value, flow.variables, self.linear.origin)
            case Sum(terms):
                for term in terms:
                    self.into(term, flow)
            case Negate(operand):
                self.into(operand, flow.times(Number(-1)))
            case Product(factors, divisors):
                for place, factor in enumerate(factors):
                    others = (*factors[:place], *factors[place + 1 :])
                    self.into(factor, flow.times(*others, divisors=divisors))
                for divisor in divisors:
                    self.into(divisor, flow.times(Number(-1), *factors, divisors=(*divisors, divisor)))
            case Power(base, exponent):
                self._power(expr, base, exponent, flow)
            case Project("sum", variables, body):
                self.into(body, flow.over(*variables))
            case Case(branches, default):
                chosen = [Number(0)] * len(branches)
                for place, (_, value) in enumerate(branches):
                    self.into(value, flow.times(_choice(branches, place)))
                self.into(default, flow.times(_choice(branches, len(chosen))))
            case Call():
                self._call(expr, flow)
            case (
                Number()
                | SymbolValue()
                | Position()
                | ArrayLiteral()
                | FileContent()
                | Compare()
                | Not()
                | And()
                | Or()
                | Project()
            ):
                raise AssertionError(f"a gradient flows into {expr}")
            case _:
                assert_never(expr)

    def _power(self, whole: Power, base: Expr, exponent: Expr, flow: _Flow) -> None:
        match exponent:
            case Number(2):
                self.into(base, flow.times(Number(2), base))
            case Number(value):
                self.into(base, flow.times(exponent, Power(base, Number(value - 1))))
            case Negate(Number(value)):
                self.into(base, flow.times(exponent, Power(base, Number(-value - 1))))
            case _:
                lower = Power(base, Sum((exponent, Number(-1))))
                flat = Compare("==", exponent, Number(0))
                self.into(base, flow.times(Case(((flat, Number(0)),), times((exponent, lower)))))
        log = Case(((Compare("==", base, Number(0)), Number(0)),), Call("log", (base,), None, ()))
        self.into(exponent, flow.times(whole, log))

    def _call(self, call: Call, flow: _Flow) -> None:
        row = row_of(call.function)
        assert row is not None
        if call.function == "where":
            condition, yes, no = call.arguments
            self.into(yes, flow.times(Call("where", (condition, Number(1), Number(0)), None, ())))
            self.into(no, flow.times(Call("where", (condition, Number(0), Number(1)), None, ())))
        elif row.kind == "concat":
            give_parts(self.work, call, self.linear.target, self.linear.origin)
        elif call.function not in DERIVATIVES:
            slope = find_registered(call.function).gradient
            assert isinstance(slope, str)  # the splitter has refused others
            self.into(call.arguments[0], flow.times(Call(slope, call.arguments, None, call.options)))
        else:
            self._library(call, flow, tuple(argument.name for argument in row.arguments), row.kind != "elementwise")

    def _library(self, call: Call, flow: _Flow, names: tuple[str, ...], along: bool) -> None:
        parts: dict[str, Expr] = dict(zip(names, call.arguments, strict=True))
        axes: dict[str, str] = {}
        result = self.linear.result
        parts["y"] = call if result is None else result
        if along:
            assert result is not None
            assert call.axis is not None
            parts["g"] = flow.value
            axes = {"a": call.axis, "b": self.work.letter(f"{call.axis}'")}
            # The same at another position of the axis, for the functions that need it.
            parts.update((f"{name}_b", moved(part, call.axis, axes["b"])) for name, part in list(parts.items()))
            flow = _Flow((), (), flow.variables).over(call.axis)
        for name, slope in slopes_of(call).items():
            self.into(parts[name], flow.times(filled(slope, parts, axes)))


def _choice(branches: tuple[tuple[Expr, Expr], ...], chosen: int) -> Expr:
    """1 where that branch counts (the default is the one behind the last), else 0."""
    pairs = tuple(
        (condition, Number(int(place == chosen))) for place, (condition, _) in enumerate(branches[: chosen + 1])
    )
    return Case(pairs, Number(int(chosen == len(branches))))
