"""Functions that Python code adds to the library: `register_function`."""

from __future__ import annotations

import hashlib
import inspect
import threading
from collections.abc import Callable
from types import CodeType
from typing import Any, TypeAlias

from fuse_ref.ir.names import Names
from fuse_ref.ir.operations import REGISTERED, Argument, Operation
from fuse_ref.language.tokens import is_name
from fuse_ref.mistakes import mistake
from fuse_ref.records import dataclass

__all__ = ["Registered", "find_registered", "register_function"]

Function: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True, eq=False)
class Registered:
    """What each engine calls."""

    row: Operation
    numpy: Function
    torch: Function | None
    jax: Function | None
    gradient: Function | str | None

    @property
    def identity(self) -> str:
        """Names these functions in digests: equal in every process that registers the same code."""
        return dict(self.row.identity)["identity"]


_FUNCTIONS: dict[str, Registered] = {}
_LOCK = threading.Lock()


def register_function(
    name: str,
    *,
    numpy: Function,
    torch: Function | None = None,
    jax: Function | None = None,
    gradient: Function | str | None = None,
) -> None:
    """Adds an elementwise function to the library, for programs that are read afterwards.

    In programs `name(X[i, j], B[j])` has the indices of its arguments together, like `max(a, b)`. The
    function must be pure: a plan calls it once where a program has two equal calls, and in any order.

    Args:
        name: a plain name that neither the grammar nor the library has.
        numpy: (x, …) -> array. Takes arrays that broadcast against each other, float32 or float64, and
            gives an array of their common shape. Its parameters are the arguments in programs; one with a
            number as default may be left out there.
        torch: the same on tensors, differentiable by autograd. Without it the NumPy function is called, by an
            operator that compilers do not look into.
        jax: the same on JAX arrays, for jit, grad and vmap. Without it the NumPy function is called back.
        gradient: the derivative where the NumPy function is called. Either (x, …, g) -> the gradient of x, or of
            several arguments a tuple, one for each, None for 0; all arrays have one shape. Or, for a function of
            one argument, the name of the registered function that is its derivative: that can be differentiated
            again. torch and jax differentiate their own versions themselves.

    Raises:
        ConfigError: a name that is taken or cannot be written, or something that cannot be called.
    """
    for keyword, function in (("numpy", numpy), ("torch", torch), ("jax", jax)):
        if not callable(function) and (keyword == "numpy" or function is not None):
            raise mistake("FUSE219", name=name, reason=f"{keyword}={function!r} is no function")
    if not (gradient is None or callable(gradient) or isinstance(gradient, str)):
        raise mistake("FUSE219", name=name, reason=f"gradient={gradient!r} is neither a function nor a name")
    if not isinstance(name, str) or not is_name(name):
        raise mistake("FUSE219", name=name, reason="a program cannot write that name")
    if name not in _FUNCTIONS and Names().is_function(name):
        raise mistake("FUSE219", name=name, reason="the library has a function of that name")
    arguments = _arguments(name, numpy)
    if isinstance(gradient, str) and len(arguments) != 1:
        reason = f"gradient={gradient!r} names the derivative of one argument, and it has {len(arguments)}"
        raise mistake("FUSE219", name=name, reason=reason)
    parts = (numpy, torch, jax, gradient)
    row = Operation(name, "elementwise", arguments, "registered", identity=(("identity", _identity(name, parts)),))
    with _LOCK:
        known = _FUNCTIONS.get(name)
        if known is not None:
            if (known.numpy, known.torch, known.jax, known.gradient) != parts:
                raise mistake("FUSE219", name=name, reason="another function is registered under that name")
            return
        _FUNCTIONS[name] = Registered(row, numpy, torch, jax, gradient)
        REGISTERED[name] = row


def find_registered(name: str) -> Registered:
    """The function registered as `name`.

    Raises:
        UnknownFunctionError: no function is, in this process.
    """
    found = _FUNCTIONS.get(name)
    if found is None:
        raise mistake("FUSE221", name=name)
    return found


def _arguments(name: str, function: Function) -> tuple[Argument, ...]:
    count = getattr(function, "nin", None)
    if isinstance(count, int):
        return tuple(Argument(f"x{k}" if count > 1 else "x") for k in range(1, count + 1))
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    found: list[Argument] = []
    for parameter in parameters:
        if parameter.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
            continue
        default = None if parameter.default is inspect.Parameter.empty else parameter.default
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL or not isinstance(default, int | float | None):
            found = []
            break
        found.append(Argument(parameter.name, None if default is None else float(default)))
    if not found:
        reason = "its arguments cannot be counted: give a function whose parameters have names, as lambda x: ..."
        raise mistake("FUSE219", name=name, reason=reason)
    return tuple(found)


def _identity(name: str, parts: tuple[Function | str | None, ...]) -> str:
    """A digest of where the functions come from and what their code is."""
    text = "\n".join([name, *(_description(part) for part in parts)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _description(part: object) -> str:
    code = getattr(part, "__code__", None)
    words = [str(getattr(part, key, "")) for key in ("__module__", "__qualname__", "__name__")]
    if isinstance(code, CodeType):
        words.append(_code_text(code))
        cells = getattr(part, "__closure__", None) or ()
        words.extend(_constant(cell.cell_contents) for cell in cells)
        words.extend(_constant(value) for value in getattr(part, "__defaults__", None) or ())
    return "|".join(words) if words != ["", "", ""] else repr(type(part))


def _code_text(code: CodeType) -> str:
    inner = (_code_text(item) if isinstance(item, CodeType) else _constant(item) for item in code.co_consts)
    return f"{code.co_code.hex()} {code.co_names} {' '.join(inner)}"


def _constant(value: object) -> str:
    """Text that is the same in every process; of an object only its type."""
    plain = isinstance(value, int | float | str | bytes | tuple | None)
    return repr(value) if plain else f"<{type(value).__module__}.{type(value).__qualname__}>"
