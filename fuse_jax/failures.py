"""Errors found on the host while compiled code runs, kept with their own type."""

from __future__ import annotations

import threading

from fuse_ref.errors import FuseError

__all__ = ["last_error", "remember"]

_lock = threading.Lock()
_last: FuseError | None = None


def last_error() -> FuseError | None:
    """The last Fuse error that was raised inside compiled code, or None.

    Inside a user's own `jit` a host error arrives as JAX's exception type with our text; this is the
    original, with its code, span and cure.
    """
    with _lock:
        return _last


def remember(error: FuseError) -> None:
    """Makes `error` the last one."""
    global _last
    with _lock:
        _last = error
