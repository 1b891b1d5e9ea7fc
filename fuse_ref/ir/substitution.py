"""The body of a program's own function with the arguments of one call in place of its parameters.

Two rules keep the letters of a function and of its caller apart. A parameter's letters are the
argument's last indices: in `fn head(Q[p, k], …)` called as `head(Query[b, h, i, d], …)` the letter `p`
is `i` and `k` is `d`, and `b, h` stay in front of every read of `Q`. All other variables of the body
are its own and get names that the calling statement does not use: primes are added, since `axis j = 5`
speaks of `j'` too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from fuse_ref.ir.names import is_variable
from fuse_ref.language import syntax_tree as tree
from fuse_ref.language.printer import print_expression
from fuse_ref.language.rewriting import rebuilt
from fuse_ref.mistakes import mistake
from fuse_ref.records import dataclass
from fuse_ref.source import Span

__all__ = ["Given", "Letter", "Scope", "Substitution", "mentioned", "own_variables", "variables_in"]


@dataclass(frozen=True, slots=True)
class Letter:
    """What a parameter's letter is in one call."""

    variable: str | None  # of the caller; None where a constant, a slice or several variables stand
    index: tree.Expression  # what stands there, in the first argument that has the letter


@dataclass(frozen=True, slots=True)
class Given:
    """The argument of one parameter."""

    parameter: tree.Name | tree.Reference | tree.Application
    letters: tuple[str, ...]  # of the parameter
    argument: tree.Expression
    indices: tuple[tree.Expression, ...]  # the argument's, those that the letters stand for last


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean outside a function."""

    is_function: Callable[[str], bool]
    is_value: Callable[[str], bool]  # a tensor or constant of the program


def mentioned(node: tree.Expression) -> Iterator[str]:
    """Every name that could be a variable: what new names must differ from."""
    found: list[str] = []

    def look(part: tree.Expression) -> tree.Expression:
        match part:
            case tree.Name(name) | tree.Virtual(name) | tree.Normalised(name) | tree.String(name):
                found.append(name)
            case tree.Projection(variables=names) | tree.Inlined(own=names):
                found.extend(names)
            case _:
                pass
        return rebuilt(part, look)

    look(node)
    return iter(found)


def variables_in(node: tree.Expression) -> frozenset[str]:
    """The variables of one index."""
    found: set[str] = set()

    def look(part: tree.Expression) -> tree.Expression:
        if isinstance(part, tree.Name | tree.Virtual) and is_variable(part.name):
            found.add(part.name)
        return rebuilt(part, look)

    look(node)
    return frozenset(found)


def own_variables(function: tree.Function, scope: Scope) -> tuple[str, ...]:
    """The variables of a body that are no parameters and no parameters' letters, in text order."""
    known = {parameter.name for parameter in function.parameters}
    known.update(name for parameter in function.parameters for name in letters_of(parameter))
    found: dict[str, None] = {}

    def look(node: tree.Expression, index: bool) -> None:
        def inside(part: tree.Expression) -> tree.Expression:
            look(part, _indices_inside(node, scope, index))
            return part

        match node:
            case tree.Name(name) if is_variable(name) and name not in known and name != "_":
                if index or not (scope.is_value(name) or scope.is_function(name)):
                    found[name] = None
            case tree.Virtual(name) if name not in known:
                found[name] = None
            case tree.Projection(variables=names):
                found.update((name, None) for name in names if name not in known)
                rebuilt(node, inside)
            case _:
                rebuilt(node, inside)

    look(function.body, False)
    return tuple(found)


def letters_of(parameter: tree.Name | tree.Reference | tree.Application) -> tuple[str, ...]:
    """The letters of a parameter as its definition has them."""
    match parameter:
        case tree.Name():
            return ()
        case tree.Reference(indices=indices) | tree.Application(arguments=indices):
            return tuple(index.name for index in indices if isinstance(index, tree.Name))


def line_of(node: tree.Function | tree.Expression, seen_from: Span) -> str:
    """The line of a definition, for a message at another place: with its file where that is another one."""
    source = node.span.source
    return str(node.span.line) if source is seen_from.source else f"{node.span.line} of {source.name}"


def _indices_inside(node: tree.Expression, scope: Scope, index: bool) -> bool:
    """Whether what is directly inside `node` are indices."""
    match node:
        case tree.Reference():
            return True
        case tree.Application(name=name):
            return not scope.is_function(name)
        case _:
            return index


