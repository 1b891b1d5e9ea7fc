"""What each engine tells of its run: one line of JSON, read by `benchmarks.logic`."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

__all__ = ["report"]


def report(size: int, what: str = "") -> None:
    """Print how many tuples there are, and the most memory that this process held, in bytes.

    Args:
        what: how they were found.
    """
    print(json.dumps({"size": size, "peak": _peak(), "what": what}))


def _peak() -> int:
    # What getrusage says counts the parent before exec on Linux; this does not.
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    (line,) = (line for line in text.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    report(0)
