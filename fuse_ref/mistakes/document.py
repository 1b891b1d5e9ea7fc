"""The page docs/errors.md, written from the table of mistakes: `python -m fuse_ref.mistakes.document`."""

from __future__ import annotations

import sys
from pathlib import Path
from string import Formatter

from fuse_ref import errors
from fuse_ref.errors import FuseError
from fuse_ref.mistakes import MISTAKES, Example, Mistake

__all__ = ["PAGE", "document", "main"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"

_CHAPTERS = (
    ("FUSE0", "Text and grammar"),
    ("FUSE1", "Names, axes, meaning"),
    ("FUSE2", "Plans, routes, settings"),
    ("FUSE3", "Inputs, weights, files"),
)
_LONGEST_EXAMPLE = 400  # characters; some mistakes only long programs make

_HEAD = """\
# Errors

Every error of Fuse has a code that stays the same in all versions. It names the place in the program
where there is one, says what is wrong and, if it can, what to do. All are subclasses of
`fuse_ref.FuseError`; `error.code`, `error.message`, `error.cure` and `error.span` hold the parts.
`fuse check` shows every mistake of a file at once.

Words in ‹angle brackets› stand for what the error fills in. This page is written by
`python -m fuse_ref.mistakes.document`.
"""


def document() -> str:
    """The whole page, in order of the codes."""
    parts = [_HEAD]
    for prefix, title in _CHAPTERS:
        rows = [row for code, row in sorted(MISTAKES.items()) if code.startswith(prefix)]
        if rows:
            parts.append(f"## {title}\n")
            parts.extend(_section(row) for row in rows)
    parts.append(_types())
    return "\n".join(parts)


def _types() -> str:
    """The tree of types, with the codes of each: what `except` clauses can name."""
    lines = ["## Types", "", "| type | also a | meaning | codes |", "|---|---|---|---|"]
    for name in errors.__all__:
        kind = getattr(errors, name)
        if not issubclass(kind, FuseError) or kind is FuseError:
            continue
        also = ", ".join(f"`{base.__name__}`" for base in kind.__bases__ if base is not FuseError)
        codes = ", ".join(code for code, row in sorted(MISTAKES.items()) if row.error is kind)
        lines.append(f"| `{name}` | {also} | {kind.__doc__} | {codes or 'none in this version'} |")
    return "\n".join([*lines, ""])


def _section(row: Mistake) -> str:
    lines = [
        f"### {row.code}: {row.title[0].upper()}{row.title[1:]}",
        "",
        f"`{row.error.__name__}`: {_words(row.sentence)}",
        "",
    ]
    if row.cure:
        lines += [f"Help: {_words(row.cure)}", ""]
    shown = next(
        (example for example in row.examples if len(example.program + example.python) <= _LONGEST_EXAMPLE), None
    )
    if shown is not None:
        lines += [*_example(shown), ""]
    return "\n".join(lines)


def _example(example: Example) -> list[str]:
    language, text = ("fuse", example.program) if example.program else ("python", example.python)
    return [f"```{language}", *text.strip("\n").splitlines(), "```"]


def _words(template: str) -> str:
    """A message with its gaps shown: `'{found}'` becomes `'‹found›'`."""
    words = ""
    for text, gap, _, _ in Formatter().parse(template):
        words += text
        if gap is not None:
            words += f"‹{gap}›"
    # Signs that Markdown would read as its own.
    for sign in "\\`*_<>[]":
        words = words.replace(sign, f"\\{sign}")
    return words


def main(page: Path = PAGE) -> None:
    """Writes the page."""
    page.parent.mkdir(exist_ok=True)
    page.write_text(document(), encoding="utf-8")
    sys.stdout.write(f"{page.name}: {len(MISTAKES)} mistakes\n")


if __name__ == "__main__":
    main()
