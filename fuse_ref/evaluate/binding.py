"""What a call gives, matched to what the plan takes: names, types, casts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np

from fuse_ref.analysis.lengths import Fixed
from fuse_ref.analysis.rules import order_mistake, ordered_axes
from fuse_ref.config import ExecutionConfig, Precision
from fuse_ref.errors import FuseError, FuseWarning
from fuse_ref.evaluate.engine import Array, Engine
from fuse_ref.evaluate.logic import as_dense, as_tuples, relations_of
from fuse_ref.evaluate.relation import Symbols
from fuse_ref.evaluate.truth import SymbolTables, bound_relations
from fuse_ref.evaluate.warn import warn
from fuse_ref.ir.nodes import Compare, Dtype, Tensor
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean
from fuse_ref.plan.steps import Plan
from fuse_ref.records import dataclass
from fuse_ref.relations.tuples import Tuples
from fuse_ref.weights.arrays import Framework, framework_of, numpy_array

__all__ = [
    "Binder",
    "Bound",
    "Cast",
    "fitting",
    "framework_of_inputs",
    "gather_inputs",
    "listed_relations",
    "numeric_array",
    "resolve_precision",
]

_TAKES: Final[dict[Dtype, str]] = {"float": "numbers", "int64": "int64 values", "bool": "truth values"}

# What a NumPy run takes as it is: a call with such arrays looks at nothing else of them.
_NUMPY_TYPES: Final[dict[str, dict[str, np.dtype]]] = {
    precision: {"float": np.dtype(precision), "int64": np.dtype(np.int64), "bool": np.dtype(np.bool_)}
    for precision in ("float32", "float64", "float16")
}


@dataclass(frozen=True, slots=True)
class Cast:
    """An input whose type was changed."""

    tensor: str
    given: str
    used: str


@dataclass(slots=True)
class Bound:
    """The plan's givens as arrays of the engine."""

    values: dict[str, Array]
    casts: tuple[Cast, ...]
    symbols: Mapping[str, Symbols]  # of each axis that has any

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of what the call gave."""
        return {name: tuple(value.shape) for name, value in self.values.items() if "~" not in name}


def fitting(values: Mapping[str, Array], plan: Plan, engine: Engine, config: ExecutionConfig) -> dict[str, Array]:
    """What was bound for one plan, for another one of the same program: it may want tuples where that had arrays.

    What is asked of `plan` itself stays as it is.

    Raises:
        CapacityError: a relation that dense steps read has more elements than `dense_limit`.
    """
    logical = relations_of(plan)
    asked = {query.target.tensor for query in plan.program.queries}
    found = dict(values)
    for name, value in values.items():
        if name in logical and isinstance(value, np.ndarray):
            found[name] = engine.asarray(as_tuples(value), "bool", config)
        elif name not in logical and name not in asked and isinstance(value, Tuples):
            found[name] = engine.asarray(as_dense(value, name, config), "bool", config)
    return found


def gather_inputs(inputs: object, named: Mapping[str, object]) -> dict[str, object]:
    """The mapping and the keywords of a call as one dict.

    Raises:
        InputError: not a mapping, or a tensor given both ways.
    """
    if inputs is None:
        return dict(named)
    if not isinstance(inputs, Mapping):
        raise mistake("FUSE302", None, value=type(inputs).__name__)
    for name in inputs:
        if not isinstance(name, str):
            raise mistake("FUSE302", None, value=f"one from {type(name).__name__}")
    values = dict(inputs)
    for name, value in named.items():
        if name in values:
            raise mistake("FUSE307", None, name=name)
        values[name] = value
    return values


def framework_of_inputs(values: Mapping[str, object]) -> Framework:
    """The framework that the inputs are arrays of; NumPy's when there is no other.

    Raises:
        InputError: arrays of torch and of JAX.
    """
    found: tuple[str, Framework] | None = None
    for name, value in values.items():
        framework = framework_of(value)
        if framework is None or framework == "numpy":
            continue
        if found is not None and found[1] != framework:
            raise mistake(
                "FUSE309", None, first=found[0], first_framework=found[1], second=name, second_framework=framework
            )
        found = (name, framework)
    return "numpy" if found is None else found[1]


def resolve_precision(config: ExecutionConfig, plan: Plan, values: Mapping[str, object], engine: str) -> Precision:
    """The precision of one call; "auto" is the type that every float array among the inputs has, else float32.

    NumPy follows to float64 alone: arrays of 16 bits are there what files are kept in.
    """
    if config.precision != "auto":
        return config.precision
    kinds = {_kind(values[name]) for name in plan.givens if name in values}
    floats = {name for kind, name in kinds if kind == "f"}
    followed: tuple[Precision, ...] = ("float64",) if engine == "numpy" else ("float64", "bfloat16", "float16")
    return next((precision for precision in followed if floats == {precision}), "float32")


def listed_relations(plan: Plan, values: Mapping[str, object]) -> set[str]:
    """The Boolean givens whose tuples a call lists, instead of giving truth values."""
    tensors = {tensor.name: tensor for tensor in plan.program.tensors}
    return {name for name in plan.givens if tensors[name].boolean and name in values and not _truth_table(values[name])}


def _truth_table(value: object) -> bool:
    return framework_of(value) is not None and _kind(value)[0] in ("b", "") and not getattr(value, "is_sparse", False)


class Binder:
    """Matches calls to what a plan takes. Built once: a call costs a microsecond per tensor.

    Args:
        growing: those of its givens that are read from files.
    """

    def __init__(self, plan: Plan, growing: Mapping[str, Tuples] | None = None) -> None:
        self._plan = plan
        self._growing = growing or {}
        self._tensors = {tensor.name: tensor for tensor in plan.program.tensors}
        given = [self._tensors[name] for name in plan.givens]
        self._numeric = [tensor for tensor in given if not tensor.boolean]
        self._relations = [tensor for tensor in given if tensor.boolean and tensor.name not in self._growing]
        self._logical = relations_of(plan)
        self._symbols = SymbolTables.of(plan.program).symbols()
        self._ordered: dict[str, tuple[str, Compare]] = {}
        for axis, name, item in ordered_axes(plan.program):
            self._ordered.setdefault(axis, (name, item))

    def bind(self, values: Mapping[str, object], engine: Engine, config: ExecutionConfig) -> Bound:
        """Every given of the plan from `values`, of its type and in the run's precision.

        Inputs that the program does not use are ignored with a FuseWarning.

        Raises:
            InputError, UnboundTensorError, DtypeError, AxisError: what is missing or does not fit.
        """
        bound: dict[str, Array] = {}
        casts: list[Cast] = []
        types = _NUMPY_TYPES.get(config.precision, {}) if engine.name == "numpy" else {}
        for tensor in self._numeric:
            name = tensor.name
            if name not in values:
                raise _missing(tensor, self._plan, values)
            value = values[name]
            wanted = types.get(tensor.dtype)
            # A dtype of float64 equals None, so None is asked for first.
            if wanted is not None and type(value) is np.ndarray and value.dtype == wanted:
                bound[name] = value
                continue
            given = _kind(value)[1]
            bound[name] = numeric_array(name, value, tensor.dtype, engine, config, tensor.span)
            used = _kind(bound[name])[1]
            if given not in (used, ""):
                casts.append(Cast(name, given, used))
        symbols: Mapping[str, Symbols] = self._symbols
        if self._relations:
            symbols = self._bind_relations(values, bound, engine, config)
            for axis, (variable, item) in self._ordered.items():
                table = symbols.get(axis)
                if table:
                    raise order_mistake(variable, item, table[0])
        if len(values) != len(bound):
            _check_unused(self._plan, values, self._tensors, self._growing)
        if self._growing:
            self._grow(bound)
        return Bound(bound, tuple(casts), symbols)

    def _bind_relations(
        self, values: Mapping[str, object], bound: dict[str, Array], engine: Engine, config: ExecutionConfig
    ) -> Mapping[str, Symbols]:
        for tensor in self._relations:
            if tensor.name not in values:
                raise _missing(tensor, self._plan, values)
        tables = SymbolTables.of(self._plan.program)
        extents = _fixed_sizes(self._plan)
        for name, array in bound.items():
            for axis, size in zip(self._tensors[name].axes, array.shape, strict=False):
                extents[axis] = max(extents.get(axis, 0), size)
        for name, tuples in self._growing.items():
            for axis, size in zip(self._tensors[name].axes, tuples.shape, strict=True):
                extents[axis] = max(extents.get(axis, 0), size)
        for name, value in bound_relations(values, self._relations, tables, extents).items():
            kept = as_tuples(value) if name in self._logical else as_dense(value, name, config)
            bound[name] = engine.asarray(kept, "bool", config)
        return tables.symbols()

    def _grow(self, bound: dict[str, Array]) -> None:
        """Adds the relations of files, as long as what the call gives on their axes."""
        sizes = {
            axis: size
            for tensor in self._relations
            for axis, size in zip(tensor.axes, bound[tensor.name].shape, strict=True)
        }
        for name, tuples in self._growing.items():
            axes = zip(self._tensors[name].axes, tuples.shape, strict=True)
            bound[name] = tuples.with_shape([max(size, sizes.get(axis, 0)) for axis, size in axes])


def _fixed_sizes(plan: Plan) -> dict[str, int]:
    """Axis -> the greatest length that the plan knows on it: of weights, sources, parameters, literals."""
    axes = {tensor.name: tensor.axes for tensor in plan.program.tensors}
    sizes: dict[str, int] = {}
    for shape in plan.shapes:
        for axis, length in zip(axes[shape.tensor], shape.lengths, strict=True):
            if isinstance(length, Fixed):
                sizes[axis] = max(sizes.get(axis, 0), length.value)
    return sizes


def numeric_array(
    name: str, value: object, dtype: Dtype, engine: Engine, config: ExecutionConfig, span: Any = None
) -> Array:
    """`value` as an array of the engine. Floats become floats of the run; whole numbers are never made of others.

    Raises:
        DtypeError: a type that `dtype` does not take, or a whole number beyond int64.
    """
    if isinstance(value, np.ma.MaskedArray):
        problem = "a masked array has no values where it is masked; fill them with .filled(0)"
        raise mistake("FUSE304", span, name=name, problem=problem)
    if framework_of(value) is None:
        try:
            value = numpy_array(value)
        except (TypeError, ValueError) as error:
            raise mistake("FUSE304", span, name=name, problem=str(error).split("\n", 1)[0]) from error
        if value.size == 0 and value.dtype == np.float64:
            # An empty list says nothing of its type.
            value = value.astype({"float": np.float64, "int64": np.int64, "bool": np.bool_}[dtype])
    kind, given = _kind(value)
    takes = {"float": "fiub", "int64": "iub", "bool": "b"}[dtype]
    if kind not in takes:
        cure = "round it and convert it where you mean it: X.astype(np.int64)" if kind == "f" else ""
        raise mistake("FUSE303", span, cure=cure, name=name, expected=_TAKES[dtype], got=given)
    if given == "uint64" and dtype == "int64":
        array = numpy_array(value)
        if array.size and array.max() > np.iinfo(np.int64).max:
            raise mistake("FUSE310", span, name=name, value=int(array.max()), dtype="int64")
    try:
        return engine.asarray(value, dtype, config)
    except FuseError:
        raise  # some are a ValueError or a TypeError too
    except (TypeError, ValueError, RuntimeError) as error:
        # A sparse tensor, or one without data, that goes to another framework.
        raise mistake("FUSE304", span, name=name, problem=str(error).split("\n", 1)[0]) from error


def _kind(value: object) -> tuple[str, str]:
    """The kind of an array's type as NumPy's letter, and the type's name; ("", "") for what is no array."""
    if isinstance(value, np.ndarray):
        name = value.dtype.name
        if name == "bfloat16":
            return "f", name  # whose own kind says nothing
        return value.dtype.kind, name if value.dtype.kind not in "USO" else {"U": "str", "S": "bytes"}.get(
            value.dtype.kind, "object"
        )
    if framework_of(value) is None:
        return "", ""
    name = str(getattr(value, "dtype", "")).removeprefix("torch.")
    for prefix, kind in (("float", "f"), ("bfloat", "f"), ("int", "i"), ("uint", "u"), ("bool", "b")):
        if name.startswith(prefix):
            return kind, name
    return "c" if name.startswith("complex") else "?", name


