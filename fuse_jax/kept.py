"""Compiled code kept between processes: `compile(cache_dir=…)`.

What is kept is the code that XLA made, since making it takes most of the time: for twelve transformer layers 1.2 s of
processor time of 1.5 s. Tracing and lowering, whose result `jax.export` could keep, take 0.05 s.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import jax
import jaxlib
from jaxlib import xla_client

from fuse_jax.operations import ELEMENTWISE
from fuse_jax.schedule import Schedule
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.entries import Kept, Kind, state_of
from fuse_ref.evaluate.temperatures import schedules_of
from fuse_ref.ir.json import Json
from fuse_ref.plan.steps import Map

__all__ = ["KeptCode", "can_be_kept"]

CODE: Final = Kind("xla", "compiled code", "fuse-xla 1", 2**30)
_VARIABLES: Final = ("XLA_", "TF_", "NVIDIA_", "CUDA_")  # of the environment, which compilers read
_ASIDE: Final = ("cache", "log", "dump", "traceback")  # settings of JAX that change no code
_log = logging.getLogger("fuse.jax")

_Values: TypeAlias = Mapping[str, jax.Array]
_Results: TypeAlias = dict[str, jax.Array]
_Call: TypeAlias = Callable[[dict[str, jax.Array]], _Results]
_Signature: TypeAlias = tuple[object, ...]


def can_be_kept(plan: Schedule, config: ExecutionConfig) -> str:
    """Why the compiled code of `plan` cannot be kept; "" if it can."""
    if config.checked:
        return "a checked run is not compiled"
    if plan.logical or plan.counted:
        return "rules run between parts of it, and what comes of them has no fixed size"
    for operation in plan.operations:
        if isinstance(operation, Map) and operation.function not in ELEMENTWISE:
            return f"{operation.function} is a registered function, and no key tells what it does"
    heated = [name for item in plan.iterations for name in item.heads if name in schedules_of(config)]
    if heated:
        return f"a schedule gives the temperature of {heated[0]} in every round, and no key tells what it says"
    if config.device == "auto" and jax.device_count() > 1:
        return "with several devices, device= must say where it runs"
    return ""


class KeptCode:
    """A function of arrays by name, compiled once for each set of shapes in any process that shares the folder.

    Calls under `jit`, `grad` and the like, and under settings that run code differently, such as
    `jax.debug_nans`, go to JAX's own `jit`.

    Args:
        function: pure; its result has one array for each of `outputs`.
        settings: all that decides what `function` computes, besides the plan and the arrays' shapes and types.
    """

    def __init__(self, function: _Call, outputs: tuple[str, ...], kept: Kept, settings: Json) -> None:
        # Arrays that nothing reads stay arguments, so that arguments can be told by their names.
        self._jitted = jax.jit(function, keep_unused=True)
        self._outputs = tuple(sorted(set(outputs)))  # the order in which JAX lists a dict
        self._entries = kept.entries(CODE)
        self._parts: Sequence[Json] = [kept.plan, list(self._outputs), settings]
        self._calls: dict[_Signature, _Call] = {}
        self._lock = threading.Lock()

    def __call__(self, values: dict[str, jax.Array]) -> _Results:
        """`function` of `values`."""
        if not _plain() or any(isinstance(value, jax.core.Tracer) for value in values.values()):
            return self._jitted(values)
        signature = (*[(value.shape, value.dtype) for value in values.values()], *_asked())
        call = self._calls.get(signature)
        if call is None:
            with self._lock:
                call = self._calls.get(signature)
                if call is None:
                    self._calls[signature], results = self._first(values)
                    return results
        return call(values)

    def _first(self, values: dict[str, jax.Array]) -> tuple[_Call, _Results]:
        """The call for values of these shapes, read, or compiled and written; with its results."""
        (device,) = next(iter(values.values())).devices() if values else jax.devices()[:1]
        given: Json = [[name, list(value.shape), str(value.dtype)] for name, value in sorted(values.items())]
        key = self._entries.key(*self._parts, given, _software(), _settings(), _machine(device))
        found = self._entries.read(key, lambda body: _Loaded.read(body, device, tuple(sorted(values)), self._outputs))
        if found is not None:
            try:
                return found, found.first(values)
            except (RuntimeError, ValueError) as error:
                _log.warning("compiled code %s is made anew: %s", key[:12], error)
        self._write(key, values)
        return self._jitted, self._jitted(values)

    def _write(self, key: str, values: dict[str, jax.Array]) -> None:
        lowered = self._jitted.lower(values)
        # Code of other libraries, and of Python, is called by an address that another process does not have.
        if "custom_call" in lowered.as_text():
            self._entries.leave(key, "it calls code that is not its own")
            return
        compiled = lowered.compile()  # the jitted function finds it compiled
        results: Mapping[str, jax.ShapeDtypeStruct] = lowered.out_info
        head = [[list(results[name].shape), str(results[name].dtype)] for name in self._outputs]
        executable = compiled.runtime_executable()
        if executable is None:
            self._entries.leave(key, "XLA does not give its code")
            return
        try:
            code: bytes = executable.serialize()
        except RuntimeError as error:
            self._entries.leave(key, str(error))
            return
        self._entries.write(key, json.dumps(head).encode() + b"\n" + code)


class _Executable(Protocol):
    """What this module uses of XLA's loaded code."""

    def execute_sharded(self, arguments: Sequence[jax.Array]) -> _Parts: ...


