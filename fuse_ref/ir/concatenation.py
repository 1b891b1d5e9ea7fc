"""`concat`: which indices of its arguments become positions of the index that it makes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fuse_ref.ir.nodes import Expr
from fuse_ref.ir.variables import free_variables
from fuse_ref.language import syntax_tree as tree
from fuse_ref.language.rewriting import rebuilt
from fuse_ref.mistakes import mistake

__all__ = ["flattened", "one_after_another", "own_name", "with_own_index"]


def one_after_another(call: tree.Application) -> tree.Application:
    """The call with the arguments of a concat among its arguments in that one's place.

    Raises:
        OperatorError: a concat deeper inside, whose index would be this one's.
    """
    axis = dict(call.keywords).get("axis")
    arguments: list[tree.Expression] = []
    for argument in call.arguments:
        if _is_concat(argument) and isinstance(argument, tree.Application):
            inner = one_after_another(argument)
            own = dict(inner.keywords).get("axis", axis)
            if own == axis and set(dict(inner.keywords)) <= {"axis"} and inner.arguments:
                arguments.extend(inner.arguments)
                continue
        if any(_is_concat(part) for part in _below(argument)):
            raise mistake("FUSE146", argument.span)
        arguments.append(argument)
    return tree.Application(call.name, tuple(arguments), call.keywords, call.span)


def _is_concat(node: tree.Expression) -> bool:
    return isinstance(node, tree.Application) and node.name == "concat"


def _below(node: tree.Expression) -> list[tree.Expression]:
    """`node` and every expression inside it."""
    found: list[tree.Expression] = []

    def note(part: tree.Expression) -> tree.Expression:
        found.append(part)
        return rebuilt(part, note)

    note(node)
    return found


def with_own_index(argument: tree.Expression, axis: str, name: str) -> tree.Expression:
    """`argument` with `name` in place of the concatenated index, which is not the one of the result."""

    def put(node: tree.Expression) -> tree.Expression:
        match node:
            case tree.Name(found) | tree.Virtual(found) if found == axis:
                return tree.Name(name, node.span)
            case tree.Projection(variables=variables) if axis in variables:
                return node  # another index of the same letter
            case _:
                return rebuilt(node, put)

    return put(argument)


def own_name(axis: str, number: int, taken: Collection[str]) -> str:
    """The name of the concatenated index in argument `number`, from 1: `j_1`, or longer where that is taken."""
    letter = axis.rstrip("'")
    name = f"{letter}_{number}"
    while name in taken:
        name += "_"
    return name


def flattened(arguments: Sequence[Expr], kept: Collection[str]) -> tuple[tuple[str, str], ...]:
    """The option of the call that names the indices which the left-hand side lacks, in order of appearance."""
    found = dict.fromkeys(v for argument in arguments for v in free_variables(argument) if v not in kept)
    return (("flattened", " ".join(found)),) if found else ()
