"""`format_text`: comments and groups of lines stay, and a second time changes nothing."""

from __future__ import annotations

import pytest

from fuse_ref.errors import SyntaxFuseError
from fuse_ref.language.formatter import format_text
from fuse_ref.language.parser import parse
from fuse_ref.source import Source

UNTIDY = """\


# The head   \n\
#of the file


A=1;B = 2  # two at once
   # indented
C   =   3# touching


Y[i] = A[i] +  # inside one
       # inside two
       B[i]    # behind


W = [
  # rows
  [1, 2],

  [3, 4],
]
# before the end
"x.npz"  = Y[i]
S = "# no comment"   # a comment
D = 4   ;   # after a semicolon

# last

"""

TIDY = """\
# The head
#of the file

A = 1
B = 2  # two at once
# indented
C = 3  # touching

# inside one
# inside two
Y[i] = A[i] + B[i]  # behind

# rows
W = [[1, 2], [3, 4]]
# before the end
"x.npz" = Y[i]
S = "# no comment"  # a comment
D = 4  # after a semicolon

# last
"""


def test_an_untidy_file() -> None:
    assert format_text(Source(UNTIDY)) == TIDY
    assert format_text(Source(TIDY)) == TIDY
    assert parse(Source(UNTIDY)) == parse(Source(TIDY))


def test_a_comment_behind_a_statement_of_several_lines() -> None:
    terms = " + ".join(f"LongName{number}[i, j, k]" for number in range(8))
    once = format_text(Source(f"Y[i] = {terms}  # sum"))
    assert once.splitlines()[-1].endswith("# sum")
    assert len(once.splitlines()) > 1
    assert format_text(Source(once)) == once


@pytest.mark.parametrize(
    ("text", "formatted"),
    [("", ""), ("\n\n", ""), ("# only", "# only\n"), ("A = 1\r\n\r\n\r\nB = 2", "A = 1\n\nB = 2\n"), (";", "")],
)
def test_small_files(text: str, formatted: str) -> None:
    assert format_text(Source(text)) == formatted


def test_a_file_with_a_mistake_is_left_alone() -> None:
    with pytest.raises(SyntaxFuseError, match="FUSE014"):
        format_text(Source("A = 1\nB = \n"))
