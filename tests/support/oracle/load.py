"""From text to what the oracle works on: constants, definitions, declarations, ranks."""

from __future__ import annotations

from fuse_ref.language import syntax_tree as tree
from fuse_ref.language.parser import parse
from fuse_ref.source import Source
from tests.support.oracle.errors import OracleError
from tests.support.oracle.functions import number_of
from tests.support.oracle.program import Definition, Loaded, free_variables, whole_number
from tests.support.oracle.references import Affine, Read
from tests.support.oracle.resolve import resolve

__all__ = ["load"]


def load(text: str) -> Loaded:
    statements = parse(Source(text)).statements
    loaded = Loaded()
    _find_constants(statements, loaded)
    for number, statement in enumerate(statements):
        _add_statement(number, statement, loaded)
    for read in [*(item.target for item in loaded.definitions), *(read for _, read, _ in loaded.declared)]:
        _set_rank(loaded, read)
    for number, statement in enumerate(statements):
        if isinstance(statement, tree.Sink):
            names = dict.fromkeys(free_variables(loaded, statement.body))
            target = Read(f"<{statement.path}>", tuple(Affine(((name, 1),), 0) for name in names), False)
            loaded.sinks.append((statement.path, Definition(number, target, "=", statement.body, "sink")))
    for item in [*loaded.definitions, *(sink for _, sink in loaded.sinks)]:
        if item.kind == "equation" or item.kind == "sink":
            item.body = resolve(loaded, item.target, item.normalised, item.operator, item.body)
    _settle_tensors(loaded)
    if not loaded.exports:
        loaded.exports = [name for name in loaded.computed() if name not in _read_by_others(loaded)]
    return loaded


def _find_constants(statements: tuple[tree.Statement, ...], loaded: Loaded) -> None:
    named = [s.target.name for s in statements if isinstance(s, (tree.Equation, tree.Fact, tree.Input, tree.Param))]
    waiting = [
        s
        for s in statements
        if isinstance(s, tree.Equation)
        and isinstance(s.target, tree.Name)
        and s.operator == "="
        and named.count(s.target.name) == 1
    ]
    found = True
    while found:
        found = False
        for item in list(waiting):
            value = loaded.number(item.body)
            if value is not None:
                loaded.constants[item.target.name] = value
                waiting.remove(item)
                found = True


def _literal(body: tree.Expression) -> tree.Expression | None:
    """The array (or lone number inside `const`) that a literal's right-hand side is, else None."""
    match body:
        case tree.Array():
            return body
        case tree.Application("const", (argument,), ()):
            return argument
        case _:
            return None


def _depth(body: tree.Expression) -> int:
    return 1 + _depth(body.items[0]) if isinstance(body, tree.Array) else 0


def _add_statement(number: int, statement: tree.Statement, loaded: Loaded) -> None:
    match statement:
        case tree.Equation(target, operator, body):
            if not (isinstance(target, tree.Name) and target.name in loaded.constants):
                loaded.definitions.append(_definition(number, loaded, target, operator, body))
        case tree.Fact(target, span):
            loaded.definitions.append(Definition(number, loaded.target(target), "=", tree.Number(1, span), "fact"))
        case tree.Query(target):
            loaded.queries.append(loaded.target(target))
        case tree.Export(names):
            loaded.exports.extend(names)
        case tree.AxisDeclaration(items):
            for item in items:
                if item.size is not None:
                    loaded.axis_sizes[item.name] = whole_number(number_of(item.size, loaded.constants))
                if item.symbols is not None:
                    loaded.axis_symbols.append((number, item.name, item.symbols))
        case tree.Input(target, _) | tree.Param(target, _):
            loaded.declared.append((number, loaded.target(target), isinstance(statement, tree.Param)))
        case tree.Sink():
            pass  # its indices are known once all tensors are
        case _:
            raise OracleError(f"explicit text has no {type(statement).__name__}")


def _definition(number: int, loaded: Loaded, target: tree.Target, operator: str, body: tree.Expression) -> Definition:
    read = loaded.target(target)
    literal = _literal(body)
    kind = "equation"
    if isinstance(body, tree.String):
        kind = "source"
    elif literal is not None:
        kind, body = "literal", literal
        if isinstance(target, tree.Name):
            read = Read(target.name, tuple(Affine(((f"_axis{k}", 1),), 0) for k in range(_depth(body))), False)
    elif not read.variables() and loaded.number(body) is not None:
        kind = "fact"
    dotted = [index.name for index in getattr(target, "indices", ()) if isinstance(index, tree.Normalised)]
    return Definition(number, read, "=" if operator == "+=" else operator, body, kind, dotted[0] if dotted else None)


def _set_rank(loaded: Loaded, read: Read) -> None:
    if loaded.ranks.setdefault(read.tensor, len(read.indices)) != len(read.indices):
        raise OracleError(f"{read.tensor} has two ranks")


def _settle_tensors(loaded: Loaded) -> None:
    """Rank, truth value, operator and stream position of every tensor."""
    targets = [item.target for item in loaded.definitions]
    declared = [read for _, read, _ in loaded.declared]
    bodies = [item.body for item in loaded.definitions if item.kind not in ("literal", "source")]
    bodies += [item.body for _, item in loaded.sinks]
    reads = [read for body in bodies for read in loaded.reads_in(body)]
    reads += [inner for target in targets for inner in target.all_reads() if inner is not target]
    for read in [*targets, *declared, *reads]:
        _set_rank(loaded, read)
        if read.virtual is not None:
            loaded.virtual[read.tensor] = read.virtual
    for name in loaded.ranks:
        own = [read for read in [*targets, *declared] if read.tensor == name]
        own = own or [read for read in reads if read.tensor == name]
        loaded.boolean[name] = all(read.boolean for read in own)
        operators = {item.operator for item in loaded.definitions if item.target.tensor == name} - {"="}
        if len(operators) > 1:
            raise OracleError(f"{name} has two operators")
        loaded.operators[name] = operators.pop() if operators else "="


def _read_by_others(loaded: Loaded) -> set[str]:
    return {
        read.tensor
        for item in loaded.definitions
        if item.kind == "equation"
        for read in loaded.reads_in(item.body)
        if read.tensor != item.target.tensor
    }
