"""`fuse repl`: as a script from a file, and typed at a terminal."""

from __future__ import annotations

import io
import os
import pty
import readline
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fuse_ref.cli.repl import completer
from fuse_ref.cli.session import COMMANDS, unfinished

FAMILY = "Parent(Bob, Charlie)\nAncestor(x, y) <- Parent(x, y)\nAncestor(x, z) <- Ancestor(x, y), Parent(y, z)\n"


@pytest.fixture
def typed(fuse, write, monkeypatch):
    """`typed("line", …)`: what a session on the family says to these lines."""
    program = write("family.fuse", FAMILY)

    def call(*lines: str, program: object = program):
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        return fuse("repl", *([] if program is None else [program]))

    return call


def test_facts_and_rules_are_added_and_asked(typed) -> None:
    result = typed(
        "Parent(Alice, Bob)", "Ancestor(Alice, x)?", "Old(x) <- Ancestor(x, Charlie)", "Old(x)?", "Old(Charlie)?"
    )
    assert (result.code, result.err) == (0, "")
    assert result.out == "Ancestor(Alice, x)?\n  Bob\n  Charlie\nOld(x)?\n  Bob\n  Alice\nOld(Charlie)?\n  no\n"


def test_statements_go_on_while_brackets_are_open(typed) -> None:
    result = typed("Parent(Alice,", "  Bob)", "Both(x, z) <-", "Parent(x, y), Parent(y, z)", "", "Both(x, z)?")
    assert (result.code, result.err) == (0, "")
    assert result.out == "Both(x, z)?\n  Alice, Charlie\n"


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("P(A, B)", False),
        ("P(A,", True),
        ("P(x) <-", True),
        ("P(x) <- Q(x),  # and so on (", True),
        ('P("(")', False),
        ('P("\\"(")', False),
        ("Y[i] = W[i, j]\n  * X[j]", False),
        ("Y[i] = W[i, j] *", True),
        ("Y = [1,\n2]", False),
    ],
)
def test_what_goes_on(text: str, more: bool) -> None:
    assert unfinished(text) == more


def test_mistakes_change_nothing(typed) -> None:
    result = typed(
        "Parent(Alice", "", "Parent(x, Bob)", "Nobody(x)?", ":list", ":nonsense", ":why", ":list now", ":undo"
    )
    assert result.code == 0
    assert result.out == FAMILY
    for words in (
        "FUSE011",
        "FUSE103",
        "FUSE115",
        "there is no command :nonsense",
        ":why needs FACT",
        ":list stands alone",
    ):
        assert words in result.err
    assert result.err.count("FUSE") == 3
    assert "nothing to take back" in result.err


def test_commands(typed, tmp_path) -> None:
    result = typed(
        "Parent(Alice, Bob)",
        ":run",
        ":undo",
        "Ancestor(Alice, x)?",
        ":demand on",
        "Ancestor(Bob, x)?",
        ":save new.fuse",
        ":load new.fuse",
        ":list",
        ":explain",
        ":help",
        ":quit",
        "Never(A)",
    )
    assert (result.code, result.err) == (0, "")
    assert "Ancestor (3 × 3, 3 of them)" in result.out
    assert "Ancestor(Alice, x)?\n  no\n" in result.out
    assert "Ancestor(Bob, x)?\n  Charlie\n" in result.out
    assert (tmp_path / "new.fuse").read_text() == FAMILY
    for command, _, does in COMMANDS:
        assert command in result.out
        assert does in result.out


def test_why_and_why_not(typed) -> None:
    result = typed(
        ":why Ancestor(Bob, Charlie)", ":whynot Ancestor(Charlie, Bob)", ":why Ancestor(Bob, x)?", ":why Bob"
    )
    tree = "Ancestor(Bob, Charlie)   by Ancestor(x, y) <- Parent(x, y)\n└─ Parent(Bob, Charlie)   fact\n"
    assert result.out.count(tree) == 2
    assert "Ancestor(Charlie, Bob) does not hold\n" in result.out
    assert "Ancestor(Bob, x)?\n  Charlie\n" in result.out
    assert result.err.count("FUSE") == 1


def test_a_session_without_a_program(typed) -> None:
    result = typed("Parent(A, B)", "Parent(x, y)?", program=None)
    assert (result.code, result.out, result.err) == (0, "Parent(x, y)?\n  A, B\n", "")


def test_standard_input_is_no_program_here(fuse) -> None:
    assert fuse("repl", "-").code == 2


def test_completion() -> None:
    complete = completer(lambda: ["Ancestor", "Anna"])

    def offered(word: str) -> list[str]:
        found = []
        while (next_one := complete(word, len(found))) is not None:
            found.append(next_one)
        return found

    assert offered("An") == ["Ancestor", "Anna"]
    assert offered(":wh") == [":why", ":whynot"]
    assert "softmax" in offered("soft")
    assert offered("zzz") == []


def test_the_page_has_every_command() -> None:
    page = (Path(__file__).parents[2] / "docs" / "command_line.md").read_text(encoding="utf-8")
    for command, what, does in COMMANDS:
        assert f"| `{f'{command} {what}'.strip()}` | {does} |" in page


def test_at_a_terminal(write, tmp_path) -> None:
    """Prompt, the line of the session before, completion by Tab, Ctrl-C, Ctrl-D."""
    program = write("family.fuse", FAMILY)
    history = tmp_path / "fuse" / "history"
    history.parent.mkdir()
    readline.clear_history()
    readline.add_history("Ancestor(Bob, x)?")
    readline.write_history_file(history)
    readline.clear_history()
    master, worker = pty.openpty()
    # The terminal is made its own by the new process, so that Ctrl-C comes as a signal; code that runs between
    # fork and exec would meet the threads of what other tests have imported.
    # Where the tests run in the background, that signal is ignored, and what they start would inherit this.
    own = (
        "import fcntl, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        "signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from fuse_ref.cli import main; sys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", own, "repl", str(program)],
        stdin=worker,
        stdout=worker,
        stderr=worker,
        env=os.environ | {"XDG_STATE_HOME": str(tmp_path), "TERM": "dumb"},
        start_new_session=True,
    )
    os.close(worker)
    said = ""
    up, tab, stop, end = "\x1b[A", "\t", "\x03", "\x04"
    try:
        for keys, answer in (
            ("", "fuse> "),
            (up, "Ancestor(Bob, x)?"),
            ("\n", "Charlie\r\nfuse> "),
            (f"Par{tab}", "Parent"),
            ("(Al", "(Al"),  # Ctrl-C is for who waits for keys: the completion before has ended when these are shown
            (stop, "fuse> "),
            ("Parent(Ann, Eve)\n", "fuse> "),
            ("Ancestor(Ann, x)?\n", "Eve\r\nfuse> "),
        ):
            os.write(master, keys.encode())
            said = ""
            until = time.monotonic() + 30
            while answer not in said:
                assert time.monotonic() < until, (keys, said)
                if select.select([master], [], [], 1)[0]:
                    said += os.read(master, 4096).decode()
                elif keys == stop:
                    # A signal between the last key and CPython's wait for the next one does not end that wait.
                    os.write(master, keys.encode())
            assert "Traceback" not in said
        os.write(master, end.encode())
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert history.read_text().splitlines()[-3:] == ["Ancestor(Bob, x)?", "Parent(Ann, Eve)", "Ancestor(Ann, x)?"]
