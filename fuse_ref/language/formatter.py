"""`fuse fmt`: the printer's layout for a whole file, with its comments and its groups of lines."""

from __future__ import annotations

from dataclasses import dataclass

from fuse_ref.language.parser import parse_with_comments
from fuse_ref.language.printer import print_statement
from fuse_ref.source import Source, Span

__all__ = ["format_text"]


@dataclass(slots=True)
class _Item:
    """A statement, or a comment with a line of its own."""

    first_line: int  # in the source
    last_line: int
    text: str
    statement: bool


def format_text(source: Source) -> str:
    """The text of `source` in canonical layout; formatting it again changes nothing.

    Comments stay: on their own line, or behind the statement they follow. One inside a statement
    moves before it. Of several empty lines one stays.

    Raises:
        SyntaxFuseError: the text does not follow the grammar.
    """
    module, comments = parse_with_comments(source)
    items: list[_Item] = []
    remaining = list(reversed(comments))
    for statement in module.statements:
        first, last = _lines(statement.span)
        while remaining and remaining[-1].start < statement.span.start:
            _add_comment(items, remaining.pop())
        while remaining and remaining[-1].start < statement.span.end:
            # The statement's own first line, so that no empty line comes between the two.
            items.append(_Item(first, first - 1, remaining.pop().text.rstrip(), statement=False))
        items.append(_Item(first, last, print_statement(statement), statement=True))
    while remaining:
        _add_comment(items, remaining.pop())
    return _joined(items)


def _lines(span: Span) -> tuple[int, int]:
    return span.line, span.source.position(span.end)[0]


def _add_comment(items: list[_Item], comment: Span) -> None:
    if items and items[-1].statement and items[-1].last_line == comment.line:
        items[-1].text += f"  {comment.text.rstrip()}"
    else:
        items.append(_Item(comment.line, comment.line, comment.text.rstrip(), statement=False))


def _joined(items: list[_Item]) -> str:
    lines: list[str] = []
    for before, item in zip([None, *items], items, strict=False):
        if before is not None and item.first_line > before.last_line + 1:
            lines.append("")
        lines.append(item.text)
    return "".join(f"{line}\n" for line in lines)
