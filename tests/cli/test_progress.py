"""Progress: on a terminal only, after a moment, and gone when the work is done."""

from __future__ import annotations

import io
import sys
import time

import pytest

from fuse_ref.cli import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, seconds: float) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "PATIENCE", 0.05)
    monkeypatch.setattr(progress, "PACE", 0.02)
    with progress.busy("running"):
        time.sleep(seconds)
    return stream.getvalue()


def test_a_terminal_sees_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(Terminal(), monkeypatch, 0.3)
    assert "running: 0 s" in text
    assert text.endswith("\r\x1b[K")


def test_nothing_is_shown_for_quick_work_or_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(Terminal(), monkeypatch, 0.0) == ""
    assert shown(io.StringIO(), monkeypatch, 0.3) == ""


def test_errors_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with pytest.raises(KeyError), progress.busy("running"):
        raise KeyError
    assert stream.getvalue() == ""
