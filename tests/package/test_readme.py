"""Every Python block of README.md runs as it stands, and every Fuse block parses."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fuse_ref import Program
from tests.boundaries.sources import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> dict[str, str]:
    """The blocks of a language, by the heading above them."""
    found: dict[str, str] = {}
    for section in re.split(r"^#+ ", README, flags=re.MULTILINE):
        title, _, body = section.partition("\n")
        for block in re.findall(rf"```{language}\n(.*?)```", body, flags=re.DOTALL):
            found[title] = block
    return found


def run(code: str, folder: Path) -> list[str]:
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout.split()


def test_numpy_block_prints_what_it_says(tmp_path: Path) -> None:
    code = blocks("python")["With NumPy alone, and in the shell"]
    assert " ".join(run(code, tmp_path)) == re.search(r"print\(.*# (.*)", code)[1]  # type: ignore[index]


def test_torch_block_learns(tmp_path: Path) -> None:
    code = blocks("python")["In PyTorch"] + "    if step == 0: first = float(loss)\nprint(first, float(loss))"
    first, last = map(float, run(code, tmp_path))
    assert last < 0.1 * first


def test_flax_block_learns(tmp_path: Path) -> None:
    first, last = map(float, run(blocks("python")["In Flax"] + "print(losses[0], losses[-1])", tmp_path))
    assert last < 0.1 * first


def test_blocks_have_about_twelve_lines() -> None:
    for title in ("In PyTorch", "In Flax"):
        lines = [line for line in blocks("python")[title].splitlines() if line.strip()]
        assert 12 <= len(lines) <= 14, title


def test_fuse_blocks_have_a_plan() -> None:
    for text in blocks("fuse").values():
        assert Program("axis d = 4; D = 4\n" + text).plan().steps


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)", README))))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_readme_is_one_page() -> None:
    assert len(README.splitlines()) <= 90
