"""Parameters and weights of a run: from the weight store, else by the initialiser."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fuse_ref.analysis.lengths import evaluate
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.binding import numeric_array
from fuse_ref.evaluate.engine import Array, Engine
from fuse_ref.evaluate.logic import as_dense, as_tuples, relations_of
from fuse_ref.files.arrays import own_to_write
from fuse_ref.files.sources import Sources
from fuse_ref.ir.nodes import ProgramIR, Tensor
from fuse_ref.mistakes import mistake
from fuse_ref.plan.steps import Plan
from fuse_ref.weights.initialisers import initialise
from fuse_ref.weights.manifest_store import ManifestWeightStore
from fuse_ref.weights.store import WeightStore

__all__ = ["check_parameters", "known_shapes", "parameter_values", "weight_values"]

Shapes = Mapping[str, tuple[int, ...]]


def known_shapes(program: ProgramIR, store: WeightStore) -> dict[str, tuple[int, ...]]:
    """The shapes of what the store has of the program's parameters and free tensors."""
    shapes: dict[str, tuple[int, ...]] = {}
    for tensor in program.tensors:
        if tensor.role in ("param", "free") and tensor.name in store:
            shapes[tensor.name] = store.shape(tensor.name)
    return shapes


def parameter_values(
    plan: Plan, shapes: Shapes, store: WeightStore, engine: Engine, config: ExecutionConfig
) -> dict[str, Array]:
    """Every parameter of the plan, of the run's precision.

    Args:
        shapes: of the givens of the call that asks first: they tell the open sizes. What the store has
            was known to the plan, which has checked it.

    Raises:
        DtypeError: the store's array does not hold numbers.
    """
    values: dict[str, Array] = {}
    for name, shape in _shapes_of_parameters(plan, shapes).items():
        tensor = plan.program.tensor(name)
        if name in store:
            values[name] = _taken(name, store, tensor, engine, config)
            continue
        dtype = np.dtype(np.float64 if config.precision == "float64" else np.float32)
        value = initialise(name, shape, tensor.initialiser, seed=config.seed, dtype=dtype)
        values[name] = numeric_array(name, value, tensor.dtype, engine, config, tensor.span)
    return values


def check_parameters(plan: Plan, values: Mapping[str, Array], shapes: Shapes) -> None:
    """Parameters keep the sizes that the first call gave them.

    Args:
        shapes: of the givens of this call.

    Raises:
        AxisError: this call needs a parameter of another shape.
    """
    for name, shape in _shapes_of_parameters(plan, shapes).items():
        made = tuple(values[name].shape)
        if made != shape:
            tensor = plan.program.tensor(name)
            (axis, size), *_ = (
                (axis, old) for axis, old, new in zip(tensor.axes, made, shape, strict=True) if old != new
            )
            raise mistake("FUSE311", tensor.span, name=name, made=made, needed=shape, axis=axis, size=size)


def _shapes_of_parameters(plan: Plan, shapes: Shapes) -> dict[str, tuple[int, ...]]:
    def extent(tensor: str, position: int) -> int:
        return shapes[tensor][position]

    return {name: tuple(max(0, evaluate(n, extent)) for n in plan.shape(name)) for name in plan.parameters}


def weight_values(
    plan: Plan, store: WeightStore, sources: Sources, engine: Engine, config: ExecutionConfig
) -> dict[str, Array]:
    """The plan's sources, and its free tensors that the store has, of the run's precision; cast once.

    Raises:
        DtypeError: values that the tensor does not take. ManifestError: a copy that `strict_mmap` forbids.
    """
    values: dict[str, Array] = {}
    relations = relations_of(plan)
    for name in (*plan.sources, *plan.weights):
        tensor = plan.program.tensor(name)
        if name in sources.arrays:
            source = sources.arrays[name]
            if name in relations:
                values[name] = engine.asarray(as_tuples(source), "bool", config)
                continue
            # The maps of a run's sources are its own, where those of a weight store may be shared.
            array = own_to_write(as_dense(source, name, config))
            values[name] = numeric_array(name, array, tensor.dtype, engine, config, tensor.span)
            if sources.strict:
                seen = engine.to_numpy(values[name])
                sources.check_kept(name, seen.dtype.name, seen.ctypes.data, f"the {engine.name} engine copies arrays")
        else:
            values[name] = _taken(name, store, tensor, engine, config)
    return values


def _taken(name: str, store: WeightStore, tensor: Tensor, engine: Engine, config: ExecutionConfig) -> Array:
    """A weight of the store as the run takes it; a store of memory maps is told when that is a copy."""
    stored = store.load(name)
    # Stores have no Boolean reading of their own: what is greater than 0 holds.
    value = stored > 0 if tensor.dtype == "bool" and stored.dtype != np.bool_ else stored
    used = numeric_array(name, value, tensor.dtype, engine, config, tensor.span)
    if isinstance(store, ManifestWeightStore) and store.strict:
        seen = engine.to_numpy(used)
        store.check_kept(name, stored, seen.dtype.name, seen.ctypes.data, f"the {engine.name} engine copies arrays")
    return used
