"""Files of whole numbers alone are read as the csv module reads them, and other files are left to other readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fuse_ref.files import plain
from fuse_ref.files.delimited import read_line_by_line
from fuse_ref.files.plain import read_plain

NUMBERS = {
    "one": "7\n",
    "no line end": "1\t2\n3\t4",
    "zeros": "0\t007\n00000000\t10\n",
    "nine digits": "123456789\t1\n2\t999999999\n",
    "eighteen digits": "123456789012345678\t1\n",
    "four and eight": "1234\t12345678\n99999999\t9999\n",
}
OTHER = [
    "",
    "\n",
    "1\t2\n\n3\t4\n",
    "1\t\n",
    "\t1\n",
    "1\t2\n3\n",
    "1\t2\r\n",
    "-1\t2\n",
    "+1\t2\n",
    "1 \t2\n",
    "1,2\t3\n",
]
OTHER += [
    '"1"\t2\n',
    "x\ty\n1\t2\n",
    "1.5\t2\n",
    "1\t2\x00\n",
    "1\t2\n3\t4\t5\n1\n",
    "1/2\t3\n",
    "1:2\t3\n",
    "9" * 19 + "\t1\n",
]


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(tmp_path: Path, name: str) -> None:
    for suffix, delimiter in ((".tsv", "\t"), (".csv", ",")):
        path = tmp_path / f"facts{suffix}"
        path.write_text(NUMBERS[name].replace("\t", delimiter))
        found, expected = read_plain(path, delimiter), read_line_by_line(path, ("x", "y"))
        assert found is not None
        assert list(found.lines) == list(expected.lines)
        for column, right in zip(found.columns, expected.columns, strict=True):
            assert isinstance(column, np.ndarray)
            assert column.dtype == np.int64
            np.testing.assert_array_equal(column, right)


@pytest.mark.parametrize("text", OTHER)
def test_anything_else_is_left_to_other_readers(tmp_path: Path, text: str) -> None:
    path = tmp_path / "facts.tsv"
    path.write_text(text, newline="")
    assert read_plain(path, "\t") is None


@pytest.mark.parametrize("digits", [3, 7, 12])
@pytest.mark.parametrize("block", [16, 40, 1 << 18])
def test_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: int, block: int) -> None:
    monkeypatch.setattr(plain, "_BLOCK", block)
    rows = np.random.default_rng(digits).integers(0, 10**digits, (500, 3))
    path = tmp_path / "facts.tsv"
    np.savetxt(path, rows, fmt="%d", delimiter="\t")
    found = read_plain(path, "\t")
    assert found is not None
    for column, right in zip(found.columns, rows.T, strict=True):
        assert isinstance(column, np.ndarray)
        np.testing.assert_array_equal(column, right)
