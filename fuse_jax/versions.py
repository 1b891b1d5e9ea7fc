"""Which JAX and flax this package needs, and what to say when they are not there."""

from __future__ import annotations

import importlib
from types import ModuleType

from fuse_ref.errors import FuseError, MissingFrameworkError
from fuse_ref.mistakes import mistake

__all__ = ["LEAST_FLAX", "LEAST_JAX", "require_flax", "require_jax"]

# The oldest versions that the tests pass with. flax 0.12 needs JAX 0.10 itself; before 0.12.7 it does not
# import, or warns, beside JAX 0.10.
LEAST_JAX = (0, 10, 1)
LEAST_FLAX = (0, 12, 7)


def require_jax() -> ModuleType:
    """JAX itself.

    Raises:
        MissingFrameworkError: JAX is not installed or older than `LEAST_JAX`.
    """
    return _require("jax", "JAX", LEAST_JAX)


def require_flax() -> ModuleType:
    """flax itself.

    Raises:
        MissingFrameworkError: flax is not installed or older than `LEAST_FLAX`.
    """
    return _require("flax", "flax", LEAST_FLAX)


def _require(module: str, title: str, least: tuple[int, int, int]) -> ModuleType:
    least_text = ".".join(map(str, least))
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        # Only its own absence, or jaxlib's, counts: anything else that it misses is another fault, and shown as such.
        if not _absent(error, module):
            raise
        raise _missing(module, title, least_text, f"{title} is not installed") from error
    if _numbers(found.__version__) < least:
        raise _missing(module, title, least_text, f"{title} {found.__version__} is installed")
    return found


def _absent(error: BaseException | None, module: str) -> bool:
    # Without jaxlib JAX raises an error that has no name, and names its cause.
    while isinstance(error, ModuleNotFoundError):
        if error.name in (module, f"{module}lib"):
            return True
        error = error.__cause__
    return False


def _missing(module: str, title: str, least: str, found: str) -> FuseError:
    error = mistake("FUSE275", framework=title, least=least, found=found)
    assert isinstance(error, MissingFrameworkError)
    error.name = module
    return error


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: "0.10.2.dev1+g3" is (0, 10, 2)."""
    numbers: list[int] = []
    for part in version.split(".")[:3]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)