class _Parts(Protocol):
    def disassemble_into_single_device_arrays(self) -> Sequence[Sequence[jax.Array]]: ...


class _Loaded:
    """Code that another process compiled."""

    def __init__(
        self,
        executable: _Executable,
        names: tuple[str, ...],
        outputs: tuple[str, ...],
        results: Sequence[tuple[tuple[int, ...], str]],
    ) -> None:
        self._executable = executable
        self._names = names
        self._outputs = outputs
        self._results = results

    @staticmethod
    def read(body: bytes, device: jax.Device, names: tuple[str, ...], outputs: tuple[str, ...]) -> _Loaded:
        """The code of an entry.

        Raises:
            ValueError: an entry of another form, or code that XLA does not take here.
        """
        head, _, code = body.partition(b"\n")
        results: list[tuple[tuple[int, ...], str]] = []
        data = json.loads(head)
        for item in data if isinstance(data, list) else [None]:
            match item:
                case [list(shape), str(dtype)] if all(type(size) is int and size >= 0 for size in shape):
                    results.append((tuple(shape), dtype))
                case _:
                    raise ValueError(f"{item!r:.40} is no result")
        if len(results) != len(outputs):
            raise ValueError(f"it has {len(results)} results, and {len(outputs)} are asked for")
        try:
            executable = device.client.deserialize_executable(code, xla_client.DeviceList((device,)))
        except RuntimeError as error:
            raise ValueError(str(error).partition("\n")[0]) from error
        return _Loaded(executable, names, outputs, results)

    def __call__(self, values: _Values) -> _Results:
        parts = self._executable.execute_sharded([values[name] for name in self._names])
        made = parts.disassemble_into_single_device_arrays()
        return {name: array for name, (array,) in zip(self._outputs, made, strict=True)}

    def first(self, values: _Values) -> _Results:
        """The results of the first call, looked at.

        Raises:
            RuntimeError: XLA does not run it.
            ValueError: its results have other shapes or types than it says.
        """
        made = self(values)
        if [(made[name].shape, str(made[name].dtype)) for name in self._outputs] != list(self._results):
            raise ValueError("its results have other shapes than it says")
        return made


# What decides the code ------------------------------------------------------------------------


def _plain() -> bool:
    """Whether JAX runs compiled code as it is."""
    found = jax.config
    return not (found.jax_debug_nans or found.jax_debug_infs or found.jax_disable_jit or found.jax_enable_checks)


def _asked() -> tuple[object, ...]:
    """Settings that a `with` may change from call to call, and that change the code."""
    found = jax.config
    return (found.jax_enable_x64, found.jax_default_matmul_precision, found.jax_numpy_rank_promotion)


def _settings() -> Json:
    """Every setting of JAX that may change the code, as it is here."""
    names = sorted(name for name in jax.config.values if not any(word in name for word in _ASIDE))
    environment = {name: value for name, value in os.environ.items() if name.startswith(_VARIABLES)}
    return [[[name, str(getattr(jax.config, name, None))] for name in names], environment]


@cache
def _software() -> Sequence[str]:
    return [jax.__version__, jaxlib.__version__, *state_of(Path(__file__).parent)]


@cache
def _machine(device: jax.Device) -> Sequence[str]:
    """What the code is made for: XLA uses all that the processor has."""
    client = device.client
    found = [device.platform, device.device_kind, client.platform_version, str(device.id), platform.platform()]
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [*found, str(count), *_processor()]


def _processor() -> Sequence[str]:
    """The processor's name and features."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return [platform.machine(), platform.processor()]
    wanted = ("model name", "flags", "Features", "cpu family", "model", "stepping", "CPU part")
    lines = {line for line in text.splitlines() if line.partition(":")[0].strip() in wanted}
    return [platform.machine(), *sorted(lines)]
