"""What a command is at, on the last line of a terminal, once it takes longer than a moment."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

__all__ = ["busy"]

PATIENCE = 1.0  # seconds before anything is shown
PACE = 0.2  # seconds from one picture to the next
_ERASE = "\r\x1b[K"


@contextlib.contextmanager
def busy(what: str) -> Iterator[None]:
    """Shows `what` and the seconds that have passed, on standard error while it is a terminal; else nothing."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_show, args=(what, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _show(what: str, done: threading.Event) -> None:
    start = time.perf_counter()
    wait, shown = PATIENCE, False
    while not done.wait(wait):
        wait, shown = PACE, True
        print(f"{_ERASE}{what}: {time.perf_counter() - start:.0f} s", end="", file=sys.stderr, flush=True)
    if shown:
        print(_ERASE, end="", file=sys.stderr, flush=True)
