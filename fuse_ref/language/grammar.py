"""The tables that fuse.lark comes to: read from fuse.json, or made by Lark where that file is of another grammar.

Lark takes a tenth of a second for its tables, longer than a small program runs. They are made when
fuse.lark changes:

    python -m fuse_ref.language.grammar
"""

from __future__ import annotations

import json
import logging
import pkgutil
import re
import sys
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from fuse_ref.language.tokens import RESERVED

__all__ = ["Grammar", "Reduction", "grammar", "made_by_lark", "read", "written"]

_STARTS = ("statement", "question")
_LOG = logging.getLogger(__name__)


class Reduction(NamedTuple):
    """What one alternative of a rule does with the values of its right-hand side."""

    rule: str
    size: int  # of the right-hand side
    method: str  # of Builder; "" for a rule whose values go to the one that uses it
    single: bool  # one value alone passes through
    spread: tuple[int, ...]  # places of values that are such lists


class Grammar(NamedTuple):
    terminals: tuple[tuple[str, str], ...]  # name and pattern; the first that matches counts
    words: dict[str, str]  # reserved word -> its terminal
    reductions: tuple[Reduction, ...]
    # For each state: symbol -> the state after it, or -1 - the number of the reduction.
    states: tuple[dict[str, int], ...]
    starts: dict[str, tuple[int, int]]  # the first state and the last of a start rule


def grammar() -> Grammar:
    """The tables of fuse.lark."""
    text, tables = _data("fuse.lark"), _data("fuse.json")
    found = read(tables, _mark(text))
    if found is None:
        _LOG.warning("fuse.json is of another fuse.lark: the tables are made again, which takes a tenth of a second")
        return made_by_lark(text)
    return found


def read(tables: str, mark: int) -> Grammar | None:
    """The tables in the text of fuse.json; None where they are of a grammar with another mark."""
    data = json.loads(tables)
    if data["mark"] != mark:
        return None
    return Grammar(
        tuple((name, pattern) for name, pattern in data["terminals"]),
        data["words"],
        tuple(
            Reduction(rule, size, method, single, tuple(spread))
            for rule, size, method, single, spread in data["reductions"]
        ),
        tuple(data["states"]),
        {start: (first, last) for start, (first, last) in data["starts"].items()},
    )


def written(found: Grammar, text: str) -> str:
    """The text of fuse.json, a line for each row."""
    parts = {"mark": str(_mark(text)), "starts": json.dumps(found.starts), "words": json.dumps(found.words)}
    for name in ("terminals", "reductions", "states"):
        rows = (json.dumps(row, ensure_ascii=True, separators=(",", ":")) for row in getattr(found, name))
        parts[name] = "[\n" + ",\n".join(rows) + "\n]"
    return "{\n" + ",\n".join(f'"{name}": {part}' for name, part in parts.items()) + "\n}\n"


def made_by_lark(text: str) -> Grammar:
    """The tables of a grammar's text.

    States and reductions are numbered in an order that follows from the grammar alone.
    """
    # Lark is as slow to import as the tables are to read.
    from lark import Lark

    lark = Lark(text, parser="lalr", lexer="basic", start=list(_STARTS), maybe_placeholders=False)
    front: Any = lark.parser
    table = front.parser._parse_table
    # A row has the number of the state to go to, or the rule to reduce by.
    rows: dict[int, list[tuple[str, Any]]] = {
        state: sorted((symbol, aim) for symbol, (_, aim) in row.items()) for state, row in table.states.items()
    }
    rules = {_key(aim): aim for row in rows.values() for _, aim in row if not isinstance(aim, int)}
    numbers = {key: number for number, key in enumerate(sorted(rules))}
    order: dict[int, int] = {}
    waiting = [table.start_states[start] for start in _STARTS]
    while waiting:
        state = waiting.pop(0)
        if state not in order:
            order[state] = len(order)
            waiting.extend(aim for _, aim in rows[state] if isinstance(aim, int))
    states = tuple(
        {symbol: order[aim] if isinstance(aim, int) else -1 - numbers[_key(aim)] for symbol, aim in rows[state]}
        for state in order
    )
    starts = {start: (order[table.start_states[start]], order[table.end_states[start]]) for start in _STARTS}
    terminals, reductions = _terminals(lark.terminals), tuple(_reduction(rules[key]) for key in sorted(rules))
    return Grammar(terminals, _words(terminals), reductions, states, starts)


def _key(rule: Any) -> tuple[str, ...]:
    return (rule.origin.name, *(symbol.name for symbol in rule.expansion))


def _reduction(rule: Any) -> Reduction:
    if any(symbol.is_term and symbol.filter_out for symbol in rule.expansion):
        raise ValueError(f"{rule}: Builder is given every token, so each has a name without '_' before it")
    inlined = rule.origin.name.startswith("_")
    method = "" if inlined else str(rule.alias or rule.origin.name)
    single = rule.options.expand1 and not rule.alias
    spread = tuple(at for at, symbol in enumerate(rule.expansion) if not symbol.is_term and symbol.name.startswith("_"))
    return Reduction(str(rule.origin.name), len(rule.expansion), method, single, spread)


def _terminals(found: Any) -> tuple[tuple[str, str], ...]:
    """In Lark's own order: priority, then the longest possible match, then the longest pattern."""
    ordered = sorted(
        (terminal for terminal in found if terminal.pattern is not None),
        key=lambda t: (-t.priority, -t.pattern.max_width, -len(t.pattern.value), t.name),
    )
    return tuple((str(terminal.name), terminal.pattern.to_regexp()) for terminal in ordered)


def _words(terminals: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """ "in" is reserved and has no terminal yet; a token IN fits nowhere."""
    others = [(name, pattern) for name, pattern in terminals if name != "NAME"]
    return {
        word: next((name for name, pattern in others if re.fullmatch(pattern, word)), "IN") for word in sorted(RESERVED)
    }


def _mark(text: str) -> int:
    """Tells one grammar from another; line ends do not count."""
    return zlib.crc32("\n".join(text.splitlines()).encode())


def _data(name: str) -> str:
    data = pkgutil.get_data("fuse_ref.language", name)
    if data is None:
        raise FileNotFoundError(name)
    return data.decode("utf-8")


def main(folder: Path = Path(__file__).parent) -> None:
    """Writes fuse.json."""
    text = (folder / "fuse.lark").read_text(encoding="utf-8")
    found = made_by_lark(text)
    (folder / "fuse.json").write_text(written(found, text), encoding="utf-8")
    sys.stdout.write(f"fuse.json: {len(found.states)} states, {len(found.reductions)} reductions\n")


if __name__ == "__main__":
    main()
