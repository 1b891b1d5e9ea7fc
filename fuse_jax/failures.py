"""Errors of JAX that have words of ours: those found on the host while code runs, and arrays on two devices."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping

from fuse_ref.errors import FuseError
from fuse_ref.mistakes import mistake

__all__ = ["last_error", "on_one_device", "remember"]

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


@contextlib.contextmanager
def on_one_device(values: Mapping[str, object]) -> Iterator[None]:
    """A computation on `values`, which JAX refuses with an error of its own where they lie on two devices.

    Raises:
        DeviceError: two of them were put on different devices.
    """
    try:
        yield
    except ValueError as error:
        if isinstance(error, FuseError):
            raise
        import jax  # here, since importing fuse_jax must not need it

        # Only arrays that were put somewhere stay there; the others go to where they are needed.
        put = {
            name: value.devices()
            for name, value in values.items()
            if isinstance(value, jax.Array) and not isinstance(value, jax.core.Tracer) and value.committed
        }
        for name, devices in put.items():
            other, expected = next(iter(put.items()))
            if devices != expected:
                where, there = (" and ".join(sorted(map(str, found))) for found in (devices, expected))
                cure = f"jax.device_put brings {name} to {other}, and device= all that a run takes to one place"
                reason = f"{name} is there, and {other} on {there}"
                raise mistake("FUSE203", None, cure=cure, engine="jax", device=where, reason=reason) from error
        raise
