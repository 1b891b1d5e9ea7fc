"""Plans as JSON and back. What is read is checked field by field against the types of the plan's own classes."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Literal, TypeAlias, Union

from fuse_ref.analysis import lengths
from fuse_ref.ir.json import Json
from fuse_ref.ir.nodes import ProgramIR
from fuse_ref.plan import operations, steps
from fuse_ref.plan.steps import Plan
from fuse_ref.relations import rules
from fuse_ref.source import Source, Span

__all__ = ["NotAPlan", "plan_from_json", "plan_to_json"]

_CLASSES: dict[str, type] = {
    item.__name__: item
    for module in (lengths, rules, operations, steps)
    for item in vars(module).values()
    if isinstance(item, type) and dataclasses.is_dataclass(item) and item.__module__ == module.__name__
}
_WITHOUT = "program"  # the field of a plan that is not written: who reads a plan has its program


class NotAPlan(ValueError):
    """Data that no plan has."""


def plan_to_json(plan: Plan, sources: Sequence[Source]) -> Json:
    """`plan` without its program.

    Args:
        sources: the texts that places point into, as `fuse_ref.ir.json.encoded` gives them.

    Raises:
        NotAPlan: a place in another text.
    """
    numbers = {id(source): number for number, source in enumerate(sources)}
    return [_encode(getattr(plan, item.name), numbers) for item in dataclasses.fields(Plan) if item.name != _WITHOUT]


def plan_from_json(data: object, program: ProgramIR, sources: Sequence[Source]) -> Plan:
    """The inverse of `plan_to_json`.

    Args:
        program: of the plan that was written.
        sources: the texts of `program`, in the order in which they were when it was written.

    Raises:
        NotAPlan: data of another form.
    """
    names = [item.name for item in dataclasses.fields(Plan) if item.name != _WITHOUT]
    if not isinstance(data, list) or len(data) != len(names):
        raise NotAPlan("it has other parts than a plan")
    kinds = _field_types(Plan)
    parts = {name: _reader(kinds[name])(item, sources) for name, item in zip(names, data, strict=True)}
    return Plan(program, **parts)  # type: ignore[arg-type]


def _encode(value: object, numbers: Mapping[int, int]) -> Json:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if value - value == 0 else {"float": repr(value)}
        case tuple():
            return [_encode(item, numbers) for item in value]
        case Span(source, start, end):
            if id(source) not in numbers:
                raise NotAPlan(f"a place in {source.name}, which is no text of the program")
            return {"span": [numbers[id(source)], start, end]}
        case _:
            assert dataclasses.is_dataclass(value), type(value)
            fields = [_encode(getattr(value, item.name), numbers) for item in dataclasses.fields(value)]
            return {type(value).__name__: fields}


# Reading --------------------------------------------------------------------------------------

_Sources: TypeAlias = Sequence[Source]
_Reader: TypeAlias = Callable[[object, _Sources], object]


@cache
def _field_types(kind: type) -> Mapping[str, object]:
    return typing.get_type_hints(kind)


@cache
def _reader(kind: object) -> _Reader:
    """What reads a value of the type `kind`."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return lambda value, _: _expect(value, any(type(value) is type(a) and value == a for a in arguments), kind)
    if origin is tuple:
        if arguments[-1:] == (Ellipsis,):
            every = _reader(arguments[0])
            return lambda value, sources: tuple([every(item, sources) for item in _items(value, None)])
        each = tuple(_reader(argument) for argument in arguments)
        return lambda value, sources: tuple(
            [read(item, sources) for read, item in zip(each, _items(value, len(each)), strict=True)]
        )
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if kind is float:
        return _float
    if kind is Span:
        return _span
    if isinstance(kind, type) and kind.__name__ in _CLASSES:
        return _instance(kind)
    assert kind in (int, str, bool, type(None)), kind
    return lambda value, _: _expect(value, type(value) is kind, kind)


def _union(arguments: Sequence[object]) -> _Reader:
    """A class is told by its name, anything else by its JSON type."""
    classes = {a.__name__: a for a in arguments if isinstance(a, type) and a.__name__ in _CLASSES}
    others = [argument for argument in arguments if argument not in classes.values()]

    def read(value: object, sources: _Sources) -> object:
        if isinstance(value, dict):
            (name,) = value if len(value) == 1 else ("",)
            if name in classes:
                return _reader(classes[name])(value, sources)
        for other in others:
            try:
                return _reader(other)(value, sources)
            except NotAPlan:
                continue
        raise NotAPlan(f"{value!r:.40} is of no type that stands there")

    return read


def _instance(kind: type) -> _Reader:
    names = [item.name for item in dataclasses.fields(kind)]
    kinds = _field_types(kind)
    # Made when first used, since lengths contain lengths.
    readers: list[_Reader] = []

    def read(value: object, sources: _Sources) -> object:
        if not isinstance(value, dict) or list(value) != [kind.__name__]:
            raise NotAPlan(f"{value!r:.40} is no {kind.__name__}")
        if not readers:
            readers.extend(_reader(kinds[name]) for name in names)
        fields = _items(value[kind.__name__], len(names))
        return kind(*[reader(item, sources) for reader, item in zip(readers, fields, strict=True)])

    return read


def _items(value: object, count: int | None) -> list[object]:
    if not isinstance(value, list) or (count is not None and len(value) != count):
        raise NotAPlan(f"{value!r:.40} is no list of {'values' if count is None else count}")
    return value


def _expect(value: object, fits: bool, kind: object) -> object:
    if not fits:
        raise NotAPlan(f"{value!r:.40} is no {kind}")
    return value


def _float(value: object, _: _Sources) -> float:
    match value:
        case float():
            return value
        case {"float": ("nan" | "inf" | "-inf") as text}:
            return float(text)
        case _:
            raise NotAPlan(f"{value!r:.40} is no float")


def _span(value: object, sources: _Sources) -> Span:
    match value:
        case {"span": [int(number), int(start), int(end)]} if 0 <= number < len(sources):
            if 0 <= start <= end <= len(sources[number].text):
                return Span(sources[number], start, end)
    raise NotAPlan(f"{value!r:.40} is no place in the text")
