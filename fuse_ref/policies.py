"""Where weights and files come from, and how weights are split, packed and adapted: data only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from fuse_ref.config import FrozenMapping
from fuse_ref.mistakes import mistake
from fuse_ref.records import dataclass
from fuse_ref.weights.manifest_store import ManifestWeightStore
from fuse_ref.weights.store import InMemoryWeightStore, WeightStore

__all__ = ["LoRAPolicy", "QuantizationPolicy", "RuntimePolicies", "ShardingPolicy"]

QuantizationMode: TypeAlias = Literal["int8", "int4"]


@dataclass(frozen=True, slots=True)
class ShardingPolicy:
    """Which axes of a program are split over which axes of a device mesh.

    Args:
        mesh: mesh axis -> number of devices along it.
        axes: program axis -> mesh axis.

    Raises:
        ConfigError: a count below 1, or a mesh axis that `mesh` lacks.
    """

    mesh: Mapping[str, int]
    axes: Mapping[str, str]

    def __post_init__(self) -> None:
        _set_mapping(self, "mesh", self.mesh)
        _set_mapping(self, "axes", self.axes)
        for name, count in self.mesh.items():
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise mistake("FUSE205", field=f"mesh[{name!r}]", expected="a number of devices", value=repr(count))
        for name, mesh_axis in self.axes.items():
            if mesh_axis not in self.mesh:
                raise mistake(
                    "FUSE205",
                    field=f"axes[{name!r}]",
                    expected="one of " + (", ".join(map(repr, self.mesh)) or "the mesh's axes (there are none)"),
                    value=repr(mesh_axis),
                )


@dataclass(frozen=True, slots=True)
class QuantizationPolicy:
    """How weights are packed.

    Args:
        mode: `"int8"` or `"int4"`.
        group_size: elements that share a scale; None: one scale per row.
        tensors: the weights meant; None: all with two axes or more.

    Raises:
        ConfigError: another mode, or a group of fewer than 1.
    """

    mode: QuantizationMode
    group_size: int | None = None
    tensors: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.mode not in get_args(QuantizationMode):
            allowed = ", ".join(repr(mode) for mode in get_args(QuantizationMode))
            raise mistake("FUSE205", field="mode", expected=f"one of {allowed}", value=repr(self.mode))
        if self.group_size is not None and (not isinstance(self.group_size, int) or self.group_size < 1):
            value = repr(self.group_size)
            raise mistake("FUSE205", field="group_size", expected="a whole number, at least 1, or None", value=value)
        if self.tensors is not None:
            object.__setattr__(self, "tensors", tuple(self.tensors))


@dataclass(frozen=True, slots=True)
class LoRAPolicy:
    """Which low-rank adapter each slot of a weight manifest uses.

    Args:
        adapters: slot -> adapter; None switches the slot off.
    """

    adapters: Mapping[str, str | None]

    def __post_init__(self) -> None:
        _set_mapping(self, "adapters", self.adapters)


@dataclass(frozen=True, slots=True)
class RuntimePolicies:
    """What a run may take from outside the program, and how.

    Args:
        weight_store: a `WeightStore`, or a mapping name -> array. It gives `param` tensors their values
            instead of the initialiser, and free tensors theirs.
        strict_mmap: forbid whatever would copy a memory-mapped weight.
        allowed_roots: folders that sources and sinks may lie in, besides the program's own.
        sharding, quantization, lora: see the policies of these names.

    Raises:
        ConfigError: a field of another type.
    """

    weight_store: WeightStore | Mapping[str, object] | None = None
    strict_mmap: bool = False
    allowed_roots: Iterable[str | os.PathLike[str]] | None = None
    sharding: ShardingPolicy | None = None
    quantization: QuantizationPolicy | None = None
    lora: LoRAPolicy | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight_store", _store(self.weight_store))
        object.__setattr__(self, "allowed_roots", _folders(self.allowed_roots))
        kinds: tuple[tuple[str, type, str], ...] = (
            ("strict_mmap", bool, "True or False"),
            ("sharding", ShardingPolicy, "a ShardingPolicy"),
            ("quantization", QuantizationPolicy, "a QuantizationPolicy"),
            ("lora", LoRAPolicy, "a LoRAPolicy"),
        )
        for field, kind, expected in kinds:
            value = getattr(self, field)
            if value is not None and not isinstance(value, kind):
                raise mistake("FUSE205", field=field, expected=expected, value=repr(value))

    @property
    def store(self) -> WeightStore:
        """The weight store; an empty one when none was given."""
        if self.weight_store is None:
            return InMemoryWeightStore({})
        assert isinstance(self.weight_store, WeightStore)
        if isinstance(self.weight_store, ManifestWeightStore):
            return self.weight_store.under(self.roots, self.strict_mmap)
        return self.weight_store

    @property
    def roots(self) -> tuple[Path, ...]:
        """The allowed folders besides the program's own, absolute."""
        return () if self.allowed_roots is None else tuple(Path(root) for root in self.allowed_roots)


def _set_mapping(policy: object, field: str, value: object) -> None:
    if not isinstance(value, Mapping):
        raise mistake("FUSE205", field=field, expected="a mapping", value=repr(value))
    object.__setattr__(policy, field, FrozenMapping(value))


def _folders(value: object) -> tuple[Path, ...] | None:
    if value is None:
        return None
    if isinstance(value, str | os.PathLike) or not isinstance(value, Iterable):
        raise mistake("FUSE205", field="allowed_roots", expected="a list of folders", value=repr(value))
    return tuple(Path(root).resolve() for root in value)


def _store(value: object) -> WeightStore | None:
    if isinstance(value, Mapping):
        return InMemoryWeightStore(value)
    if value is None or isinstance(value, WeightStore):
        return value
    expected = "a weight store or a mapping from names to arrays"
    raise mistake("FUSE205", field="weight_store", expected=expected, value=repr(value))
