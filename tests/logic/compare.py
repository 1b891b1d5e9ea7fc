"""Logic programs by every way there is: Fuse on its engines and in its modes, Python sets, clingo, the oracle."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import clingo
import numpy as np

from fuse_ref import ExecutionConfig, Program
from fuse_ref.evaluate.relation import Relation
from tests.logic.by_sets import NEUTRAL, Row, answer, evaluate, reads_of, variables_of
from tests.logic.draw import draw
from tests.logic.sketch import Aggregate, Given, Rule, Sketch
from tests.support import oracle

__all__ = ["WAYS", "Problem", "by_clingo", "by_oracle", "examined", "inputs", "problems", "shrunken", "with_files"]

# A backend and a mode each.
WAYS: tuple[tuple[str, str], ...] = (("numpy", "auto"), ("numpy", "demand"))


@dataclass(frozen=True)
class Problem:
    way: str
    kind: str  # "crash", "relation", "number", "answer", "reference"
    words: str


def inputs(sketch: Sketch) -> dict[str, Any]:
    """What a call of the program gets."""
    values: dict[str, Any] = {}
    for item in sketch.given:
        match item.way:
            case "input":
                values[item.name] = list(item.tuples)
            case "indices":
                values[item.name] = np.array(item.tuples, np.int64).reshape(len(item.tuples), len(item.sorts))
            case "truth":
                values[item.name] = _truth(item, sketch.size)
    for name, sort, numbers in sketch.tensors:
        if sort == "n":
            values[name] = np.array([number for _, number in numbers], np.float64)
    text = sketch.text()
    return {name: value for name, value in values.items() if f"input {name}" in text}


def _truth(item: Given, size: int) -> np.ndarray:
    array = np.zeros((size,) * len(item.sorts), np.bool_)
    for row in item.tuples:
        array[row] = True
    return array


def with_files(sketch: Sketch, folder: Path) -> None:
    """The files of facts that the program reads."""
    for item in sketch.given:
        if item.way in (".tsv", ".csv"):
            text = io.StringIO()
            writer = csv.writer(text, delimiter="\t" if item.way == ".tsv" else ",", lineterminator="\n")
            writer.writerows(item.tuples)
            (folder / f"{item.name}{item.way}").write_text(text.getvalue(), encoding="utf-8")


def by_clingo(text: str) -> dict[str, set[Row]]:
    """The one answer set of a stratified program, by predicate; the names are `r_` and the relation's in lower case."""
    control = clingo.Control(["--warn=none"])
    control.add("base", [], text)
    control.ground([("base", [])])
    found: dict[str, set[Row]] = {}

    def keep(model: clingo.Model) -> None:
        for symbol in model.symbols(atoms=True):
            row = tuple(a.number if a.type == clingo.SymbolType.Number else a.string for a in symbol.arguments)
            found.setdefault(symbol.name, set()).add(row)

    assert control.solve(on_model=keep).satisfiable
    return found


def problems(sketch: Sketch, ways: tuple[tuple[str, str], ...] = WAYS, *, references: bool = True) -> list[Problem]:
    """Where ways differ from Python sets."""
    relations, numbers = evaluate(sketch)
    found: list[Problem] = []
    if references:
        found += _by_references(sketch, relations)
    for backend, mode in ways:
        # On demand little is wanted as a whole, so that queries decide.
        asked = replace(sketch, exports=sketch.exports[:1]) if mode == "demand" and sketch.queries else sketch
        found += _by_fuse(asked, backend, mode, relations, numbers)
    return found


def _by_references(sketch: Sketch, relations: dict[str, set[Row]]) -> Iterator[Problem]:
    text = sketch.clingo()
    if text is not None:
        found = by_clingo(text)
        for name, rows in relations.items():
            got = found.get(f"r_{name.lower()}", set())
            if got != rows:
                yield Problem("clingo", "reference", f"{name}: clingo has {got}, sets {rows}")
    if _dense(sketch):
        arrays = by_oracle(sketch)
        for name in sketch.exports:
            if name in relations and arrays[name].shape == (sketch.size,) * len(sketch.sorts[name]):
                got = {tuple(row) for row in np.argwhere(arrays[name]).tolist()}
                if got != relations[name]:
                    yield Problem("oracle", "reference", f"{name}: the oracle has {got}, sets {relations[name]}")


def _dense(sketch: Sketch) -> bool:
    """Whether the oracle, which goes through every position, can run the program, and soon."""
    small = sketch.size <= 4 and all(len(sorts) <= 3 for sorts in sketch.sorts.values())
    read = {name for rule in sketch.rules for name in reads_of(rule)}
    numbers = "s" not in "".join(sketch.sorts.values()) and "W" not in read
    return small and numbers and not any(item.way in (".tsv", ".csv") for item in sketch.given)


