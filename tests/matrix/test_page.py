"""The support matrix: what a test is behind, how the page looks, and that each kind of staleness is found."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from fuse_ref import Program
from tests.agreement.catalogue import CASES
from tests.matrix.page import PAGE, RECORDED, rendered, stale
from tests.matrix.plugin import cells_of
from tests.matrix.registry import FEATURE_TESTS
from tests.matrix.rows import ENGINES, SECTIONS, rows_of

CELLS: dict[str, Any] = {
    "`relu`": {
        "NumPy": {
            "kind": "native",
            "tests": ["tests/agreement/test_agreement.py::test_values"],
            "programs": 3,
            "such_as": [CASES[0].name],
        }
    },
    "export": {
        "JAX": {
            "kind": "native",
            "tests": ["tests/jax/test_graph_tools.py::test_exported_functions_take_every_length"],
        }
    },
}


def test_rows_of_a_program() -> None:
    program = Program(
        "input T[i]: int64\nY[x/2] max= relu(X[x+1]) + A[T[i]]\nZ[j] = sum(i: B[i, j]) ** 2\nZ[0] = 3\nexport Y, Z"
    )
    assert rows_of(program) == {
        "core execution",
        "`=`, `+=`",
        "`max=`",
        "writes quotient",
        "writes plain",
        "writes constant",
        "reads ahead",
        "reads plain",
        "reads gather",
        "`relu`",
        "`sum(j: …)`",
        "power",
        "several equations for one tensor",
        "facts and literals as base cases",
        "int64",
    }


def test_every_row_of_a_program_is_on_the_page() -> None:
    known = {row for rows in SECTIONS.values() for row in rows}
    for case in CASES[::9]:
        if not case.files:
            assert rows_of(Program(case.text)) <= known


def test_cells_of_tests() -> None:
    case = CASES[0]
    values = cells_of(
        "tests/agreement/test_agreement.py::test_values[x]", {"case": case, "name": "jax", "precision": "float32"}
    )
    assert ("core execution", "JAX", "native") in values
    assert ("float32", "JAX", "native") in values
    compiled = cells_of("tests/agreement/test_compiled_first.py::test_float64[x]", {"case": case})
    assert ("float64", 'torch "fuse"', "native") in compiled
    assert ("float32", 'torch "fuse"', "native") not in compiled
    assert cells_of("tests/agreement/test_gradients.py::test_jax[x]", {"case": case}) == [
        ("gradients", "JAX", "native")
    ]
    assert cells_of("tests/jax/test_settings.py::test_devices", {}) == [("device selection", "JAX", "native")]
    assert cells_of("tests/jax/test_settings.py::test_other", {}) == []


def test_cells_without_a_test_are_not_yet() -> None:
    page = rendered(CELLS)
    assert (
        '| `relu` | native (3) [1](../tests/agreement/test_agreement.py "test_values") | not yet | not yet | not yet |'
        in page
    )
    assert (
        "| export | not yet | not yet | not yet | native "
        '[1](../tests/jax/test_graph_tools.py "test_exported_functions_take_every_length") |' in page
    )
    assert page.count("native") == 2 + 1  # the head explains the word
    assert stale(CELLS, page) == []


def _wrong(change: str) -> list[str]:
    cells = copy.deepcopy(CELLS)
    relu = cells["`relu`"]["NumPy"]
    page = None
    match change:
        case "row":
            cells["`rleu`"] = cells.pop("`relu`")
        case "file":
            relu["tests"] = ["tests/agreement/test_nothing.py::test_values"]
        case "test":
            relu["tests"] = ["tests/agreement/test_agreement.py::test_valeus"]
        case "program":
            relu["such_as"] = ["no_such_program"]
        case "registry":
            cells["export"]["JAX"]["kind"] = "routed"
        case "page":
            page = rendered(CELLS) + "Runs everywhere.\n"
        case "function":
            page = "\n".join(line for line in rendered(CELLS).splitlines() if "`relu`" not in line)
    return stale(cells, rendered(cells) if page is None else page)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("row", "row '`rleu`' is recorded and exists no longer"),
        ("file", "tests/agreement/test_nothing.py does not exist"),
        ("test", "tests/agreement/test_agreement.py has no test test_valeus"),
        ("program", "program 'no_such_program' is no longer in the catalogue"),
        ("registry", "'export' on JAX is recorded otherwise than the registry says"),
        ("page", "docs/backend_matrix.md is not what docs/backend_matrix.json gives"),
        ("function", "function `relu` has no row on the page"),
    ],
)
def test_staleness_is_found(change: str, words: str) -> None:
    assert words in _wrong(change)


def test_the_registry_names_engines_and_rows() -> None:
    known = {row for rows in SECTIONS.values() for row in rows}
    for row, engines in FEATURE_TESTS.items():
        assert row in known
        assert set(engines) <= set(ENGINES)


def test_the_page_in_docs_is_right() -> None:
    assert stale(json.loads(RECORDED.read_text(encoding="utf-8")), PAGE.read_text(encoding="utf-8")) == []
