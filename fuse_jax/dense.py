"""The items of a schedule, run on JAX values: sizes are numbers while a function is traced."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias, assert_never

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fuse_jax import gathering, indexing
from fuse_jax.aggregate import aggregate
from fuse_jax.attention import attend
from fuse_jax.checked import Watch
from fuse_jax.contract import align, as_factor, contract, project
from fuse_jax.convolution import convolve
from fuse_jax.dtypes import Numbers, numbers_of
from fuse_jax.fixpoint import Rounds as Told
from fuse_jax.fixpoint import check_rounds, iterate
from fuse_jax.logic import Measure, derive
from fuse_jax.narrow import in_precision
from fuse_jax.noise import Noise
from fuse_jax.operations import ALONG, ELEMENTWISE, WHOLE, Value
from fuse_jax.recurrence import recur
from fuse_jax.registered import apply_registered
from fuse_jax.relations import Held, dense, in_rows, limit_dense
from fuse_jax.sampling import sample
from fuse_jax.schedule import InOrder, Iteration, Rounds, Schedule, needs
from fuse_ref.analysis.lengths import Length, evaluate
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.densely import within_limit
from fuse_ref.evaluate.logic import LogicCall
from fuse_ref.evaluate.sampling import ratio
from fuse_ref.ir.operations import CATALOGUE
from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.dense_logic import following
from fuse_ref.plan.steps import (
    Aggregate,
    Along,
    Attention,
    Concat,
    Contract,
    Convolve,
    DenseOperation,
    Expand,
    Index,
    Iota,
    LiteralArray,
    Map,
    Operand,
    Permute,
    Ratio,
    ReadIndex,
    Reduce,
    Sample,
    Whole,
    Write,
    WriteIndex,
)

__all__ = ["run"]

_State: TypeAlias = tuple[jax.Array, tuple[jax.Array, ...]]  # of a fixpoint: whether a round added, the relations


def run(
    plan: Schedule,
    values: Mapping[str, Held],
    config: ExecutionConfig,
    watch: Watch | None = None,
    noise: Noise | None = None,
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    tells: bool = False,
) -> dict[str, Held]:
    """Every value that is still there after the last operation, by name; relations as they are kept.

    Args:
        values: of every given tensor, arrays and relations; their shapes have passed the plan's checks.
        config: its precision is resolved.
        watch: checks values while they are computed.
        noise: what random functions draw from; None for an evaluation.
        shapes: of the given tensors, where `values` are not all of them.
        tells: the caller looks at the `told` values of fixpoints; else what goes on stops the run.

    Raises:
        CapacityError: a relation with more tuples than there is room for, or too large to be dense.
        DivergenceError: a fixpoint that goes on.
    """
    numbers = numbers_of(config)
    arrays: dict[str, jax.Array] = {}
    relations: dict[str, Held] = {}
    for name, value in values.items():
        if name in plan.relations or not isinstance(value, jax.Array):
            relations[name] = value
        else:
            arrays[name] = value
    known = {name: tuple(value.shape) for name, value in values.items()} if shapes is None else shapes

    def measure(length: Length) -> int:
        return evaluate(length, lambda tensor, position: known[tensor][position])

    for name in plan.natively:
        within_limit(name, [max(0, measure(length)) for length in plan.shapes[name]], config.dense_limit)
    for item, released in zip(plan.items, plan.releases, strict=True):
        if isinstance(item, LogicCall):
            given = {name: relations[name] if name in relations else arrays[name] for name in needs(item)}
            with jax.named_scope(" ".join(item.heads)):
                relations.update(derive(item, given, plan, measure, config))
        else:
            for name in item.reads if isinstance(item, Rounds | Iteration | InOrder) else reads(item):
                if name not in arrays:
                    limit_dense(name, tuple(relations[name].shape), config.dense_limit, plan.spans.get(name))
                    arrays[name] = dense(relations[name])
            if isinstance(item, Rounds):
                with jax.named_scope(" ".join(item.heads)):
                    arrays.update(_rounds(item, arrays, plan, measure, numbers))
            elif isinstance(item, Iteration):
                with jax.named_scope(" ".join(item.heads)):
                    made, rounds = _iteration(item, arrays, relations, plan, measure, numbers, config, watch)
                arrays.update(made)
                if rounds is not None and tells:
                    arrays.update(zip(item.told, rounds, strict=True))
                elif rounds is not None:
                    check_rounds(item, rounds, config)
            elif isinstance(item, InOrder):

                def apply(operation: DenseOperation, own: dict[str, jax.Array]) -> None:
                    _run_one(operation, own, relations, measure, numbers, None, None)

                given = {name: arrays[name] for name in needs(item) if name not in relations}
                arrays.update(recur(item, given, apply, measure, numbers, watch))
            else:
                _run_one(item, arrays, relations, measure, numbers, watch, noise)
        for name in released:
            arrays.pop(name, None)
            relations.pop(name, None)
    return {**arrays, **relations}


def _rounds(
    item: Rounds, values: Mapping[str, jax.Array], plan: Schedule, measure: Measure, numbers: Numbers
) -> dict[str, jax.Array]:
    """The least fixpoint of a group of relations; no gradient goes through it, as through any comparison."""
    given = {name: lax.stop_gradient(values[name]) for name in item.reads}
    shapes = [tuple(max(0, measure(length)) for length in plan.shapes[name]) for name in item.heads]

    def one(state: _State) -> _State:
        _, old = state
        own = {**given, **dict(zip(item.heads, old, strict=True))}
        for operation in item.operations:
            _run_one(operation, own, {}, measure, numbers, None, None)
        new = tuple(before | own[following(name)] for name, before in zip(item.heads, old, strict=True))
        added = [jnp.any(after != before) for after, before in zip(new, old, strict=True)]
        return functools.reduce(jnp.logical_or, added), new

    state: _State = jnp.asarray(True), tuple(jnp.zeros(shape, bool) for shape in shapes)
    # Under shard_map a loop must begin with what varies over the same axes as what it makes: with False made of that.
    varying = functools.reduce(jnp.logical_or, map(jnp.any, given.values()), state[0]) & False
    state = jax.tree.map(lambda value: value | varying, state)
    if any(isinstance(value, jax.core.Tracer) for value in (state[0], *given.values())):
        state = lax.while_loop(lambda state: state[0], one, state)
    else:
        while state[0]:  # outside compiled code a loop of JAX's would be compiled for every call
            state = one(state)
    return dict(zip(item.heads, state[1], strict=True))


def _iteration(
    item: Iteration,
    values: Mapping[str, jax.Array],
    relations: Mapping[str, Held],
    plan: Schedule,
    measure: Measure,
    numbers: Numbers,
    config: ExecutionConfig,
    watch: Watch | None,
) -> tuple[dict[str, jax.Array], Told | None]:
    """The tensors of a numeric fixpoint."""

    def one(state: tuple[jax.Array, ...], given: Mapping[str, jax.Array]) -> tuple[jax.Array, ...]:
        own = {**given, **dict(zip(item.heads, state, strict=True))}
        for operation in item.operations:
            _run_one(operation, own, relations, measure, numbers, None, None)
        return tuple(own[following(name)] for name in item.heads)

    starts = []
    for name, start, dtype in zip(item.heads, item.starts, item.dtypes, strict=True):
        shape = tuple(max(0, measure(length)) for length in plan.shapes[name])
        starts.append(jnp.full(shape, start, numbers.dtype(dtype)))
    given = {name: values[name] for name in item.reads}
    given |= {name: values[name] for name in item.relations if name not in relations}
    found, rounds = iterate(item, one, given, tuple(starts), config)
    made = dict(zip(item.heads, found, strict=True))
    if watch is not None:
        for name, start in zip(item.heads, item.starts, strict=True):
            watch.result(name, float(start) if math.isinf(start) else 0.0, made)
    return made, rounds


def _run_one(
    operation: DenseOperation,
    values: dict[str, jax.Array],
    relations: Mapping[str, Held],
    measure: Measure,
    numbers: Numbers,
    watch: Watch | None,
    noise: Noise | None,
) -> None:
    output = operation.output
    shape = tuple(max(0, measure(length)) for length in output.lengths)
    if watch is not None:
        watch.before(operation, values, shape, measure)
    # The scope puts the tensor's name into profiles and compiled code.
    with jax.named_scope(output.out):
        made = in_precision(
            operation, values, numbers, lambda own, wide: _apply(operation, own, relations, shape, measure, wide, noise)
        )
    if made.shape != shape:
        raise AssertionError(f"{output.out}: {made.shape} was computed, the plan says {shape}")
    values[output.out] = made
    if watch is not None:
        watch.after(operation, values)


def _apply(
    operation: DenseOperation,
    values: Mapping[str, jax.Array],
    relations: Mapping[str, Held],
    shape: tuple[int, ...],
    measure: Measure,
    numbers: Numbers,
    noise: Noise | None,
) -> jax.Array:
    output = operation.output
    dtype = numbers.dtype(output.dtype)
    match operation:
        case LiteralArray() if output.out in values:
            return values[output.out]  # a seed that the call gives
        case LiteralArray():
            literal = np.array(operation.values).reshape(shape)
            # Facts of a relation are the numbers 0 and 1.
            return numbers.array(literal > 0 if output.dtype == "bool" else literal, output.dtype, output.out)
        case Iota():
            return lax.iota(dtype, shape[0])
        case Index():
            source, lengths = values[operation.source], dict(zip(output.labels, shape, strict=True))
            if any(item.gather is not None for item in operation.indices):
                return gathering.gather(source, _spots(operation, values, measure), output.labels, lengths)
            # A quotient reads a source whose every position is repeated.
            source = gathering.repeated(source, [item.divisor for item in operation.indices])
            positions = [indexing.Position(item.terms, measure(item.offset)) for item in operation.indices]
            return indexing.read(source, positions, lengths)
        case Map():
            return _map(operation, values, dtype, noise)
        case Along():
            return _along(operation, values, dtype, numbers.dtype("float"))
        case Concat():
            return _concat(operation, values, dtype)
        case Whole():
            value = align(values[operation.operand.value], operation.operand.labels, output.labels).astype(dtype)
            return WHOLE[operation.function](value, *operation.numbers).astype(dtype)
        case Contract():
            left, right = operation.left, operation.right
            return contract(
                as_factor(values[left.value], dtype),
                left.labels,
                as_factor(values[right.value], dtype),
                right.labels,
                output.labels,
                dtype,
            )
        case Reduce():
            operand = operation.operand
            return project(operation.operator, values[operand.value].astype(dtype), operand.labels, output.labels)
        case Permute():
            return align(values[operation.operand.value], operation.operand.labels, output.labels)
        case Expand():
            value = align(values[operation.operand.value], operation.operand.labels, output.labels)
            return jnp.broadcast_to(value, shape)
        case Write():
            if any(item.gather is not None for item in operation.indices):
                spots = _spots(operation, values, measure)
                value = values[operation.operand.value].astype(dtype)
                return gathering.scatter(value, operation.operand.labels, operation.operator, spots, shape)
            return indexing.write(
                values[operation.operand.value].astype(dtype),
                operation.operand.labels,
                operation.operator,
                [indexing.Position(item.terms, measure(item.offset), item.divisor) for item in operation.indices],
                shape,
            )
        case Convolve():
            image, weights = values[operation.image.value], values[operation.filter.value]
            return convolve(operation, image, weights, shape, measure, dtype)
        case Attention():
            return attend(operation, values, shape, dtype)
        case Sample(seed=seed, ranges=ranges, stream=stream):
            return sample(values[seed.value], stream, [measure(item) for item in ranges], shape[1]).astype(dtype)
        case Ratio(_, numerator, denominator):
            return jnp.asarray(ratio([measure(item) for item in numerator], measure(denominator)), dtype)
        case Aggregate():
            return _aggregate(operation, values, relations, shape, numbers, noise)
        case _:
            assert_never(operation)


def _aggregate(
    operation: Aggregate,
    values: Mapping[str, jax.Array],
    relations: Mapping[str, Held],
    shape: tuple[int, ...],
    numbers: Numbers,
    noise: Noise | None,
) -> jax.Array:
    operands = [values[operand.value] for operand in operation.operands]
    relation = relations[operation.relation] if operation.relation in relations else values[operation.relation]
    traced = any(isinstance(value, jax.core.Tracer) for value in operands)

    def apply(item: Map, named: Mapping[str, jax.Array]) -> jax.Array:
        return _map(item, named, numbers.dtype(item.output.dtype), noise)

    dtype = numbers.dtype(operation.output.dtype)
    return aggregate(operation, in_rows(relation, traced=traced), operands, shape, dtype, apply)


def _concat(operation: Concat, values: Mapping[str, jax.Array], dtype: np.dtype) -> jax.Array:
    output, place = operation.output, operation.output.labels.index(operation.axis)
    pieces = []
    for part in operation.parts:
        wanted = (*output.labels[:place], *part.along, *output.labels[place + 1 :])
        value = align(values[part.operand.value].astype(dtype), part.operand.labels, wanted)
        end = place + len(part.along)
        pieces.append(value.reshape(*value.shape[:place], math.prod(value.shape[place:end]), *value.shape[end:]))
    return pieces[0] if len(pieces) == 1 else lax.concatenate(pieces, place)


def _spots(operation: Index | Write, values: Mapping[str, jax.Array], measure: Measure) -> list[gathering.Spot]:
    spots = []
    indices: Sequence[ReadIndex | WriteIndex] = operation.indices
    for item in indices:
        array = None if item.gather is None else values[item.gather.value]
        labels = () if item.gather is None else item.gather.labels
        inside = isinstance(item, ReadIndex) and item.inside
        spots.append(gathering.Spot(item.terms, measure(item.offset), item.divisor, array, labels, inside))
    return spots


def _aligned(
    operands: Sequence[Operand | int | float], values: Mapping[str, jax.Array], order: Sequence[str]
) -> list[Value]:
    """Operands aligned to `order`; numbers stay numbers, which take the type of what they meet."""
    return [align(values[item.value], item.labels, order) if isinstance(item, Operand) else item for item in operands]


def _as_float(value: Value, dtype: np.dtype) -> Value:
    return value.astype(dtype) if isinstance(value, jax.Array) else float(value)


def _map(operation: Map, values: Mapping[str, jax.Array], dtype: np.dtype, noise: Noise | None) -> jax.Array:
    operands = _aligned(operation.operands, values, operation.output.labels)
    if operation.output.dtype == "float":
        # Whole numbers and truth values are floats from here on. A power keeps its whole exponent, a choice its condition.
        kept = {"where": 0, "power": 1}.get(operation.function)
        operands = [
            item if at == kept and not _is_integer_array(item) else _as_float(item, dtype)
            for at, item in enumerate(operands)
        ]
    if not any(isinstance(item, jax.Array) for item in operands):
        operands = [jnp.asarray(item, dtype if operation.output.dtype == "float" else None) for item in operands]
    if operation.function not in ELEMENTWISE:
        arrays = [jnp.asarray(item, dtype) for item in operands]
        return apply_registered(operation.function, arrays).astype(dtype)
    more: dict[str, object] = {"noise": noise} if operation.function == "dropout" else {}
    result = ELEMENTWISE[operation.function](*operands, **dict(operation.options), **more)
    return jnp.asarray(result).astype(dtype)


def _is_integer_array(value: Value) -> bool:
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.integer)


def _along(operation: Along, values: Mapping[str, jax.Array], dtype: np.dtype, precision: np.dtype) -> jax.Array:
    output = operation.output
    keeps = operation.axis in output.labels
    order = output.labels if keeps else (*output.labels, operation.axis)
    kinds = [argument.kind for argument in CATALOGUE[operation.function].arguments]
    operands = [
        item
        if kind in ("mask", "number", "count")
        or (kind in ("classes", "ordered") and _is_integer_array(item) and not keeps)
        else _as_float(item, precision)
        for kind, item in zip(kinds, _aligned(operation.operands, values, order), strict=True)
    ]
    function = ALONG[operation.function]
    return jnp.asarray(function(*operands, axis=order.index(operation.axis), **dict(operation.options))).astype(dtype)
