"""Bodies made unambiguous: axes of functions written out, symbols of comparisons told from names.

After this every function along an axis has `axis=variable`, a symbol beside `==` is a String, the
concatenated index of each argument has a name of its own, and a slice that the left-hand side lacks is
summed by an explicit projection over its nameless variable.
"""

from __future__ import annotations

from dataclasses import replace

from fuse_ref.language import syntax_tree as tree
from tests.support.oracle.errors import OracleError
from tests.support.oracle.functions import ALONG, ELEMENTWISE, FUNCTION_NAMES, LEAVES
from tests.support.oracle.mapped import mapped
from tests.support.oracle.program import Loaded, free_variables, is_variable
from tests.support.oracle.references import Read, index_variables
from tests.support.oracle.slices import project_slices, standing

__all__ = ["resolve"]


def _renamed(expression: tree.Expression, old: str, new: str) -> tree.Expression:
    match expression:
        case tree.Name(name) | tree.Virtual(name) if name == old:
            return replace(expression, name=new)
        case _:
            return mapped(expression, lambda inner: _renamed(inner, old, new), indices=True)


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
                return mapped(expression, self, indices=True)
            case tree.Compare("==" | "!=", left, right):
                left, right = self._symbol(left, right), self._symbol(right, left)
                return replace(expression, left=self(left), right=self(right))
            case tree.Application(name) if name not in FUNCTION_NAMES:
                return mapped(expression, self, indices=True)
            case tree.Projection(_, variables):
                around, self.bound = self.bound, (*self.bound, *variables)
                inner = mapped(expression, self)
                self.bound = around
                return inner
            case tree.Application():
                return self._function(mapped(expression, self))
            case _:
                return mapped(expression, self)

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


def resolve(
    loaded: Loaded, target: Read, normalised: str | None, operator: str, body: tree.Expression
) -> tree.Expression:
    """The body of one equation, with nothing left to be guessed."""
    resolved = _Resolver(loaded, target, normalised)(body)
    if operator != "=" or not standing(resolved):
        return resolved
    return project_slices(resolved, frozenset(target.variables()))
