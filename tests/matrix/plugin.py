"""A pytest plugin: runs the tests behind the support matrix alone and writes down which cells passed.

`python -m pytest -p tests.matrix.plugin --matrix docs/backend_matrix.json tests`, also under xdist.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.matrix.registry import FEATURE_TESTS

__all__ = ["Cell", "Recorder", "cells_of", "pytest_addoption", "pytest_configure"]

Cell: TypeAlias = tuple[str, str, str]  # row, engine, kind

# Of tests/agreement: file and function -> engine; "" takes the parameter `name`.
_AGREEMENT = {
    ("test_agreement", "test_values"): "",
    **{
        (f"test_compiled_{number}", f"test_float{bits}"): 'torch "fuse"'
        for number in ("first", "second", "third")
        for bits in (32, 64)
    },
    ("test_gradients", "test_torch"): "torch eager",
    ("test_gradients", "test_jax"): "JAX",
}
_NAMES = {"numpy": "NumPy", "torch": "torch eager", "jax": "JAX"}


def _node(nodeid: str) -> str:
    """A test without its parameters."""
    return nodeid.partition("[")[0]


def cells_of(nodeid: str, params: dict[str, Any]) -> list[Cell]:
    """The cells that a test shows when it passes; [] when it is behind none."""
    node = _node(nodeid)
    found = [
        (row, engine, kind)
        for row, engines in FEATURE_TESTS.items()
        for engine, (kind, tests) in engines.items()
        if node in tests
    ]
    path, _, function = node.partition("::")
    key = (Path(path).stem, function)
    if path.startswith("tests/agreement/") and key in _AGREEMENT and "case" in params:
        # Imported here: programs are read only where their tests run.
        from tests.agreement.engines import program_of
        from tests.matrix.rows import rows_of

        engine = _AGREEMENT[key] or _NAMES[params["name"]]
        if key[0] == "test_gradients":
            rows = {"gradients"}
        else:
            rows = rows_of(program_of(params["case"]))
            rows.add(params.get("precision") or function.removeprefix("test_"))
        found += [(row, engine, "native") for row in sorted(rows)]
    return found


class Recorder:
    """Collects on the controlling process what every worker reports."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.passed: dict[tuple[str, str], dict[str, Any]] = {}
        self.failed: set[tuple[str, str]] = set()
        self.programs: dict[tuple[str, str], set[str]] = defaultdict(set)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        kept, left = [], []
        for item in items:
            params = getattr(item, "callspec", None)
            cells = cells_of(item.nodeid, {} if params is None else params.params)
            if cells:
                case = None if params is None else params.params.get("case")
                item.user_properties.append(("matrix", [cells, getattr(case, "name", "")]))
                kept.append(item)
            else:
                left.append(item)
        items[:] = kept
        config.hook.pytest_deselected(items=left)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told = next((value for name, value in report.user_properties if name == "matrix"), None)
        if told is None:
            return
        cells, case = told
        for row, engine, kind in cells:  # type: ignore[misc]
            if report.failed:
                self.failed.add((row, engine))
            elif report.when == "call":
                entry = self.passed.setdefault((row, engine), {"kind": kind, "tests": set()})
                entry["tests"].add(_node(report.nodeid))
                if case:
                    self.programs[row, engine].add(str(case))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workerinput"):
            return  # a worker: the controlling process writes
        result: dict[str, dict[str, Any]] = {}
        for (row, engine), entry in sorted(self.passed.items()):
            if (row, engine) not in self.failed:
                programs = sorted(self.programs[row, engine])
                shown = {"programs": len(programs), "such_as": programs[:2]} if programs else {}
                result.setdefault(row, {})[engine] = {"kind": entry["kind"], "tests": sorted(entry["tests"]), **shown}
        # One line for a cell: a change shows as what it is.
        rows = [
            f" {json.dumps(row, ensure_ascii=False)}: {{\n"
            + ",\n".join(
                f"  {json.dumps(engine)}: {json.dumps(cell, ensure_ascii=False)}" for engine, cell in cells.items()
            )
            + "\n }"
            for row, cells in result.items()
        ]
        self.path.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--matrix", type=Path, default=None, help="file for the cells of the support matrix that passed")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--matrix")
    if path is not None:
        config.pluginmanager.register(Recorder(path), "matrix-recorder")
