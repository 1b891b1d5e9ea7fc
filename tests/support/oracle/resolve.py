"""Bodies made unambiguous: axes of functions written out, symbols of comparisons told from names.

After this every function along an axis has `axis=variable`, a symbol beside `==` is a String, the
concatenated index of each argument has a name of its own, and a slice that the left-hand side lacks is
summed by an explicit projection over its nameless variable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fuse_ref.language import syntax_tree as tree
from tests.support.oracle.errors import OracleError
from tests.support.oracle.functions import ALONG, ELEMENTWISE, FUNCTION_NAMES, LEAVES
from tests.support.oracle.program import Loaded, free_variables, is_variable
from tests.support.oracle.references import Read, index_variables

__all__ = ["resolve"]

Rewrite = Callable[[tree.Expression], tree.Expression]


def _mapped(expression: tree.Expression, f: Rewrite, *, indices: bool = False) -> tree.Expression:
    """The same node with `f` applied to what is directly inside; references only with `indices`."""
    match expression:
        case tree.Reference(_, inner):
            return replace(expression, indices=tuple(f(index) for index in inner)) if indices else expression
        case tree.Application(name, arguments, keywords):
            if name not in FUNCTION_NAMES and not indices:
                return expression
            return replace(
                expression,
                arguments=tuple(f(item) for item in arguments),
                keywords=tuple((key, value if key == "axis" and not indices else f(value)) for key, value in keywords),
            )
        case tree.Projection(_, _, body):
            return replace(expression, body=f(body))
        case tree.Case(branches, default):
            return replace(
                expression,
                branches=tuple((f(condition), f(value)) for condition, value in branches),
                default=None if default is None else f(default),
            )
        case tree.Sum(terms):
            return replace(expression, terms=tuple((sign, f(term)) for sign, term in terms))
        case tree.Product(factors):
            return replace(expression, factors=tuple((operator, f(factor)) for operator, factor in factors))
        case tree.Negate(operand) | tree.Not(operand):
            return replace(expression, operand=f(operand))
        case tree.Power(base, exponent):
            return replace(expression, base=f(base), exponent=f(exponent))
        case tree.Compare(_, left, right):
            return replace(expression, left=f(left), right=f(right))
        case tree.And(operands) | tree.Or(operands):
            return replace(expression, operands=tuple(f(operand) for operand in operands))
        case _:
            return expression


def _renamed(expression: tree.Expression, old: str, new: str) -> tree.Expression:
    match expression:
        case tree.Name(name) | tree.Virtual(name) if name == old:
            return replace(expression, name=new)
        case _:
            return _mapped(expression, lambda inner: _renamed(inner, old, new), indices=True)


class _Resolver:
    def __init__(self, loaded: Loaded, target: Read, normalised: str | None) -> None:
        self.loaded = loaded
        self.target = target
        self.normalised = normalised
        self.fresh = 0
        self.bound: tuple[str, ...] = ()  # by the projections around the expression at hand

    def __call__(self, expression: tree.Expression) -> tree.Expression:
        match expression:
            case tree.Name("_"):
                self.fresh += 1
                return replace(expression, name=f"_{self.fresh}")
            case tree.Reference():
                return _mapped(expression, self, indices=True)
            case tree.Compare("==" | "!=", left, right):
                left, right = self._symbol(left, right), self._symbol(right, left)
                return replace(expression, left=self(left), right=self(right))
            case tree.Application(name) if name not in FUNCTION_NAMES:
                return _mapped(expression, self, indices=True)
            case tree.Projection(_, variables):
                around, self.bound = self.bound, (*self.bound, *variables)
                inner = _mapped(expression, self)
                self.bound = around
                return inner
            case tree.Application():
                return self._function(_mapped(expression, self))
            case _:
                return _mapped(expression, self)

    def _symbol(self, side: tree.Expression, other: tree.Expression) -> tree.Expression:
        """A capitalised name beside a bare index that is neither constant nor tensor."""
        match side, other:
            case tree.Name(name, span), tree.Name(bare) if is_variable(bare) and not is_variable(name):
                if name not in self.loaded.constants and not self.loaded.is_tensor(name):
                    return tree.String(name, span)
        return side

    def _function(self, call: tree.Expression) -> tree.Expression:
        assert isinstance(call, tree.Application)
        if call.name == "concat":
            return self._concat(call)
        if call.name == "one_hot":
            return self._with(call, axis=self._new_variable(call))
        if call.name == "causal_mask":
            left = [index_variables(index) for index in self.target.indices]
            columns = self._axis(call) if "axis" in dict(call.keywords) else left[-1][0]
            return self._with(call, rows=left[left.index((columns,)) - 1][0], axis=columns)
        if call.name in ELEMENTWISE and ELEMENTWISE[call.name].words:
            # `cast(x, float16)`: the word is no variable.
            known = len(ELEMENTWISE[call.name].parameters)
            words = (tree.String(w.name, w.span) if isinstance(w, tree.Name) else w for w in call.arguments[known:])
            return replace(call, arguments=(*call.arguments[:known], *words))
        if call.name in ALONG or call.name in LEAVES or call.name == "cross_entropy":
            return self._with(call, axis=self._axis(call))
        return call

    def _with(self, call: tree.Application, **names: str) -> tree.Application:
        kept = tuple((key, value) for key, value in call.keywords if key not in names)
        return replace(call, keywords=(*kept, *((key, tree.Name(name, call.span)) for key, name in names.items())))

    def _axis(self, call: tree.Application) -> str:
        match dict(call.keywords).get("axis"):
            case tree.Name(name):
                return name
            case tree.String(name):
                return name
            case tree.Number(place):
                return index_variables(self.target.indices[int(place)])[0]
            case None:
                pass
            case other:
                raise OracleError(f"axis={other}")
        if self.normalised is not None:
            return self.normalised
        if call.name in ALONG:
            return index_variables(self.target.indices[-1])[0]
        return list(free_variables(self.loaded, call.arguments[0]))[-1]

    def _new_variable(self, call: tree.Application) -> str:
        """The index of the left-hand side that no argument has."""
        if "axis" in dict(call.keywords):
            return self._axis(call)
        had = {name for argument in call.arguments for name in free_variables(self.loaded, argument)}
        new = [name for name in self.target.variables() if name not in had]
        if len(new) != 1:
            raise OracleError(f"{call.name} makes one new index, the left-hand side has {new}")
        return new[0]

    def _concat(self, call: tree.Application) -> tree.Application:
        """What is concatenated does not join: `j` of the second argument becomes `j@1`."""
        axis = self._new_variable(call)
        arguments = []
        for place, item in enumerate(call.arguments):
            for name in dict.fromkeys(free_variables(self.loaded, item)):
                if name == axis or name not in (*self.target.variables(), *self.bound):
                    item = _renamed(item, name, f"{name}@{place}")
            arguments.append(item)
        return self._with(replace(call, arguments=tuple(arguments)), axis=axis)


# Slices -----------------------------------------------------------------------------------------


def _slices(expression: tree.Expression, *, into_calls: bool) -> set[str]:
    """Nameless variables that stand free in an expression."""
    match expression:
        case tree.Reference(_, indices):
            return {f":{k}" for k in range(sum(isinstance(index, tree.Slice) for index in indices))}
        case tree.Application(name, indices, ()) if name not in FUNCTION_NAMES:
            return {f":{k}" for k in range(sum(isinstance(index, tree.Slice) for index in indices))}
        case tree.Application() if not into_calls:
            return set()
        case tree.Projection(_, variables, body):
            return _slices(body, into_calls=into_calls) - set(variables)
        case _:
            found: set[str] = set()
            _mapped(expression, lambda inner: (found.update(_slices(inner, into_calls=into_calls)), inner)[1])
            return found


def _project_scope(expression: tree.Expression, kept: set[str]) -> tree.Expression:
    """Each additive term of a scope is projected by itself onto the indices that survive."""
    match expression:
        case tree.Sum() | tree.Negate():
            return _mapped(expression, lambda term: _project_scope(term, kept))
        case _:
            inner = _project_inside(expression, kept)
            lost = sorted(_slices(inner, into_calls=True) - kept)
            return tree.Projection("sum", tuple(lost), inner, expression.span) if lost else inner


def _project_inside(expression: tree.Expression, kept: set[str]) -> tree.Expression:
    match expression:
        case tree.Application(name) if name in FUNCTION_NAMES:
            return _mapped(expression, lambda argument: _project_scope(argument, kept))
        case tree.Compare() | tree.Case():
            return _mapped(expression, lambda part: _project_scope(part, kept))
        case tree.Product(factors):
            visible = [_slices(factor, into_calls=False) for _, factor in factors]
            parts = []
            for place, (operator, factor) in enumerate(factors):
                seen = kept.union(*(names for k, names in enumerate(visible) if k != place))
                project = _project_scope if operator == "/" else _project_inside
                parts.append((operator, project(factor, seen)))
            return replace(expression, factors=tuple(parts))
        case tree.Power(tree.Product() as base):
            inner = _project_inside(base, kept)
            assert isinstance(inner, tree.Product)
            counts = [_slices(factor, into_calls=True) for _, factor in inner.factors]
            joined = {name for names in counts for name in names if sum(name in other for other in counts) > 1}
            lost = sorted(joined - kept)
            return replace(expression, base=tree.Projection("sum", tuple(lost), inner, base.span) if lost else inner)
        case _:
            return _mapped(expression, lambda inner: _project_inside(inner, kept))


def resolve(
    loaded: Loaded, target: Read, normalised: str | None, operator: str, body: tree.Expression
) -> tree.Expression:
    """The body of one equation, with nothing left to be guessed."""
    resolved = _Resolver(loaded, target, normalised)(body)
    if operator != "=" or not _slices(resolved, into_calls=True):
        return resolved
    return _project_scope(resolved, set(target.variables()))