class Substitution:
    """One call: every part of a body is given to `value`.

    Args:
        call: for the places of errors.
        given: the arguments by parameter.
        letters: what each letter is.
        own: the new names of the body's own variables.
    """

    def __init__(
        self,
        function: tree.Function,
        call: tree.Application,
        given: Mapping[str, Given],
        letters: Mapping[str, Letter],
        own: Mapping[str, str],
        scope: Scope,
    ) -> None:
        self._function = function
        self._call = call
        self._given = given
        self._letters = letters
        self._own = own
        self._scope = scope

    def value(self, node: tree.Expression) -> tree.Expression:
        return self._rewritten(node, index=False)

    def _rewritten(self, node: tree.Expression, *, index: bool) -> tree.Expression:
        match node:
            case tree.Name(name, span):
                if name in self._given:
                    return self._bare(node)
                if name in self._letters:
                    return self._letter(name, node)
                if name in self._own and (index or not self._scope.is_value(name)):
                    return tree.Name(self._own[name], span)
                return node
            case tree.Virtual(name, span):
                if name in self._letters:
                    return tree.Virtual(self._variable(name, node), span)
                return tree.Virtual(self._own.get(name, name), span)
            case tree.Reference(name, indices) | tree.Application(name, indices) if name in self._given:
                return self._read(name, indices, node)
            case tree.Projection(variables=variables):
                names = tuple(self._bound(name, node) for name in variables)
                return replace(node, variables=names, body=self.value(node.body))
            case tree.Application(name=name, arguments=arguments, keywords=keywords):
                inside = not self._scope.is_function(name)
                named = tuple((key, self._keyword(key, value)) for key, value in keywords)
                parts = tuple(self._rewritten(argument, index=inside) for argument in arguments)
                return replace(node, arguments=parts, keywords=named)
            case _:
                inner = _indices_inside(node, self._scope, index)
                return rebuilt(node, lambda part: self._rewritten(part, index=inner))

    def _keyword(self, key: str, value: tree.Expression) -> tree.Expression:
        if key == "axis" and isinstance(value, tree.Name | tree.String):
            return (
                replace(value, name=self._bound(value.name, value))
                if isinstance(value, tree.Name)
                else replace(value, value=self._bound(value.value, value))
            )
        return self.value(value)

    # Letters --------------------------------------------------------------------------------------

    def _letter(self, name: str, node: tree.Expression) -> tree.Expression:
        letter = self._letters[name]
        if letter.variable is not None:
            return tree.Name(letter.variable, node.span)
        fixed = not variables_in(letter.index) and not isinstance(letter.index, tree.Slice | tree.Negate | tree.String)
        if not fixed:
            raise self._unfit(name, node, "is used in the body by itself")
        return letter.index

    def _bound(self, name: str, node: tree.Expression) -> str:
        """The new name of a variable that a projection or a function works along."""
        return self._variable(name, node) if name in self._letters else self._own.get(name, name)

    def _variable(self, name: str, node: tree.Expression) -> str:
        variable = self._letters[name].variable
        if variable is None:
            raise self._unfit(name, node, "names the index that the body works along")
        return variable

    def _unfit(self, name: str, node: tree.Expression, why: str) -> Exception:
        index = self._letters[name].index
        reason = f"{name} {why} (line {line_of(node, index.span)}), so it needs a plain variable, and {print_expression(index)!r} is none"
        function = self._function
        return mistake("FUSE138", index.span, name=function.name, line=line_of(function, index.span), reason=reason)

    # Parameters -----------------------------------------------------------------------------------

    def _bare(self, node: tree.Name) -> tree.Expression:
        given = self._given[node.name]
        if given.letters:
            raise self._rank(node.name, 0, node)
        return given.argument

    def _rank(self, name: str, got: int, node: tree.Expression) -> Exception:
        parameter = self._given[name].parameter
        expected = len(self._given[name].letters)
        return mistake(
            "FUSE104", node.span, name=name, got=_count(got), expected=_count(expected), line=parameter.span.line
        )

    def _read(self, name: str, indices: tuple[tree.Expression, ...], node: tree.Expression) -> tree.Expression:
        given = self._given[name]
        if len(indices) != len(given.letters):
            raise self._rank(name, len(indices), node)
        kept = len(given.indices) - len(indices)
        argument = given.argument
        own = given.indices[kept:]
        last = tuple(self._position(*parts) for parts in zip(given.letters, own, indices, strict=True))
        match argument:
            case tree.Reference() | tree.Application(keywords=()) if not self._is_call(argument):
                places = (*given.indices[:kept], *last)
                if isinstance(node, tree.Application):
                    return tree.Application(argument.name, places, (), argument.span)
                return tree.Reference(argument.name, places, argument.span)
            case _:
                moved = {i.name: new for i, new in zip(own, last, strict=True) if isinstance(i, tree.Name) and i != new}
                return self._moved(argument, moved) if moved else argument

    def _is_call(self, node: tree.Reference | tree.Application) -> bool:
        return isinstance(node, tree.Application) and self._scope.is_function(node.name)

    def _position(self, letter: str, index: tree.Expression, read: tree.Expression) -> tree.Expression:
        """Where the argument is read for the body's `read` of a parameter's dimension."""
        if read == tree.Name(letter, read.span):
            return index
        found = variables_in(index)
        if len(found) != 1 or isinstance(index, tree.Slice):
            raise self._unfit(letter, read, f"is read at {print_expression(read)}")
        (variable,) = found
        inner = self._rewritten(read, index=True)

        def put(node: tree.Expression) -> tree.Expression:
            match node:
                case tree.Name(name) if name == variable:
                    return inner
                case tree.Virtual(name) if name == variable:
                    return _virtual(inner, variable)
                case _:
                    return rebuilt(node, put)

        return put(index)

    def _moved(self, argument: tree.Expression, moved: Mapping[str, tree.Expression]) -> tree.Expression:
        """An expression as argument, read at other indices than its own."""

        def put(node: tree.Expression) -> tree.Expression:
            match node:
                case tree.Name(name) if name in moved:
                    return moved[name]
                case tree.Projection(variables=names) | tree.Inlined(own=names) if moved.keys() & set(names):
                    return node
                case _:
                    return rebuilt(node, put)

        return put(argument)


def _virtual(node: tree.Expression, variable: str) -> tree.Expression:
    """`node` with its variable as a stream's position."""
    if isinstance(node, tree.Name) and node.name == variable:
        return tree.Virtual(variable, node.span)
    return rebuilt(node, lambda part: _virtual(part, variable))


def _count(count: int) -> str:
    return "no index" if count == 0 else f"{count} {'index' if count == 1 else 'indices'}"
