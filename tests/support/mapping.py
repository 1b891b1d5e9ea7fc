"""Whether memory is that of a file."""

from __future__ import annotations

from pathlib import Path

__all__ = ["lies_in"]


def lies_in(address: int, path: Path) -> bool:
    """Whether the memory at `address` is a mapping of the file, as the kernel tells it."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, *_, name = line.split(maxsplit=5)
        begin, end = (int(part, 16) for part in span.split("-"))
        if begin <= address < end:
            return name.strip().removesuffix(" (deleted)") == str(path)
    return False