def _missing(tensor: Tensor, plan: Plan, values: Mapping[str, object]) -> FuseError:
    known = {other.name for other in plan.program.tensors}
    stray = [name for name in values if name not in known]
    hint = did_you_mean(tensor.name, stray)
    cure = ""
    if hint:
        # The suggestion is what the call gives; the user wants the name that the program has.
        close = hint.removeprefix("did you mean ").rstrip("?")
        cure = f"the call gives {close}: did you mean '{tensor.name}'?"
    elif tensor.role == "free":
        cure = did_you_mean(tensor.name, known - {tensor.name})
    code = "FUSE300" if tensor.role == "input" else "FUSE301"
    return mistake(code, tensor.span, cure=cure, name=tensor.name)


def _check_unused(
    plan: Plan, values: Mapping[str, object], tensors: Mapping[str, Tensor], files: Collection[str]
) -> None:
    for name in values:
        if name in plan.givens and name not in files:
            continue
        if name not in tensors:
            cure = did_you_mean(name, plan.givens)
            message = f"input {name} is ignored: the program does not use it"
            warn(f"{message}; {cure}" if cure else message, FuseWarning)
            continue
        reason, cure = "the program defines it", ""
        if name in plan.parameters:
            reason = "it is a parameter"
            cure = f"give it by policies=RuntimePolicies(weight_store={{'{name}': …}})"
        elif name in plan.weights:
            reason = "it comes from the weight store"
        elif name in plan.sources or name in files:
            reason = "it is read from a file"
        raise mistake("FUSE308", tensors[name].span, cure=cure, name=name, reason=reason)
