"""`python -m tests.matrix.page`: docs/backend_matrix.md from the recorded cells; `--check` says what is stale."""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from tests.agreement.catalogue import CASES
from tests.matrix.registry import FEATURE_TESTS
from tests.matrix.rows import ENGINES, SECTIONS

__all__ = ["main", "rendered", "stale"]

Cells: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Any]]]  # row -> engine -> what was recorded

ROOT = Path(__file__).parent.parent.parent
RECORDED = ROOT / "docs" / "backend_matrix.json"
PAGE = ROOT / "docs" / "backend_matrix.md"

_HEAD = """# What runs where

Made by `make matrix` from the tests that passed; nothing here is claimed without one. *native*: the engine computes it
itself. *routed*: another engine or the host does, and the result is handed over. *not yet*: no test shows it. A cell links
the tests behind it; `(n)` is the number of programs of the [agreement catalogue](../tests/agreement/catalogue.py) that show
it there, each compared with the oracle at two sizes with new values.
"""


def _cell(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "not yet"
    links = [
        f'[{i}](../{test.partition("::")[0]} "{test.partition("::")[2]}")' for i, test in enumerate(cell["tests"], 1)
    ]
    number = f" ({cell['programs']})" if "programs" in cell else ""
    return f"{cell['kind']}{number} {' '.join(links)}"


def rendered(cells: Cells) -> str:
    """The page of recorded cells."""
    lines = [_HEAD]
    for section, rows in SECTIONS.items():
        lines += [f"## {section}", "", f"| | {' | '.join(ENGINES)} |", f"|---|{'---|' * len(ENGINES)}"]
        for row in rows:
            shown = [_cell(cells.get(row, {}).get(engine)) for engine in ENGINES]
            lines.append(f"| {row} | {' | '.join(shown)} |")
        lines.append("")
    return "\n".join(lines)


def _tests_of(path: Path) -> set[str]:
    """Names of the test functions of a file, read without importing it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def stale(cells: Cells, page: str, root: Path = ROOT) -> list[str]:
    """What no longer fits, one sentence each; [] when the page is right."""
    known = {row for rows in SECTIONS.values() for row in rows}
    wrong = [f"row {row!r} is recorded and exists no longer" for row in cells if row not in known]
    wrong += [f"row {row!r} of the registry does not exist" for row in FEATURE_TESTS if row not in known]
    wrong += [f"function {row} has no row on the page" for row in SECTIONS["Functions"] if f"| {row} |" not in page]
    recorded = {test for engines in cells.values() for cell in engines.values() for test in cell["tests"]}
    registered = {test for engines in FEATURE_TESTS.values() for _, tests in engines.values() for test in tests}
    for test in sorted(recorded | registered):
        path, _, function = test.partition("::")
        if not (root / path).is_file():
            wrong.append(f"{path} does not exist")
        elif function not in _tests_of(root / path):
            wrong.append(f"{path} has no test {function}")
    cases = {case.name for case in CASES}
    for engines in cells.values():
        for cell in engines.values():
            wrong += [
                f"program {name!r} is no longer in the catalogue"
                for name in cell.get("such_as", ())
                if name not in cases
            ]
    for row, engines in FEATURE_TESTS.items():
        for engine, (kind, tests) in engines.items():
            found = cells.get(row, {}).get(engine)
            if found is not None and (found["kind"] != kind or not set(tests) <= set(found["tests"])):
                wrong.append(f"{row!r} on {engine} is recorded otherwise than the registry says")
    if page != rendered(cells):
        wrong.append("docs/backend_matrix.md is not what docs/backend_matrix.json gives")
    return list(dict.fromkeys(wrong))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix.page", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when the page is stale")
    options = parser.parse_args()
    cells = json.loads(RECORDED.read_text(encoding="utf-8"))
    if not options.check:
        PAGE.write_text(rendered(cells), encoding="utf-8")
    wrong = stale(cells, PAGE.read_text(encoding="utf-8"))
    for sentence in wrong:
        print(f"{sentence}; run make matrix", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