def _by_fuse(
    sketch: Sketch, backend: str, mode: str, relations: dict[str, set[Row]], numbers: dict[str, dict[Row, float]]
) -> Iterator[Problem]:
    way = f"{backend} {mode}"
    with tempfile.TemporaryDirectory() as folder:
        with_files(sketch, Path(folder))
        try:
            program = Program(sketch.text(), path=Path(folder) / "drawn.fuse")
            config = ExecutionConfig(mode=mode, precision="float32" if backend == "jax" else "float64")  # type: ignore[arg-type]
            runner = program.compile(backend, config=config)  # type: ignore[arg-type]
            results = runner(inputs(sketch))
            answers = runner.answers
        except Exception as error:  # noqa: BLE001 - whatever a program raises is what is looked for
            yield Problem(way, "crash", f"{type(error).__name__}: {error}")
            return
    symbols = runner.symbols
    for name, value in results.items():
        if isinstance(value, Relation):
            if set(value.rows) != relations[name] or len(value) != len(relations[name]):
                yield Problem(
                    way, "relation", f"{name} is {sorted(value.rows, key=str)}, not {sorted(relations[name], key=str)}"
                )
            continue
        (made,) = (rule for rule in sketch.rules if isinstance(rule, Aggregate) and rule.name == name)
        tables = [symbols.get(axis) for axis in program.tensors[name].axes]
        right = numbers[name]
        array = np.asarray(value)
        seen = 0
        for place in np.ndindex(array.shape):
            row = tuple(k if table is None else table[k] for k, table in zip(place, tables, strict=True))
            seen += row in right
            expected = right.get(row, NEUTRAL[made.operator])
            if not np.isclose(array[place], expected, rtol=1e-6, atol=1e-6):
                yield Problem(way, "number", f"{name}{list(row)} is {array[place]}, not {expected}")
                break
        if seen != len(right):
            yield Problem(way, "number", f"{name} lacks some of {sorted(right, key=str)}")
    for query, got in zip(sketch.queries, answers, strict=True):
        right_rows = answer(query, relations[query.relation])
        if set(got.rows) != right_rows or len(got) != len(right_rows):
            yield Problem(way, "answer", f"{query.fuse()} has {got.rows}, not {sorted(right_rows, key=str)}")


def by_oracle(sketch: Sketch) -> dict[str, np.ndarray]:
    """The exports by the oracle, which takes arrays."""
    text = replace(sketch, queries=(), tensors=tuple(item for item in sketch.tensors if item[1] == "n")).text()
    values = inputs(sketch)
    values |= {item.name: _truth(item, sketch.size) for item in sketch.given if item.name in values}
    return oracle.run(Program(text).explicit(), values).exports


def examined(seed: int, *, engines: int = 0) -> str:
    """What the program of a seed shows that is wrong, as a small program; "" where all agree."""
    sketch = draw(seed)
    ways = (*WAYS, ("torch", "auto"), ("jax", "auto")) if engines and seed % engines == 0 else WAYS
    found = problems(sketch, ways)
    if not found:
        return ""
    first = found[0]

    def alike(candidate: Sketch) -> list[Problem]:
        own = tuple(way for way in ways if " ".join(way) == first.way)
        each = problems(candidate, own, references=not own)
        kind = (first.way, first.kind, _cause(first))
        return [item for item in each if (item.way, item.kind, _cause(item)) == kind]

    smallest = shrunken(sketch, lambda candidate: bool(alike(candidate)))
    again = alike(smallest)
    lines = [smallest.text(), *(f"{item.name}: {item.way} {item.tuples}" for item in smallest.given)]
    return "\n".join([*lines, *(f"{item.way}, {item.kind}: {item.words}" for item in (again or found))])


def _cause(problem: Problem) -> str:
    return problem.words.partition(":")[0] if problem.kind == "crash" else ""


# Smaller ----------------------------------------------------------------------------------------


def shrunken(sketch: Sketch, fails: Callable[[Sketch], bool]) -> Sketch:
    """The smallest program found by leaving things out that still fails."""
    while True:
        smaller = next((each for each in _smaller(sketch) if fails(each)), None)
        if smaller is None:
            return sketch
        sketch = smaller


def _smaller(sketch: Sketch) -> Iterator[Sketch]:
    names = {rule.head.relation for rule in sketch.rules if isinstance(rule, Rule)}
    for name in sorted(names):
        kept = tuple(rule for rule in sketch.rules if not isinstance(rule, Rule) or rule.head.relation != name)
        yield from _consistent(replace(sketch, rules=kept))
    for place in range(len(sketch.rules)):
        yield from _consistent(replace(sketch, rules=sketch.rules[:place] + sketch.rules[place + 1 :]))
    for place in range(len(sketch.queries)):
        yield replace(sketch, queries=sketch.queries[:place] + sketch.queries[place + 1 :])
    for place, rule in enumerate(sketch.rules):
        for gone in range(len(rule.body)):
            body = rule.body[:gone] + rule.body[gone + 1 :]
            if body and _safe(rule, body):
                rules = (*sketch.rules[:place], replace(rule, body=body), *sketch.rules[place + 1 :])
                yield from _consistent(replace(sketch, rules=rules))
    for place, item in enumerate(sketch.given):
        for gone in range(len(item.tuples)):
            if item.way != "input" and len(item.tuples) == 1:
                continue
            less = replace(item, tuples=item.tuples[:gone] + item.tuples[gone + 1 :])
            yield replace(sketch, given=(*sketch.given[:place], less, *sketch.given[place + 1 :]))


def _safe(rule: Rule | Aggregate, body: tuple[Any, ...]) -> bool:
    bound, needed = variables_of(replace(rule, body=body))
    return needed <= bound


def _consistent(sketch: Sketch) -> Iterator[Sketch]:
    """The sketch without what is read but no longer there."""
    there = {item.name for item in sketch.given} | {name for name, _, _ in sketch.tensors}
    there |= {rule.name if isinstance(rule, Aggregate) else rule.head.relation for rule in sketch.rules}
    if any(not reads_of(rule) <= there for rule in sketch.rules) or not sketch.rules:
        return
    read = {name for rule in sketch.rules for name in reads_of(rule)}
    queries = tuple(query for query in sketch.queries if query.relation in there)
    exports = tuple(name for name in sketch.exports if name in there)
    if not exports:
        return
    read |= {query.relation for query in queries}
    given = tuple(item for item in sketch.given if item.name in read)
    sorts = {name: value for name, value in sketch.sorts.items() if name in there}
    tensors = tuple(item for item in sketch.tensors if item[0] in read)
    yield replace(sketch, queries=queries, exports=exports, given=given, sorts=sorts, tensors=tensors)
