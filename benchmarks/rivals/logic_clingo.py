"""clingo: the rules as they are; grounding alone derives everything."""

from __future__ import annotations

import sys
from pathlib import Path

import clingo

from benchmarks.rivals.logic_report import report

__all__ = ["PROGRAMS"]

PROGRAMS: dict[str, str] = {
    "closure": "path(X,Y) :- edge(X,Y). path(X,Z) :- path(X,Y), edge(Y,Z).",
    "generation": "same(X,Y) :- parent(X,P), parent(Y,P). same(X,Y) :- parent(X,P), same(P,Q), parent(Y,Q).",
    "andersen": (
        "points(Y,X) :- addr(Y,X). points(Y,X) :- assign(Y,Z), points(Z,X). "
        "points(Y,W) :- load(Y,X), points(X,Z), points(Z,W). points(Z,W) :- store(Y,X), points(Y,Z), points(X,W)."
    ),
    "reach": "reach(Y) :- edge(0,Y). reach(Y) :- reach(X), edge(X,Y).",
}

if __name__ == "__main__":
    _family, _folder = sys.argv[1:]
    _parts = [PROGRAMS[_family]]
    for _path in Path(_folder).glob("*.tsv"):
        _name = _path.stem.lower()
        _lines = _path.read_text(encoding="ascii").replace("\t", ",").split()
        _parts.append(f"{_name}({f'). {_name}('.join(_lines)}).")
    _control = clingo.Control(["--warn=none"])
    _control.add("base", [], "\n".join(_parts))
    _control.ground([("base", [])])
    _rule_heads = {"closure": ("path", 2), "generation": ("same", 2), "andersen": ("points", 2), "reach": ("reach", 1)}
    report(sum(1 for _ in _control.symbolic_atoms.by_signature(*_rule_heads[_family])))
