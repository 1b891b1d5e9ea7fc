"""The IR as JSON and back, and the digest that names a program's meaning."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from fuse_ref.ir import index, nodes
from fuse_ref.ir.nodes import ProgramIR
from fuse_ref.mistakes import mistake
from fuse_ref.source import Source, Span

__all__ = ["FORMAT_VERSION", "Json", "decoded", "digest", "encoded", "from_json", "to_json"]

# What json.dumps takes.
Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

FORMAT_VERSION = 1
_FORMAT = "fuse-program"
_CLASSES: dict[str, type] = {
    item.__name__: item
    for module in (index, nodes)
    for item in vars(module).values()
    if isinstance(item, type) and dataclasses.is_dataclass(item) and item.__module__ == module.__name__
}
# Two index forms share the name of nothing in nodes; a clash would make files ambiguous.
assert len(_CLASSES) == sum(
    isinstance(item, type) and dataclasses.is_dataclass(item) and item.__module__ == module.__name__
    for module in (index, nodes)
    for item in vars(module).values()
)


def to_json(program: ProgramIR, source: Source) -> dict[str, Json]:
    """`program` as JSON data; the text goes along so that later errors can still show their place."""
    sources = [source]
    encoded = _encode(program, sources)
    found: dict[str, Json] = {
        "format": _FORMAT,
        "version": FORMAT_VERSION,
        "name": source.name,
        "text": source.text,
        "program": encoded,
    }
    if len(sources) > 1:
        found["imports"] = [{"name": item.name, "text": item.text} for item in sources[1:]]
    return found


def encoded(program: ProgramIR) -> tuple[Json, tuple[Source, ...]]:
    """`program` as JSON data with its places, and the texts that these point into: its own, those of imports."""
    sources: list[Source] = []
    return _encode(program, sources), tuple(sources)


def decoded(data: object, sources: Sequence[Source]) -> ProgramIR:
    """The inverse of `encoded`.

    Raises:
        ConfigError: data that is no program.
    """
    program = _decode(data, sources)
    if not isinstance(program, ProgramIR):
        raise mistake("FUSE127", reason="it holds no program")
    return program


def from_json(data: object) -> tuple[ProgramIR, Source]:
    """The inverse of `to_json`.

    Raises:
        ConfigError: another format or version, or data that is no program.
    """
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise mistake("FUSE127", reason=f"it is not of the format {_FORMAT!r}")
    if data.get("version") != FORMAT_VERSION:
        raise mistake("FUSE127", reason=f"it has format version {data.get('version')}, and this is {FORMAT_VERSION}")
    text, name = data.get("text"), data.get("name")
    if not isinstance(text, str) or not isinstance(name, str):
        raise mistake("FUSE127", reason="its text is missing")
    source = Source(text, name)
    program = _decode(data.get("program"), (source, *_imports(data.get("imports", []))))
    if not isinstance(program, ProgramIR):
        raise mistake("FUSE127", reason="it holds no program")
    return program, source


def digest(program: ProgramIR) -> str:
    """SHA-256 (hex) of what the program means: layout, comments and places do not count."""
    text = json.dumps(_encode(program, None), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _imports(data: object) -> Iterator[Source]:
    """The texts of imported files, which places point into."""
    for item in data if isinstance(data, list) else [None]:
        match item:
            case {"name": str(name), "text": str(text)}:
                yield Source(text, name)
            case _:
                raise mistake("FUSE127", reason="the text of an import is missing")


def _encode(value: object, sources: list[Source] | None) -> Json:
    """`value` as JSON; places go along when `sources` takes the texts that they point into, the program's first."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            # Python's JSON would write NaN and Infinity, which other readers refuse.
            return value if value - value == 0 else {"node": "float", "text": repr(value)}
        case tuple():
            return [_encode(item, sources) for item in value]
        case Span(source, start, end):
            assert sources is not None
            number = next((k for k, item in enumerate(sources) if item is source), len(sources))
            if number == len(sources):
                sources.append(source)
            return {"node": "Span", "at": [start, end], **({"in": number} if number else {})}
        case _:
            assert dataclasses.is_dataclass(value), type(value)
            found: dict[str, Json] = {"node": type(value).__name__}
            for item in dataclasses.fields(value):
                if item.compare or sources is not None:
                    found[item.name] = _encode(getattr(value, item.name), sources)
            return found


def _decode(value: object, sources: Sequence[Source]) -> object:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case list():
            return tuple(_decode(item, sources) for item in value)
        case {"node": "float", "text": str(text)}:
            return float(text)
        case {"node": "Span", "at": [int(start), int(end)], **more}:
            number = more.get("in", 0)
            if not isinstance(number, int) or not 0 <= number < len(sources):
                raise mistake("FUSE127", reason="the text of an import is missing")
            if not 0 <= start <= end <= len(sources[number].text):
                raise mistake("FUSE127", reason="a place lies outside its text")
            return Span(sources[number], start, end)
        case {"node": str(name), **fields} if name in _CLASSES:
            kind = _CLASSES[name]
            known = {item.name for item in dataclasses.fields(kind)}
            if set(fields) != known:
                raise mistake("FUSE127", reason=f"a {name} has other fields than this version's")
            return kind(**{str(key): _decode(item, sources) for key, item in fields.items()})
        case _:
            raise mistake("FUSE127", reason="it holds something that no program has")
