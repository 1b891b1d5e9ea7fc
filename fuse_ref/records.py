"""`dataclass` as in the standard library, made in a fifth of the time: the package has some three hundred of them.

The standard decorator writes six methods of every class as text and compiles them, half a millisecond
a class and most of the time that the import took. Here a method is compiled once for each number of
fields, and a class gets a copy in which its own names stand. What a class can do is the same, and for
tools it is a dataclass: `fields`, `replace`, `asdict`, pickling, `match` and signatures work. A class
that is not plainly frozen with slots goes to the standard decorator.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from functools import cache
from reprlib import recursive_repr
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

_object = object  # the compiled methods reach it by this name, whatever the fields are called


# Classes of the standard decorator, to take from them what is the same for every class.
@dataclasses.dataclass(frozen=True, slots=True)
class _Compared:
    field: int


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Same:
    field: int


_FIELD: Any = dataclasses.fields(_Compared)[0]
_SHARED = {
    name: vars(_Compared)[name] for name in ("__getstate__", "__setstate__", "__replace__") if name in vars(_Compared)
}
_PARAMS: dict[bool, Any] = {
    made.__dict__["__dataclass_params__"].eq: made.__dict__["__dataclass_params__"] for made in (_Compared, _Same)
}
# An annotation with one of these words may be more than a type; the standard decorator knows.
_SPECIAL = ("ClassVar", "InitVar", "KW_ONLY")


def _placeholders(count: int) -> tuple[str, ...]:
    return tuple(f"_fuse_field_{number}" for number in range(count))


def _compiled(name: str, text: str) -> CodeType:
    space: dict[str, Any] = {}
    exec(text, space)  # made here out of numbers alone
    code: CodeType = space[name].__code__
    return code


@cache
def _init_template(count: int, then: bool) -> CodeType:
    names = _placeholders(count)
    lines = [f"    _object.__setattr__(self, {name!r}, {name})" for name in names]
    lines.append("    self.__post_init__()" if then else "    pass")
    return _compiled("__init__", f"def __init__({', '.join(('self', *names))}):\n" + "\n".join(lines))


@cache
def _eq_template(count: int) -> CodeType:
    here, there = ("".join(f"{one}.{name}, " for name in _placeholders(count)) for one in ("self", "other"))
    lines = (
        "def __eq__(self, other):",
        "    if other.__class__ is self.__class__:",
        f"        return ({here}) == ({there})",
        "    return NotImplemented",
    )
    return _compiled("__eq__", "\n".join(lines))


@cache
def _hash_template(count: int) -> CodeType:
    values = "".join(f"self.{name}, " for name in _placeholders(count))
    return _compiled("__hash__", f"def __hash__(self):\n    return hash(({values}))")


def _function(template: CodeType, fields: tuple[str, ...], cls: type[Any]) -> FunctionType:
    """The template with the class's names in the places of the placeholders."""
    named = dict(zip(_placeholders(len(fields)), fields, strict=True))
    qualified = f"{cls.__qualname__}.{template.co_name}"
    code = template.replace(
        co_names=tuple(named.get(name, name) for name in template.co_names),
        co_varnames=tuple(named.get(name, name) for name in template.co_varnames),
        co_consts=tuple(named.get(value, value) if type(value) is str else value for value in template.co_consts),
        co_qualname=qualified,
    )
    made = FunctionType(code, globals())
    made.__module__ = cls.__module__
    return made


@recursive_repr()
def _repr(self: Any) -> str:
    fields = self.__dataclass_fields__.values()
    values = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields if field.repr)
    return f"{self.__class__.__qualname__}({values})"


def _guards(names: frozenset[str]) -> tuple[Callable[[Any, str, object], None], Callable[[Any, str], None], list[Any]]:
    """What refuses to change a field; the list takes the class when it is made."""
    of: list[Any] = []

    def __setattr__(self: Any, name: str, value: object) -> None:
        if type(self) is of[0] or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(of[0], self).__setattr__(name, value)

    def __delattr__(self: Any, name: str) -> None:
        if type(self) is of[0] or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(of[0], self).__delattr__(name)

    return __setattr__, __delattr__, of


def _plain(field: Any) -> bool:
    """Whether a field is a parameter of `__init__` with at most a default, as most are."""
    missing = dataclasses.MISSING
    made = field.init and field.hash is None and field.default_factory is missing
    return made and field.kw_only in (missing, False)


