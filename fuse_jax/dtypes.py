"""What `float`, `int64` and `bool` are in JAX, and values brought to them without silent loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.binding import resolve_precision
from fuse_ref.files.arrays import FileMap
from fuse_ref.ir.nodes import Dtype
from fuse_ref.mistakes import mistake
from fuse_ref.plan.steps import Plan
from fuse_ref.weights.arrays import narrow_type, numpy_array

__all__ = ["Numbers", "numbers_of", "resolved", "x64_enabled"]

_EXPECTED = {"float": "numbers", "int64": "int64 values", "bool": "truth values"}
_KINDS = {"float": "fiub", "int64": "iub", "bool": "b"}  # of NumPy's dtypes; floats are never made whole numbers


def x64_enabled() -> bool:
    """Whether JAX has 64-bit numbers here: the global setting, or the `with jax.enable_x64(…)` around."""
    return bool(jax.config.jax_enable_x64)


@dataclass(frozen=True, slots=True)
class Numbers:
    """The types of one call."""

    precision: np.dtype  # of every float that is kept; what has 16 bits is computed with in `wide`
    integer: np.dtype  # int64, or int32 where JAX has no 64-bit numbers
    device: jax.Device | None = None  # where arrays are put; None leaves them where they are

    def dtype(self, dtype: Dtype) -> np.dtype:
        return {"float": self.precision, "int64": self.integer, "bool": np.dtype(bool)}[dtype]

    @property
    def narrow(self) -> bool:
        """Whether floats are kept in 16 bits."""
        return self.precision.itemsize == 2

    def wide(self) -> Numbers:
        """The types in which an operation computes."""
        return replace(self, precision=np.dtype(np.float32)) if self.narrow else self

    def array(self, value: object, dtype: Dtype, name: str) -> jax.Array:
        """`value` as a JAX array of `dtype` that shares no memory with it, but for our own memory maps of files.

        Args:
            value: an array of any framework, nested lists or a number. May be traced.
            name: of the tensor, for errors.

        Raises:
            DtypeError: a type that would lose something, such as floats for integers.
        """
        wanted = self.dtype(dtype)
        if isinstance(value, jax.Array):
            _check_kind(value.dtype, dtype, name)
            if dtype == "int64":
                self._check_integers(value, name)
            return self.placed(value.astype(wanted))
        try:
            array = numpy_array(value)
        except (TypeError, ValueError) as error:
            raise mistake("FUSE304", name=name, problem=str(error)) from error
        if array.size == 0 and not isinstance(value, np.ndarray):
            array = array.astype(wanted)  # [] has no numbers whose type could be wrong
        _check_kind(array.dtype, dtype, name)
        if dtype == "int64":
            self._check_integers(array, name)
        if isinstance(array, FileMap) and array.over_file and array.dtype == wanted:
            # Nobody writes to it, and JAX does not either: donated, it is not used again. jnp.asarray would copy.
            return jax.device_put(array, self.device)
        # A copy that is ours alone: JAX may keep the memory of an array that it is given, and even where it
        # copies (jnp.array, copy=True) it may read later than the caller next writes.
        with np.errstate(over="ignore"):
            copied = array.astype(wanted, copy=True)
        return self.placed(jnp.asarray(copied))

    def parameter(self, value: object, name: str) -> jax.Array:
        """`value` as an array of the run's precision.

        Raises:
            DtypeError: not of a float type: a parameter that is learned has gradients.
        """
        array = value if isinstance(value, jax.Array) else self.array(value, "float", name)
        given = getattr(value, "dtype", array.dtype)
        if not jnp.issubdtype(given, jnp.floating):
            raise mistake("FUSE281", None, name=name, got=str(given))
        return self.placed(array.astype(self.precision))

    def placed(self, array: jax.Array) -> jax.Array:
        """`array` on the run's device. A traced one stays: `jit` decides where it runs."""
        if self.device is None or isinstance(array, jax.core.Tracer):
            return array
        return jax.device_put(array, self.device)

    def _check_integers(self, array: np.ndarray | jax.Array, name: str) -> None:
        limits = np.iinfo(self.integer)
        if np.can_cast(array.dtype, self.integer) or array.size == 0:
            return
        if isinstance(array, jax.core.Tracer):
            # Its values are not known here, so a type that might not fit is refused.
            raise mistake(
                "FUSE303", name=name, expected=f"whole numbers that {self.integer} holds", got=str(array.dtype)
            )
        low, high = int(array.min()), int(array.max())
        if low < limits.min or high > limits.max:
            cure = "" if x64_enabled() else "jax.config.update('jax_enable_x64', True) gives JAX 64-bit integers"
            value = low if low < limits.min else high
            raise mistake("FUSE310", None, cure=cure, name=name, value=value, dtype=str(self.integer))


def _check_kind(given: np.dtype, dtype: Dtype, name: str) -> None:
    if given.kind in _KINDS[dtype] or (dtype == "float" and jnp.issubdtype(given, jnp.floating)):
        return
    raise mistake("FUSE303", name=name, expected=_EXPECTED[dtype], got=str(given))


def numbers_of(config: ExecutionConfig) -> Numbers:
    """The types that `config` asks for; "auto" counts as float32 here, `resolved` looks at the inputs.

    Raises:
        ConfigError: float64 while JAX has 64-bit numbers switched off.
    """
    precision = "float32" if config.precision == "auto" else config.precision
    if precision == "float64" and not x64_enabled():
        raise mistake("FUSE276")
    integer = np.dtype(np.int64 if x64_enabled() else np.int32)
    return Numbers(narrow_type(precision) or np.dtype(precision), integer, _device(config.device))


def resolved(config: ExecutionConfig, plan: Plan, given: Mapping[str, object]) -> ExecutionConfig:
    """`config` with the precision of one call: "auto" follows the inputs, as far as JAX has 64-bit numbers."""
    if config.precision != "auto":
        return config
    precision = resolve_precision(config, plan, given, "jax")
    if precision == "float64" and not x64_enabled():
        precision = "float32"
    return dataclasses.replace(config, precision=precision)


def _device(name: str) -> jax.Device | None:
    """The device that a configuration names: "cpu", "cuda:1", …; None for "auto"."""
    if name == "auto":
        return None
    platform, _, number = name.partition(":")
    try:
        devices = jax.devices(platform)
    except RuntimeError as error:
        reason = str(error).split("\n", 1)[0]
        raise mistake("FUSE203", None, engine="jax", device=name, reason=reason) from error
    if not (number or "0").isdecimal() or int(number or 0) >= len(devices):
        have = ", ".join(f"{platform}:{index}" for index in range(len(devices)))
        raise mistake("FUSE203", None, engine="jax", device=name, reason=f"there are {have}")
    return devices[int(number or 0)]
