"""From the syntax tree to the IR: names resolved, projections written out, axes joined."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import assert_never

from fuse_ref.errors import FuseError
from fuse_ref.ir.axes import build_axes
from fuse_ref.ir.expressions import ExpressionReader
from fuse_ref.ir.index import Affine, Index, plain
from fuse_ref.ir.inlining import inline_functions
from fuse_ref.ir.literals import array_values
from fuse_ref.ir.names import collect_names
from fuse_ref.ir.nodes import (
    ArrayLiteral,
    Axis,
    DeclaredAxis,
    Dtype,
    Equation,
    Expr,
    FileContent,
    Number,
    Operator,
    ProgramIR,
    Query,
    Read,
    Sink,
)
from fuse_ref.ir.projection import project_boolean, project_numeric, project_sink, project_whole
from fuse_ref.ir.sources import split_sources
from fuse_ref.ir.tensors import TensorUses, Uses
from fuse_ref.ir.variables import free_variables, reads, target_variables
from fuse_ref.language import syntax_tree as tree
from fuse_ref.language.printer import print_expression
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean
from fuse_ref.source import Span

__all__ = ["build_program"]

_DTYPES: dict[str, Dtype] = {
    "bool": "bool",
    "int": "int64",
    "int32": "int64",
    "int64": "int64",
    "float": "float",
    "float16": "float",
    "bfloat16": "float",
    "float32": "float",
    "float64": "float",
}
_KEYED = (".npz", ".safetensors", ".json", ".jsonl")


def build_program(module: tree.Module, errors: list[FuseError]) -> ProgramIR:
    """What the program means; mistakes are appended to `errors` and their statements left out."""
    return _Builder(module, errors).build()


class _Builder:
    def __init__(self, module: tree.Module, errors: list[FuseError]) -> None:
        module = inline_functions(module, errors)
        self._module = module
        self._errors = errors
        self._names = collect_names(module, errors)
        self._tensors = TensorUses()
        self._declared: list[DeclaredAxis] = []
        self._equations: list[Equation] = []
        self._statements: list[Equation | Sink | Query] = []  # text order
        self._sinks: list[Sink] = []
        self._queries: list[Query] = []
        self._exports: list[tuple[str, Span]] = []
        self._constants_used: set[str] = set()

    def build(self) -> ProgramIR:
        self._collect_referenced()
        for statement in self._module.statements:
            self._attempt(self._declare, statement)
        for statement in self._module.statements:
            self._attempt(self._define, statement)
        self._equations, self._statements = split_sources(self._equations, self._statements, self._names.referenced)
        for item in self._statements:
            self._attempt(self._tensors.note, item)
        exports = self._checked_exports()
        known = self._tensors.of
        letters = {name: uses.letters for name, uses in known.items()}
        ranks = [(name, uses.rank) for name, uses in known.items()]
        order = _text_order(self._module)
        axes = build_axes(ranks, letters, self._declared, self._statements, self._errors, order)
        tensors = tuple(
            self._tensors.tensor(name, tuple(axes.of[name, k] for k in range(rank))) for name, rank in ranks
        )
        return ProgramIR(
            tuple(_numbered(item, axes.axes) for item in self._declared),
            axes.axes,
            tensors,
            tuple(self._names.constants.items()),
            tuple(self._equations),
            tuple(self._sinks),
            tuple(self._queries),
            exports,
        )

    def _attempt(self, action, statement) -> None:  # type: ignore[no-untyped-def]
        """Runs one statement; its first mistake is kept and the next statement is looked at."""
        try:
            action(statement)
        except FuseError as error:
            self._errors.append(error)

    # First look: what is referenced, what is declared -----------------------------------------

    def _collect_referenced(self) -> None:
        for statement in self._module.statements:
            for node in _walk(statement):
                if isinstance(node, tree.Reference):
                    self._names.referenced.setdefault(node.name, node.span)
                elif isinstance(node, tree.Name) and node.name in self._names.constants:
                    own = self._names.constant_statements[node.name]
                    if node.span != own.target.span:
                        self._constants_used.add(node.name)

    def _declare(self, statement: tree.Statement) -> None:
        match statement:
            case tree.AxisDeclaration(items, _):
                for item in items:
                    self._declared.append(self._axis_item(item))
            case tree.Input(target, dtype, span):
                letters = self._declared_letters(target)
                kind: Dtype = "float" if dtype is None else _DTYPES[dtype]
                boolean = isinstance(target, tree.Application) or kind == "bool"
                uses = Uses(len(letters), target.span, "input", "bool" if boolean else kind, None, letters, target.span)
                uses.declared_boolean = boolean
                self._add_declared(target.name, uses, span)
            case tree.Param(target, initialiser, span):
                letters = self._declared_letters(target)
                init = None if initialiser is None else self._initialiser(target.name, initialiser)
                uses = Uses(len(letters), target.span, "param", "float", init, letters, target.span)
                uses.declared_boolean = False
                self._add_declared(target.name, uses, span)
            case _:
                pass

    def _add_declared(self, name: str, uses: Uses, span: Span) -> None:
        if name in self._names.defined:
            keyword = "input" if uses.role == "input" else "param"
            raise mistake("FUSE120", self._names.defined[name], name=name, keyword=keyword, line=span.line)
        self._tensors.of.setdefault(name, uses)

    def _axis_item(self, item: tree.AxisItem) -> DeclaredAxis:
        if item.symbols is not None:
            return DeclaredAxis(item.name, None, item.symbols, item.span)
        assert item.size is not None
        size = self._names.integer(item.size)
        if size is None or size < 0:
            number = self._names.number(item.size)
            if number is None:
                text = print_expression(item.size)
                raise mistake("FUSE125", item.size.span, name=f"axis {item.name}", reason=f"{text!r} is no constant")
            raise mistake("FUSE105", item.size.span, what=item.name, value=number)
        return DeclaredAxis(item.name, size, None, item.span)

    def _declared_letters(self, target: tree.Target) -> tuple[str, ...]:
        letters: list[str] = []
        for written in _written_indices(target):
            assert isinstance(written, tree.Name)  # the grammar takes nothing else there
            if written.name in letters:
                raise mistake("FUSE121", written.span, text=written.name, reason="the letters of a declaration differ")
            letters.append(written.name)
        return tuple(letters)

    def _initialiser(self, name: str, written: tree.Application) -> tuple[str, tuple[int | float, ...]]:
        values: list[int | float] = []
        for argument in (*written.arguments, *(value for _, value in written.keywords)):
            number = self._names.number(argument)
            if number is None:
                reason = "an initialiser's arguments are numbers"
                raise mistake("FUSE125", argument.span, name=name, reason=reason)
            values.append(number)
        return written.name, tuple(values)

    # Equations, sinks, queries ------------------------------------------------------------------

    def _define(self, statement: tree.Statement) -> None:
        match statement:
            case tree.Equation():
                self._equation(statement)
            case tree.Fact(target, span):
                self._fact(target, span)
            case tree.Sink(path, body, span):
                file, key = _file_and_key(path)
                reader = ExpressionReader(self._names, used=_index_names(body))
                projected = project_sink(reader.value(body))
                sink = Sink(file, key, free_variables(projected), projected, span)
                self._sinks.append(sink)
                self._statements.append(sink)
            case tree.Query(target, span):
                read = ExpressionReader(self._names).read(target)
                self._queries.append(Query(read, f"{print_expression(target)}?", span))
            case tree.Export(names, span):
                self._exports.extend((name, span) for name in names)
            case tree.AxisDeclaration() | tree.Input() | tree.Param() | tree.Function() | tree.Import():
                pass
            case _:
                assert_never(statement)

    def _fact(self, target: tree.Application, span: Span) -> None:
        read = ExpressionReader(self._names).read(target)
        variables = target_variables(read)
        if variables:
            variable = "_" if variables[0].startswith("_") else variables[0]
            raise mistake("FUSE103", span, name=target.name, variable=variable)
        self._add(Equation(read, "=", Number(1), "fact", span))

    def _equation(self, statement: tree.Equation) -> None:
        target, span = statement.target, statement.span
        if self._names.is_function(target.name):
            return  # reported when the names were collected
        normalised = self._normalised(target)
        used = _index_names(target) | _index_names(statement.body)
        reader = ExpressionReader(self._names, used=used)
        read = reader.read(target)
        reader = reader.with_target(read.indices, normalised)
        operator: Operator = "=" if statement.operator == "+=" else statement.operator
        if read.boolean and operator != "=":
            raise mistake("FUSE126", target.span, name=read.tensor, operator=operator)
        body = statement.body
        if isinstance(body, tree.String):
            path, key = _file_and_key(body.value)
            self._add(Equation(read, operator, FileContent(path, key), "source", span))
            return
        literal = _literal_array(body)
        if literal is not None and self._fills(read, literal):
            shape, values = array_values(literal, self._names)
            self._add(Equation(read, operator, ArrayLiteral(values, shape, ()), "literal", span))
            return
        number = self._names.number(body)
        if number is not None and not target_variables(read) and not isinstance(target, tree.Name):
            self._add(Equation(read, operator, Number(number), "fact", span))
            return
        if read.tensor in self._names.constant_statements and number is not None:
            self._add(Equation(read, operator, ArrayLiteral((number,), (), ()), "literal", span))
            return
        value = reader.value(body if literal is None else _as_const(body))
        self._add(Equation(read, operator, _projected(read, operator, value), "equation", span))

    def _fills(self, read: Read, literal: tree.Array) -> bool:
        """Whether a literal is the whole tensor: no indices, or distinct plain ones for all its axes."""
        shape, _ = array_values(literal, self._names)
        variables = [i.variable if isinstance(i, Affine) else None for i in read.indices]
        whole = None not in variables and len(set(variables)) == len(variables)
        if whole and read.indices and len(shape) != len(variables):
            got = f"{len(shape)} {'axis' if len(shape) == 1 else 'axes'}"
            text = read.span.text if read.span else read.tensor
            raise mistake("FUSE117", literal.span, got=got, expected=f"{text} has {len(variables)}")
        return whole

    def _normalised(self, target: tree.Target) -> str | None:
        marked = [item for item in _written_indices(target) if isinstance(item, tree.Normalised)]
        if len(marked) > 1:
            reason = "only one index can be marked with a dot"
            raise mistake("FUSE121", marked[1].span, text=f"{marked[1].name}.", reason=reason)
        return marked[0].name if marked else None

    def _add(self, equation: Equation) -> None:
        self._equations.append(equation)
        self._statements.append(equation)

    def _checked_exports(self) -> tuple[str, ...]:
        for query in self._queries:
            self._attempt(self._check_query, query)
        self._queries = [self._whole_query(query) for query in self._queries]
        if self._exports:
            for name, span in self._exports:
                if name not in self._tensors.of:
                    close = did_you_mean(name, self._tensors.of)
                    self._errors.append(mistake("FUSE115", span, cure=close or None, name=name))
            return tuple(dict.fromkeys(name for name, _ in self._exports if name in self._tensors.of))
        read: set[str] = set(self._constants_used)
        for equation in self._equations:
            inside = {item.tensor for expr in (equation.target, equation.body) for item in reads(expr)}
            read |= inside - {equation.target.tensor}
        defined = dict.fromkeys(equation.target.tensor for equation in self._equations)
        return tuple(name for name in defined if name not in read)

    def _check_query(self, query: Query) -> None:
        name = query.target.tensor
        if name not in self._tensors.of:
            raise mistake("FUSE115", query.span, cure=did_you_mean(name, self._tensors.of) or None, name=name)
        self._tensors.use(query.target, len(query.target.indices) or self._tensors.of[name].rank)

    def _whole_query(self, query: Query) -> Query:
        """`Y?` asks for every element: it is read with one variable for each axis."""
        rank = self._tensors.of[query.target.tensor].rank if query.target.tensor in self._tensors.of else 0
        if query.target.indices or not rank:
            return query
        indices: tuple[Index, ...] = tuple(plain(f"_{k + 1}") for k in range(rank))
        return dataclasses.replace(query, target=dataclasses.replace(query.target, indices=indices))


def _text_order(module: tree.Module) -> Callable[[Span], int]:
    """The number of the statement, or item of an `axis` line, that begins at a place; imports stand where they are named."""
    numbers: dict[tuple[int, int], int] = {}
    for statement in module.statements:
        parts = statement.items if isinstance(statement, tree.AxisDeclaration) else (statement,)
        for part in parts:
            numbers.setdefault((id(part.span.source), part.span.start), len(numbers))
    return lambda span: numbers.get((id(span.source), span.start), -1)


def _numbered(item: DeclaredAxis, axes: tuple[Axis, ...]) -> DeclaredAxis:
    """A table in the order of its positions: facts above it have numbered some of its symbols."""
    letter = item.letter.rstrip("'")
    for axis in axes:
        if item.symbols is not None and axis.symbols is not None and letter in axis.letters:
            order = {symbol: position for position, symbol in enumerate(axis.symbols)}
            symbols = tuple(sorted(item.symbols, key=lambda symbol: order.get(symbol, len(order))))
            return dataclasses.replace(item, symbols=symbols)
    return item


def _projected(target: Read, operator: Operator, value: Expr) -> Expr:
    if target.boolean:
        return project_boolean(value, target_variables(target))
    if operator != "=":
        return project_whole(value)
    return project_numeric(value, target_variables(target))


def _literal_array(body: tree.Expression) -> tree.Array | None:
    match body:
        case tree.Array() | tree.Application("const", (tree.Array(), *_)):
            return body if isinstance(body, tree.Array) else body.arguments[0]  # type: ignore[return-value]
        case _:
            return None


def _as_const(body: tree.Expression) -> tree.Expression:
    """A bare literal under partly constant indices (`W[0, j] = [1, 2]`) is read along the others."""
    return tree.Application("const", (body,), (), body.span) if isinstance(body, tree.Array) else body


def _written_indices(target: tree.Target) -> tuple[tree.Expression, ...]:
    match target:
        case tree.Name():
            return ()
        case tree.Reference(_, indices):
            return indices
        case tree.Application(_, arguments):
            return arguments


def _walk(node: object) -> Iterator[object]:
    """Every syntax node below `node`, itself included."""
    stack = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, tuple):
            stack.extend(reversed(item))
        elif dataclasses.is_dataclass(item) and not isinstance(item, (Span, type)):
            yield item
            stack.extend(getattr(item, f.name) for f in reversed(dataclasses.fields(item)) if f.name != "span")


def _index_names(expression: tree.Expression) -> frozenset[str]:
    """Lower-case names inside the brackets of an expression's references: its index variables."""
    return frozenset(
        name.name
        for reference in _walk(expression)
        if isinstance(reference, tree.Reference)
        for name in _walk(reference.indices)
        if isinstance(name, (tree.Name, tree.Virtual, tree.Normalised))
    )


def _file_and_key(path: str) -> tuple[str, str | None]:
    head, colon, key = path.rpartition(":")
    if colon and head.endswith(_KEYED):
        return head, key
    return path, None
