"""The statements of an imported file with `nn.` before its names."""

from __future__ import annotations

from dataclasses import replace

from fuse_ref.errors import FuseError
from fuse_ref.ir.inlining import inline_functions
from fuse_ref.ir.names import Names, collect_names, is_variable
from fuse_ref.ir.operations import ALIASES
from fuse_ref.ir.substitution import letters_of
from fuse_ref.language import syntax_tree as tree
from fuse_ref.language.rewriting import rebuilt

__all__ = ["prefixed"]


def prefixed(module: tree.Module, prefix: str) -> tree.Module:
    """`module` with `prefix` and a dot before each of its names.

    Names are those of tensors, constants and functions, and the letters of axes; symbols and the
    library's functions are not.
    """
    # Only values of constants are asked for: whoever reads the statements meets the mistakes again.
    ignored: list[FuseError] = []
    names = collect_names(inline_functions(module, ignored), ignored)
    functions = frozenset(s.name for s in module.statements if isinstance(s, tree.Function))
    writer = _Prefix(prefix, names, functions)
    return tree.Module(tuple(writer.statement(statement) for statement in module.statements))


class _Prefix:
    def __init__(self, prefix: str, names: Names, functions: frozenset[str]) -> None:
        self._prefix = prefix
        self._names = names
        self._functions = functions
        self._kept: frozenset[str] = frozenset()  # a function's parameters and their letters

    def statement(self, statement: tree.Statement) -> tree.Statement:
        match statement:
            case tree.Equation(target=target, body=body):
                return replace(statement, target=self._target(target), body=self._body(body))
            case tree.Fact(target=target):
                written = self._target(target)
                assert isinstance(written, tree.Application)
                return replace(statement, target=written)
            case tree.Input(target=target) | tree.Query(target=target):
                return replace(statement, target=self._target(target))
            case tree.Param(target=target, initialiser=initialiser):
                written = self._target(target)
                assert not isinstance(written, tree.Application)
                call = initialiser
                if call is not None:
                    arguments = tuple(self._value(argument) for argument in call.arguments)
                    call = replace(
                        call, arguments=arguments, keywords=tuple((k, self._value(v)) for k, v in call.keywords)
                    )
                return replace(statement, target=written, initialiser=call)
            case tree.AxisDeclaration(items=items):
                return replace(statement, items=tuple(self._axis_item(item) for item in items))
            case tree.Function(name=name, parameters=parameters, body=body):
                self._kept = frozenset(p for q in parameters for p in (q.name, *letters_of(q)))
                written_body = self._value(body)
                self._kept = frozenset()
                return replace(statement, name=self._name(name), body=written_body)
            case tree.Sink(body=body):
                return replace(statement, body=self._value(body))
            case tree.Export(names=names):
                return replace(statement, names=tuple(self._name(name) for name in names))
            case tree.Import():
                return statement

    def _axis_item(self, item: tree.AxisItem) -> tree.AxisItem:
        return replace(item, name=self._name(item.name), size=None if item.size is None else self._value(item.size))

    def _name(self, name: str) -> str:
        return name if name in self._kept or name == "_" else f"{self._prefix}.{name}"

    def _target(self, target: tree.Target) -> tree.Target:
        written = self._rewritten(target, index=False)
        if isinstance(written, tree.Application):
            return replace(written, name=self._name(target.name))  # also where the name is a function's: an error later
        assert isinstance(written, tree.Name | tree.Reference)
        return written

    def _body(self, body: tree.Expression) -> tree.Expression:
        return body if isinstance(body, tree.String) else self._value(body)

    def _value(self, node: tree.Expression) -> tree.Expression:
        return self._rewritten(node, index=False)

    def _rewritten(self, node: tree.Expression, *, index: bool) -> tree.Expression:
        match node:
            case tree.Name(name, span) if index and not is_variable(name) and name not in self._names.constants:
                return node if name in self._kept else tree.String(name, span)
            case tree.Name(name) | tree.Virtual(name) | tree.Normalised(name):
                return replace(node, name=self._name(name))
            case tree.Reference(name=name, indices=indices):
                inner = tuple(self._rewritten(part, index=True) for part in indices)
                return replace(node, name=self._name(name), indices=inner)
            case tree.Application():
                return self._application(node)
            case tree.Projection(variables=variables, body=body):
                return replace(node, variables=tuple(self._name(v) for v in variables), body=self._value(body))
            case tree.Compare(operator="==" | "!=", left=left, right=right):
                return replace(node, left=self._side(left, right), right=self._side(right, left))
            case _:
                return rebuilt(node, lambda part: self._rewritten(part, index=index))

    def _side(self, side: tree.Expression, other: tree.Expression) -> tree.Expression:
        """A symbol beside a bare index is no name."""
        if isinstance(side, tree.Name) and isinstance(other, tree.Name) and is_variable(other.name):
            known = {*self._names.constants, *self._names.defined, *self._names.declared, *self._kept}
            if not is_variable(side.name) and side.name not in known and other.name not in known - self._kept:
                return tree.String(side.name, side.span)
        return self._value(side)

    def _application(self, node: tree.Application) -> tree.Expression:
        own = node.name in self._functions
        library = not own and self._names.is_function(node.name)
        row = self._names.function(ALIASES.get(node.name, node.name)) if library else None
        words = () if row is None else tuple(option.name for option in row.options)
        values = len(node.arguments) if row is None or not words else len(row.arguments)
        index = not own and not library
        arguments = tuple(
            self._rewritten(argument, index=index) if k < values else argument
            for k, argument in enumerate(node.arguments)
        )
        keywords = tuple((key, value if key in words else self._keyword(key, value)) for key, value in node.keywords)
        name = node.name if library else self._name(node.name)
        return replace(node, name=name, arguments=arguments, keywords=keywords)

    def _keyword(self, key: str, value: tree.Expression) -> tree.Expression:
        if key == "axis" and isinstance(value, tree.String):
            return replace(value, value=self._name(value.value))
        return self._value(value)
