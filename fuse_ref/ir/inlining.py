"""The program's own functions (`fn`) put in place of their calls: after this no statement has one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from fuse_ref.errors import FuseError
from fuse_ref.ir.names import Names, is_variable
from fuse_ref.ir.substitution import (
    Given,
    Letter,
    Scope,
    Substitution,
    letters_of,
    line_of,
    mentioned,
    own_variables,
    variables_in,
)
from fuse_ref.language import syntax_tree as tree
from fuse_ref.language.checks import MAX_LEVELS, check_statement
from fuse_ref.language.printer import print_expression
from fuse_ref.language.rewriting import rebuilt
from fuse_ref.mistakes import mistake
from fuse_ref.source import Span

__all__ = ["inline_functions"]

# Parts of one statement's calls with their bodies put in: each level of nesting can double them.
MOST_PARTS = 20_000


def inline_functions(module: tree.Module, errors: list[FuseError]) -> tree.Module:
    """`module` without definitions by `fn` and without calls of them.

    Statements with a mistake in a call are left out, the mistake is appended to `errors`.
    """
    functions = _functions(module, errors)
    if not any(isinstance(statement, tree.Function) for statement in module.statements):
        return module
    inliner = _Inliner(functions, _values(module))
    kept: list[tree.Statement] = []
    for statement in module.statements:
        if isinstance(statement, tree.Function):
            continue
        try:
            kept.append(inliner.statement(statement))
        except FuseError as error:
            errors.append(error)
    return tree.Module(tuple(kept))


def _values(module: tree.Module) -> frozenset[str]:
    """Names that the program defines or declares."""
    found: set[str] = set()
    for statement in module.statements:
        match statement:
            case tree.Equation() | tree.Fact() | tree.Input() | tree.Param():
                found.add(statement.target.name)
            case _:
                pass
    return frozenset(found)


# Definitions ----------------------------------------------------------------------------------------


def _functions(module: tree.Module, errors: list[FuseError]) -> dict[str, tree.Function]:
    found: dict[str, tree.Function] = {}
    library = Names()
    values: dict[str, Span] = {}
    for statement in module.statements:
        match statement:
            case tree.Equation() | tree.Fact() | tree.Input() | tree.Param():
                values.setdefault(statement.target.name, statement.target.span)
            case _:
                pass
    for statement in module.statements:
        if not isinstance(statement, tree.Function):
            continue
        name = statement.name
        if library.is_function(name):
            taken = "a function of the library"
        elif name in found:
            taken = f"a function already, defined in line {found[name].span.line}"
        elif name in values:
            taken = f"a tensor, defined in line {values[name].line}"
        else:
            taken = ""
            found[name] = statement
        if taken:
            errors.append(mistake("FUSE140", statement.span, name=name, taken=taken))
        errors.extend(_wrong_parameters(statement))
    while cyclic := _cycle(found):
        first = found[cyclic[0]]
        errors.append(mistake("FUSE139", first.span, name=first.name, cycle=" -> ".join((*cyclic, cyclic[0]))))
        found = {name: f for name, f in found.items() if name not in cyclic}
    return found


def _wrong_parameters(function: tree.Function) -> Iterator[FuseError]:
    seen: set[str] = set()
    for parameter in function.parameters:
        letters = letters_of(parameter)
        if parameter.name in seen:
            reason = f"two parameters of {function.name} have this name"
            yield mistake("FUSE121", parameter.span, text=parameter.name, reason=reason)
        if len(set(letters)) < len(letters):
            yield mistake(
                "FUSE121", parameter.span, text=print_expression(parameter), reason="the letters of a parameter differ"
            )
        seen.add(parameter.name)


def _calls(function: tree.Function) -> frozenset[str]:
    found: set[str] = set()

    def look(node: tree.Expression) -> tree.Expression:
        if isinstance(node, tree.Application):
            found.add(node.name)
        return rebuilt(node, look)

    look(function.body)
    return frozenset(found)


def _cycle(functions: Mapping[str, tree.Function]) -> tuple[str, ...]:
    """Functions that call each other in a circle, in order; () when there is no circle."""
    for name in functions:
        paths: list[tuple[str, ...]] = [(name,)]
        seen: set[str] = set()
        while paths:
            path = paths.pop()
            for called in sorted(_calls(functions[path[-1]])):
                if called == name:
                    return path
                if called in functions and called not in seen:
                    seen.add(called)
                    paths.append((*path, called))
    return ()


# Calls ----------------------------------------------------------------------------------------------


class _Inliner:
    def __init__(self, functions: Mapping[str, tree.Function], values: frozenset[str]) -> None:
        self._functions = functions
        library = Names()
        self._scope = Scope(lambda name: name in functions or library.is_function(name), values.__contains__)
        self._taken: set[str] = set()  # names that the statement at hand uses
        self._count = 0  # parts that the calls of the statement at hand have made
        self._level = 0
        self._inside = False  # whether the body of a call is being put in

    def statement(self, statement: tree.Statement) -> tree.Statement:
        result: tree.Statement
        self._count = 0
        match statement:
            case tree.Equation(target=target, body=body):
                if target.name in self._functions:
                    raise self._defined(target)
                self._taken = {*mentioned(target), *mentioned(body)}
                result = replace(statement, target=self._target(target), body=self._value(body))
            case tree.Sink(body=body):
                self._taken = set(mentioned(body))
                result = replace(statement, body=self._value(body))
            case tree.AxisDeclaration(items=items):
                self._taken = set()
                sized = (i if i.size is None else replace(i, size=self._value(i.size)) for i in items)
                result = replace(statement, items=tuple(sized))
            case tree.Fact(target=target) | tree.Input(target=target) | tree.Param(target=target):
                if target.name in self._functions:
                    raise self._defined(target)
                return statement
            case tree.Query(target=target):
                if target.name in self._functions:
                    raise self._no_tensor(target)
                return statement
            case _:
                return statement
        if self._count:
            found: list[FuseError] = []
            check_statement(result, found)
            if found:
                raise found[0]
        return result

    def _defined(self, target: tree.Target) -> Exception:
        line = self._functions[target.name].span.line
        return mistake("FUSE140", target.span, name=target.name, taken=f"a function, defined in line {line}")

    def _no_tensor(self, node: tree.Name | tree.Reference | tree.Application) -> Exception:
        function = self._functions[node.name]
        return self._arguments(function, node, "without arguments")

    def _target(self, target: tree.Target) -> tree.Target:
        rewritten = rebuilt(target, self._value)
        assert isinstance(rewritten, tree.Name | tree.Reference | tree.Application)
        return rewritten

    def _value(self, node: tree.Expression) -> tree.Expression:
        self._level += 1
        if self._level > MAX_LEVELS:
            raise mistake("FUSE080", node.span, limit=MAX_LEVELS)
        try:
            match node:
                case tree.Reference(name=name) if name in self._functions:
                    raise self._no_tensor(node)
                case tree.Application(name=name) if name in self._functions:
                    return self._call(self._functions[name], node)
                case _:
                    return rebuilt(node, self._value)
        finally:
            self._level -= 1

    def _call(self, function: tree.Function, call: tree.Application) -> tree.Expression:
        given = {g.parameter.name: g for g in self._given(function, call)}
        letters = self._letters(function, given.values())
        own = {name: self._fresh(name) for name in own_variables(function, self._scope)}
        outermost = not self._inside
        self._inside = True
        try:
            body = Substitution(function, call, given, letters, own, self._scope).value(function.body)
            self._count += _size(body, MOST_PARTS)
            if self._count > MOST_PARTS:
                raise mistake("FUSE141", call.span, name=function.name, limit=MOST_PARTS)
            body = self._value(body)
        except FuseError as error:
            if outermost and not _within(error.span, call.span):
                # What is wrong shows in a body, perhaps of an imported file; what made it so is this call.
                error.message += f"; the call is {_short(call)} at {call.span}"
                error.args = (error.message,)
            raise
        finally:
            self._inside = not outermost
        return tree.Inlined(tuple(own.values()), body, call.span) if own else body

    def _fresh(self, name: str) -> str:
        while name in self._taken:
            name += "'"
        self._taken.add(name)
        return name

    # Arguments --------------------------------------------------------------------------------------

    def _given(self, function: tree.Function, call: tree.Application) -> Iterator[Given]:
        named = dict(call.keywords)
        parameters = function.parameters
        if len(call.arguments) > len(parameters):
            raise self._arguments(function, call, _counted(len(call.arguments) + len(named)))
        for position, parameter in enumerate(parameters):
            if position < len(call.arguments):
                argument = call.arguments[position]
                if parameter.name in named:
                    raise self._arguments(function, call, f"two arguments for {parameter.name}")
            elif parameter.name in named:
                argument = named.pop(parameter.name)
            else:
                raise self._arguments(function, call, _counted(len(call.arguments) + len(call.keywords)))
            yield self._argument(function, parameter, self._named(self._value(argument)))
        if named:
            raise self._arguments(function, call, f"'{next(iter(named))}='")

    def _named(self, argument: tree.Expression) -> tree.Expression:
        """Each `_` with a name, since a body may read its parameter more than once."""
        if isinstance(argument, tree.Name) and argument.name == "_":
            return replace(argument, name=self._fresh("_'"))
        return rebuilt(argument, self._named)

    def _arguments(self, function: tree.Function, node: tree.Expression, got: str) -> Exception:
        text = f"{function.name}({', '.join(print_expression(p) for p in function.parameters)})"
        return mistake(
            "FUSE137", node.span, name=function.name, got=got, expected=text, line=line_of(function, node.span)
        )

    def _argument(
        self,
        function: tree.Function,
        parameter: tree.Name | tree.Reference | tree.Application,
        argument: tree.Expression,
    ) -> Given:
        letters = letters_of(parameter)
        if not letters:
            return Given(parameter, (), argument, ())
        indices = self._indices(argument)
        text = print_expression(parameter)
        if indices is None:
            reason = f"{text} needs a reference with indices, and it is not clear which those of {_short(argument)} are"
            raise self._unfit(function, argument, f"{reason}; give it a name in an equation of its own")
        if len(indices) < len(letters):
            has = "no index" if not indices else f"only {len(indices)}"
            reason = f"{text} has {_indices(len(letters))}, and {_short(argument)} has {has}"
            raise self._unfit(function, argument, reason)
        return Given(parameter, letters, argument, indices)

    def _unfit(self, function: tree.Function, node: tree.Expression, reason: str) -> Exception:
        return mistake("FUSE138", node.span, name=function.name, line=line_of(function, node.span), reason=reason)

    def _indices(self, argument: tree.Expression) -> tuple[tree.Expression, ...] | None:
        """The indices of an argument; None for an expression in which no reference shows them all."""
        match argument:
            case tree.Reference(indices=indices):
                return indices
            case tree.Application(name=name, arguments=arguments, keywords=()) if not self._scope.is_function(name):
                return arguments
            case tree.Name():
                return ()
            case _:
                pass
        shown = list(_references(argument, frozenset(), self._scope))
        every = {index.name for indices in shown for index in indices if isinstance(index, tree.Name)}
        plain = all(isinstance(i, tree.Name) and is_variable(i.name) for indices in shown for i in indices)
        if not plain or _contracts(argument, self._scope):
            return None
        return next((i for i in shown if {n.name for n in i if isinstance(n, tree.Name)} == every), None)

    def _letters(self, function: tree.Function, given: Iterable[Given]) -> dict[str, Letter]:
        found: dict[str, tuple[Letter, Given]] = {}
        for item in given:
            for letter, index in zip(item.letters, item.indices[len(item.indices) - len(item.letters) :], strict=True):
                variables = variables_in(index)
                single = len(variables) == 1 and not isinstance(index, tree.Slice)
                new = Letter(next(iter(variables)) if single else None, index)
                old, first = found.setdefault(letter, (new, item))
                if old.variable != new.variable or (new.variable is None and old.index != new.index):
                    reason = (
                        f"its letter {letter} is {print_expression(old.index)} in {_short(first.argument)} "
                        f"and {print_expression(index)} in {_short(item.argument)}"
                    )
                    raise self._unfit(function, item.argument, reason)
        return {letter: kept for letter, (kept, _) in found.items()}


def _references(node: tree.Expression, bound: frozenset[str], scope: Scope) -> Iterator[tuple[tree.Expression, ...]]:
    """The indices of every reference, less those that a projection around it binds."""
    match node:
        case tree.Reference(indices=indices):
            yield tuple(i for i in indices if not (isinstance(i, tree.Name) and i.name in bound))
            return
        case tree.Application(name=name, arguments=arguments) if not scope.is_function(name):
            yield tuple(i for i in arguments if not (isinstance(i, tree.Name) and i.name in bound))
            return
        case tree.Projection(variables=names) | tree.Inlined(own=names):
            bound = bound | set(names)
        case _:
            pass
    for part in _parts(node):
        yield from _references(part, bound, scope)


def _parts(node: tree.Expression) -> list[tree.Expression]:
    found: list[tree.Expression] = []

    def note(part: tree.Expression) -> tree.Expression:
        found.append(part)
        return part

    rebuilt(node, note)
    return found


def _contracts(node: tree.Expression, scope: Scope) -> bool:
    """Whether a product repeats a variable: then it is not clear whether the argument still has it."""
    if isinstance(node, tree.Product):
        seen: set[str] = set()
        for _, factor in node.factors:
            names = {i.name for r in _references(factor, frozenset(), scope) for i in r if isinstance(i, tree.Name)}
            if names & seen:
                return True
            seen |= names
    return any(_contracts(part, scope) for part in _parts(node))


def _within(span: Span | None, outer: Span) -> bool:
    return span is None or (span.source is outer.source and outer.start <= span.start and span.end <= outer.end)


def _size(node: tree.Expression, limit: int) -> int:
    """How many parts an expression has, counted no further than a little beyond `limit`."""
    waiting, count = [node], 0
    while waiting and count <= limit:
        waiting.extend(_parts(waiting.pop()))
        count += 1
    return count


def _short(node: tree.Expression) -> str:
    text = print_expression(node)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _counted(count: int) -> str:
    return "no argument" if count == 0 else f"{count} argument{'' if count == 1 else 's'}"


def _indices(count: int) -> str:
    return f"{count} {'index' if count == 1 else 'indices'}"
