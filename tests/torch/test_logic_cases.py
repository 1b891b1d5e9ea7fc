"""The programs of tests/logic in torch: those by hand and drawn ones agree with NumPy and with Python sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fuse_ref import ExecutionConfig, Program, Relation
from tests.logic.by_sets import evaluate
from tests.logic.case import given, text_of, values_of
from tests.logic.compare import inputs, with_files
from tests.logic.draw import draw
from tests.logic.test_by_hand import CASES


@pytest.mark.parametrize("logic", ["auto", "dense"])
def test_programs_by_hand(logic: str, tmp_path: Path) -> None:
    config = ExecutionConfig(logic=logic, precision="float64")  # type: ignore[arg-type]
    for number, case in enumerate(CASES.values()):
        data = given(case, number, 6)
        text = text_of(case, data, ("input", "facts")[number % 2], tmp_path, 6)
        program = Program(text, path=tmp_path / "case.fuse")
        expected = program.compile("numpy", config=ExecutionConfig(precision="float64"))
        runner = program.compile("torch", config=config)
        values = values_of(case, data, text, 6)
        found = runner(values)
        for name, value in expected(values).items():
            if isinstance(value, Relation):
                assert value.rows == found[name].rows, f"{case.name}: {name}"
            else:
                np.testing.assert_allclose(np.asarray(found[name]), value, rtol=1e-10, err_msg=f"{case.name}: {name}")
        assert [set(item.rows) for item in runner.answers] == [set(item.rows) for item in expected.answers]


@pytest.mark.parametrize("logic", ["auto", "dense"])
def test_drawn_programs(logic: str, tmp_path: Path) -> None:
    config = ExecutionConfig(logic=logic, precision="float64")  # type: ignore[arg-type]
    for seed in range(40):
        sketch = draw(seed)
        with_files(sketch, tmp_path)
        relations, _ = evaluate(sketch)
        found = Program(sketch.text(), path=tmp_path / "drawn.fuse").compile("torch", config=config)(inputs(sketch))
        for name, value in found.items():
            if isinstance(value, Relation):
                assert set(value.rows) == relations[name], f"{name} of drawn program {seed}\n{sketch.text()}"
