"""Makes a disagreeing program smaller while it goes on disagreeing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.fuzz.sketch import Node, Sketch, Statement, leaf

__all__ = ["shrunken"]

# The smallest thing of each sort, tried in this order.
_LEAVES = {"value": ("C[i]", "S", "1"), "truth": ("R(j, k)", "S > 0"), "index": ("0", "i", "j", "k")}


def _without_statements(sketch: Sketch) -> Iterator[Sketch]:
    for at in reversed(range(len(sketch.statements))):
        statements = sketch.statements[:at] + sketch.statements[at + 1 :]
        defined = {statement.tensor for statement in statements}
        exports = tuple(name for name in sketch.exports if name in defined)
        if exports:
            yield replace(sketch, statements=statements, exports=exports)


def _with_one_export(sketch: Sketch) -> Iterator[Sketch]:
    defined = dict.fromkeys(s.tensor for s in sketch.statements if s.tensor)
    for name in reversed(defined):
        if sketch.exports != (name,):
            yield replace(sketch, exports=(name,))


def _simpler(node: Node) -> Iterator[Node]:
    """Smaller nodes of the same sort: what lies inside first, then leaves."""
    for path, part in node.walk():
        if path and part.sort == node.sort:
            yield part
    if node.parts or node.sort == "index":
        for text in _LEAVES[node.sort]:
            if node.text() != text:
                yield leaf(node.sort, text)


def _with_simpler_bodies(sketch: Sketch) -> Iterator[Sketch]:
    for at, statement in enumerate(sketch.statements):
        if statement.body is None:
            continue
        for path, node in statement.body.walk():
            for new in _simpler(node):
                body = statement.body.replaced(path, new)
                smaller = body.size() < statement.body.size() or len(body.text()) < len(statement.body.text())
                if smaller:
                    yield _with_statement(sketch, at, replace(statement, body=body))


def _with_simpler_heads(sketch: Sketch) -> Iterator[Sketch]:
    for at, statement in enumerate(sketch.statements):
        if statement.body is None:
            continue
        if statement.operator != "=":
            for other in ("=", "max="):
                if other != statement.operator:
                    same = {
                        i: replace(s, operator=other)
                        for i, s in enumerate(sketch.statements)
                        if s.tensor == statement.tensor
                    }
                    yield replace(sketch, statements=tuple(same.get(i, s) for i, s in enumerate(sketch.statements)))
        name, bracket, inner = statement.target.partition("[")
        indices = inner.removesuffix("]").split(", ") if bracket else []
        for place in range(len(indices)):
            fewer = indices[:place] + indices[place + 1 :]
            target = f"{name}[{', '.join(fewer)}]" if fewer else name
            yield _with_statement(sketch, at, replace(statement, target=target))


def _with_smaller_sizes(sketch: Sketch) -> Iterator[Sketch]:
    for letter, size in sketch.sizes.items():
        for smaller in (1, 2, size - 1):
            if 0 < smaller < size:
                yield replace(sketch, sizes={**sketch.sizes, letter: smaller})


def _with_statement(sketch: Sketch, at: int, statement: Statement) -> Sketch:
    return replace(sketch, statements=(*sketch.statements[:at], statement, *sketch.statements[at + 1 :]))


_PASSES = (_without_statements, _with_one_export, _with_simpler_bodies, _with_simpler_heads, _with_smaller_sizes)


def shrunken(sketch: Sketch, fails: Callable[[Sketch], bool], tries: int = 2000) -> Sketch:
    """The smallest program found that still fails; `fails` is asked at most `tries` times."""
    changed = True
    while changed:
        changed = False
        for smaller_ones in _PASSES:
            again = True
            while again:
                again = False
                for candidate in smaller_ones(sketch):
                    tries -= 1
                    if tries < 0:
                        return sketch
                    if fails(candidate):
                        sketch = candidate
                        again = changed = True
                        break
    return sketch
