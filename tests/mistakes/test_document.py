"""docs/errors.md is what the table of mistakes says."""

from __future__ import annotations

from pathlib import Path

from fuse_ref.mistakes import MISTAKES
from fuse_ref.mistakes.document import PAGE, document, main


def test_the_committed_page_is_the_generated_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == document(), "run: python -m fuse_ref.mistakes.document"


def test_every_code_is_a_heading_and_has_an_example() -> None:
    sections = document().split("\n### ")[1:]
    assert [section[:7] for section in sections] == sorted(MISTAKES)
    assert all("```fuse\n" in section or "```python\n" in section for section in sections)


def test_gaps_are_shown_and_no_template_is_left() -> None:
    page = document()
    assert "the '‹found›' that opens here is never closed" in page
    assert "{found}" not in page


def test_writing_the_page(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "errors.md"
    main(page)
    assert page.read_text(encoding="utf-8") == document()