def _fields(cls: type[Any]) -> dict[str, Any] | None:
    """The class's fields with those of its bases, or None where one is not plain."""
    inherited: dict[str, Any] = {}
    for base in reversed(cls.__mro__[1:]):
        inherited |= vars(base).get("__dataclass_fields__", {})
    own: dict[str, Any] = {}
    types = inspect.get_annotations(cls)
    for name, text in types.items():
        value = cls.__dict__.get(name, dataclasses.MISSING)
        field: Any = value if isinstance(value, dataclasses.Field) else dataclasses.field(default=value)
        if (
            not isinstance(text, str)
            or any(word in text for word in _SPECIAL)
            or field.default.__class__.__hash__ is None
        ):
            return None
        own[name] = field
    found = inherited | own
    without = [field.default is dataclasses.MISSING for field in found.values()]
    if "self" in found or without != sorted(without, reverse=True) or not all(map(_plain, found.values())):
        return None
    for name, field in own.items():
        field.name, field.type, field.kw_only, field._field_type = name, types[name], False, _FIELD._field_type
    return found


def _unusual(cls: type[Any], eq: bool) -> bool:
    """Whether the class itself says something about what is made here."""
    said = {"__slots__", "__setattr__", "__delattr__", "__init__", "__match_args__", "__getstate__", "__setstate__"}
    space = cls.__dict__
    bases = (vars(base).get("__dataclass_params__") for base in cls.__mro__[1:])
    thawed = any(params is not None and not params.frozen for params in bases)
    return thawed or any(name in space for name in said) or (eq and ("__eq__" in space or "__hash__" in space))


def _doc(cls: type[Any], fields: dict[str, Any]) -> str:
    """The signature, as the standard decorator documents a class that has no text."""
    parameters = []
    for name, field in fields.items():
        default = "" if field.default is dataclasses.MISSING else f" = {field.default!r}"
        parameters.append(f"{name}: {field.type!r}{default}")
    return f"{cls.__name__}({', '.join(parameters)})"


def _frozen(cls: type[Any], eq: bool) -> type[Any]:
    fields = None if _unusual(cls, eq) else _fields(cls)
    if fields is None:
        made: type[Any] = dataclasses.dataclass(frozen=True, slots=True, eq=eq)(cls)
        return made
    names = tuple(fields)
    init = _function(_init_template(len(names), hasattr(cls, "__post_init__")), names, cls)
    init.__defaults__ = tuple(f.default for f in fields.values() if f.default is not dataclasses.MISSING) or None
    init.__annotations__ = {name: field.type for name, field in fields.items()} | {"return": None}
    space = {name: value for name, value in cls.__dict__.items() if name not in fields}
    inherited = {name for base in cls.__mro__[1:-1] for name in vars(base).get("__slots__", ())}
    for name in ("__dict__", "__weakref__"):
        space.pop(name, None)
    setting, deleting, of = _guards(frozenset(names))
    space |= _SHARED | {
        "__slots__": tuple(name for name in names if name not in inherited),
        "__dataclass_fields__": fields,
        "__dataclass_params__": _PARAMS[eq],
        "__match_args__": names,
        "__init__": init,
        "__setattr__": setting,
        "__delattr__": deleting,
    }
    space.setdefault("__repr__", _repr)
    if eq:
        compared = tuple(name for name, field in fields.items() if field.compare)
        space["__eq__"] = _function(_eq_template(len(compared)), compared, cls)
        space["__hash__"] = _function(_hash_template(len(compared)), compared, cls)
    if space.get("__doc__") is None:
        space["__doc__"] = _doc(cls, fields)
    kind: Callable[[str, tuple[type, ...], dict[str, Any]], type[Any]] = type(cls)
    made = kind(cls.__name__, cls.__bases__, space)
    made.__qualname__ = cls.__qualname__
    of.append(made)
    return made


if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls=None, /, *, frozen=False, slots=False, eq=True, **others):
        """`dataclasses.dataclass`; a class that is frozen, with slots and nothing else is made here."""

        def decorate(cls):
            if frozen and slots and not others:
                return _frozen(cls, eq)
            return dataclasses.dataclass(frozen=frozen, slots=slots, eq=eq, **others)(cls)

        return decorate if cls is None else decorate(cls)
