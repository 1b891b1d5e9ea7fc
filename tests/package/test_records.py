"""`fuse_ref.records.dataclass` makes what the standard decorator makes."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

import fuse_ref
from fuse_ref.records import dataclass

Decorator = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: tuple[int, ...] = ()
    note: str = dataclasses.field(default="", compare=False, repr=False)

    def moved(self) -> Point:
        return dataclasses.replace(self, x=self.x + 1)


@dataclasses.dataclass(frozen=True, slots=True)
class Standard:
    x: int
    y: tuple[int, ...] = ()
    note: str = dataclasses.field(default="", compare=False, repr=False)


def project_classes() -> list[type[Any]]:
    found: dict[str, type[Any]] = {}
    for module in pkgutil.walk_packages(fuse_ref.__path__, "fuse_ref."):
        if not module.name.startswith(("fuse_ref.demo", "fuse_ref.cli.__main__")):
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, type) and dataclasses.is_dataclass(value):
                    found[f"{value.__module__}.{value.__qualname__}"] = value
    ours = [found[name] for name in sorted(found) if found[name].__module__.startswith("fuse_ref.")]
    return [cls for cls in ours if vars(cls)["__dataclass_params__"].frozen and "__slots__" in vars(cls)]


def written(cls: type[Any], name: str) -> bool:
    """Whether the class has a method of its own text."""
    method: Any = inspect.unwrap(getattr(cls, name))
    return str(getattr(method, "__code__", remade.__code__).co_filename) == inspect.getfile(cls)


def remade(cls: type[Any]) -> type[Any]:
    """The same fields and bases, by the standard decorator."""
    fields = []
    for field in dataclasses.fields(cls):
        names = ("default", "default_factory", "init", "repr", "hash", "compare", "kw_only")
        fields.append((field.name, field.type, dataclasses.field(**{name: getattr(field, name) for name in names})))
    params = vars(cls)["__dataclass_params__"]
    return dataclasses.make_dataclass(cls.__name__, fields, frozen=True, slots=True, eq=params.eq)


def test_every_class_of_the_package_is_as_the_standard_one() -> None:
    classes = project_classes()
    assert len(classes) > 200
    for cls in classes:
        there = remade(cls)
        assert inspect.signature(cls) == inspect.signature(there), cls
        assert cls.__match_args__ == there.__match_args__, cls
        assert repr(vars(cls)["__dataclass_params__"]) == repr(vars(there)["__dataclass_params__"]), cls
        assert [repr(field) for field in dataclasses.fields(cls)] == [
            repr(field) for field in dataclasses.fields(there)
        ]
        values = {field.name: (field.name, 1) for field in dataclasses.fields(cls) if field.init}
        if hasattr(cls, "__post_init__"):
            continue
        one, other = cls(**values), there(**values)
        if not written(cls, "__repr__"):
            assert repr(one).rpartition(".")[2] == repr(other).rpartition(".")[2], cls
        if not written(cls, "__hash__") and vars(cls)["__dataclass_params__"].eq:
            assert hash(one) == hash(other), cls
        for field in dataclasses.fields(cls):
            assert getattr(one, field.name) == getattr(other, field.name)


def test_values() -> None:
    one, same, noted = Point(1, (2,)), Point(x=1, y=(2,)), Point(1, (2,), "here")
    there: object = Standard(1, (2,), "here")
    assert one == same == noted
    assert one != Point(2, (2,))
    assert one != there
    assert one.__eq__(there) is NotImplemented
    assert hash(one) == hash(noted) == hash(there)
    assert repr(noted) == "Point(x=1, y=(2,))"
    assert Point(3) == Point(3, ())
    assert one.moved() == Point(2, (2,))
    assert dataclasses.asdict(noted) == {"x": 1, "y": (2,), "note": "here"}
    assert pickle.loads(pickle.dumps(noted)).note == copy.copy(noted).note == copy.deepcopy(noted).note == "here"
    match noted:
        case Point(x, y, note):
            assert (x, y, note) == (1, (2,), "here")
    assert Point.__doc__ == "Point(x: 'int', y: 'tuple[int, ...]' = (), note: 'str' = '')"
    assert Standard.__doc__ == "Standard(x: 'int', y: 'tuple[int, ...]' = (), note: 'str' = '')"
    assert Point.__init__.__qualname__ == "Point.__init__"


def test_nothing_changes_a_value() -> None:
    one: Any = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'x'"):
        one.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'x'"):
        del one.x
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.other = 2
    assert not hasattr(one, "__dict__")
    assert one == Point(1)


@pytest.mark.parametrize("arguments", [(), (1, 2, 3, 4)])
def test_wrong_arguments_are_refused_as_by_the_standard_class(arguments: tuple[int, ...]) -> None:
    with pytest.raises(TypeError) as found:
        Point(*arguments)  # type: ignore[arg-type]
    with pytest.raises(TypeError) as expected:
        Standard(*arguments)  # type: ignore[arg-type]
    assert str(found.value) == str(expected.value).replace("Standard", "Point")


def test_a_value_that_holds_itself_has_a_text() -> None:
    inside: list[Any] = []
    one = Point(1, inside)  # type: ignore[arg-type]
    inside.append(one)
    assert repr(one) == "Point(x=1, y=[...])"


def inherited(decorate: Decorator) -> list[Any]:
    @decorate(frozen=True, slots=True)
    class Base:
        first: int

        def __post_init__(self) -> None:
            assert self.first != 13

    @decorate(frozen=True, slots=True)
    class Derived(Base):
        second: int = 2
        shared: ClassVar[int] = 5

    @decorate(frozen=True, slots=True)
    class Plain(Base):
        hash: int = 3

    @decorate(frozen=True, slots=True, eq=False)
    class Same:
        first: int

        def __repr__(self) -> str:
            return "mine"

    @decorate(frozen=True, slots=True)
    class Own:
        first: int

        def __hash__(self) -> int:
            return 7

    @decorate(frozen=True, slots=True)
    class Nothing:
        pass

    kinds: tuple[Any, ...] = (Base, Derived, Plain, Same, Own)  # types, to a checker that does not know `decorate`
    values = [*(kind(1) for kind in kinds), Nothing()]
    base, derived, plain, same, own, nothing = values
    refused = False
    try:
        kinds[2](13)
    except AssertionError:
        refused = True
    return [
        *(repr(value).rpartition(".")[2] for value in values),
        *(hash(value) for value in (base, derived, plain, own, nothing)),
        *(type(value).__slots__ for value in values),
        (base == derived, kinds[2](1) == plain, kinds[3](1) == same, own == kinds[4](1), nothing == Nothing()),
        refused,
    ]


def test_bases_and_methods_of_ones_own() -> None:
    assert inherited(dataclass) == inherited(dataclasses.dataclass)


@pytest.mark.parametrize("decorate", [dataclass, dataclasses.dataclass])
def test_wrong_classes_are_refused(decorate: Decorator) -> None:
    with pytest.raises(TypeError, match="non-default argument"):

        @decorate(frozen=True, slots=True)
        class _Order:
            first: int = 1
            second: int

    with pytest.raises(ValueError, match="mutable default"):

        @decorate(frozen=True, slots=True)
        class _Mutable:
            first: list[int] = []  # noqa: RUF012

    with pytest.raises(TypeError, match="__setattr__"):

        @decorate(frozen=True, slots=True)
        class _Setting:
            first: int

            def __setattr__(self, name: str, value: object) -> None: ...
