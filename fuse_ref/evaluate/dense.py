"""Writes the dense operations of a plan as NumPy instructions, for one set of sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, assert_never

import numpy as np

from fuse_ref.analysis.lengths import Length
from fuse_ref.evaluate.aggregate import Combine
from fuse_ref.evaluate.attention import attend
from fuse_ref.evaluate.contract import contract
from fuse_ref.evaluate.convolution import Offset, convolve
from fuse_ref.evaluate.gathering import Spot, gather, repeated, scatter
from fuse_ref.evaluate.indexing import Place, read
from fuse_ref.evaluate.logic import tuples_name
from fuse_ref.evaluate.operations import ALONG, ELEMENTWISE, WHOLE, Elementwise
from fuse_ref.evaluate.registered import call_registered
from fuse_ref.evaluate.registers import Emitter, Register
from fuse_ref.evaluate.sampling import ratio, sample
from fuse_ref.evaluate.scatter import Target, neutral, write
from fuse_ref.ir.nodes import Dtype
from fuse_ref.ir.operations import CATALOGUE
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
    Output,
    Permute,
    Ratio,
    ReadIndex,
    Reduce,
    Sample,
    Whole,
    Write,
    WriteIndex,
)

__all__ = ["array_type", "combine_of", "write_operation"]

Sizes = Callable[[Length], int]


def write_operation(emitter: Emitter, operation: DenseOperation, sizes: Sizes) -> None:
    """Write one operation and call its result by its name.

    Args:
        sizes: the number that a length of the plan is in the calls that this program is written for.
    """
    output = operation.output
    shape = tuple(max(0, sizes(length)) for length in output.lengths)
    dtype = array_type(emitter, output.dtype)
    match operation:
        case LiteralArray(values=values):
            register = emitter.constant(np.array(values, dtype).reshape(shape))
        case Iota():
            register = emitter.constant(np.arange(shape[0], dtype=dtype))
        case Index(source=source, indices=indices):
            spots = _spots(emitter, indices, sizes)
            if any(spot.register is not None for spot in spots):
                register = gather(emitter, emitter.names[source], spots, output.labels, shape)
            else:
                # A quotient reads a source whose every position is repeated.
                stretched = repeated(emitter, emitter.names[source], [spot.divisor for spot in spots])
                register = read(emitter, stretched, [spot.place for spot in spots], output.labels, shape)
        case Map():
            register = _map(emitter, operation, shape, dtype)
        case Along():
            register = _along(emitter, operation, shape, dtype)
        case Concat():
            register = _concat(emitter, operation, shape, dtype)
        case Whole(function=function, operand=operand, numbers=numbers):
            register = emitter.cast(_register(emitter, operand, output, shape), dtype)
            order = tuple(operand.labels.index(label) for label in output.labels)
            register = emitter.call(
                partial(WHOLE[function], numbers), (emitter.transpose(register, order),), shape, dtype
            )
        case Contract(left=left, right=right):
            register = contract(
                emitter,
                emitter.cast(_register(emitter, left, output, shape), dtype),
                left.labels,
                emitter.cast(_register(emitter, right, output, shape), dtype),
                right.labels,
                output.labels,
            )
        case Reduce(operator=operator, operand=operand):
            register = emitter.cast(_register(emitter, operand, output, shape), dtype)
            register = _reduce(emitter, operator, register, operand.labels, output)
        case Permute(operand=operand):
            register = _register(emitter, operand, output, shape)
            register = emitter.transpose(register, tuple(operand.labels.index(label) for label in output.labels))
        case Expand(operand=operand):
            register = _expand(emitter, _register(emitter, operand, output, shape), operand.labels, output, shape)
        case Write(operator=operator, operand=operand, indices=indices):
            spots = _spots(emitter, indices, sizes)
            register = emitter.cast(_register(emitter, operand, output, shape), dtype)
            if any(spot.register is not None for spot in spots):
                register = scatter(emitter, operator, register, operand.labels, spots, shape)
            else:
                targets = [Target(spot.place, spot.divisor) for spot in spots]
                register = write(emitter, operator, register, operand.labels, targets, shape)
        case Convolve(windows=windows):
            offsets = [Offset(window.stride, window.dilation, sizes(window.offset)) for window in windows]
            register = convolve(emitter, operation, offsets, shape, dtype)
        case Attention():
            register = attend(emitter, operation, shape, dtype)
        case Sample(seed=seed, ranges=ranges, stream=stream):
            words = emitter.template[emitter.names[seed.value]]
            register = emitter.constant(sample(words, stream, [sizes(item) for item in ranges], shape[1]))
        case Ratio(_, numerator, denominator):
            register = emitter.constant(dtype.type(ratio([sizes(item) for item in numerator], sizes(denominator))))
        case Aggregate():
            register = _aggregate(emitter, operation, shape, dtype)
        case _:
            assert_never(operation)
    register = emitter.cast(register, dtype)
    assert emitter.infos[register].shape == shape, (output.out, emitter.infos[register].shape, shape)
    emitter.bind(output.out, register)


def _aggregate(emitter: Emitter, operation: Aggregate, shape: tuple[int, ...], dtype: np.dtype) -> Register:
    registers = [emitter.names[operand.value] for operand in operation.operands]
    function = combine_of(
        emitter, operation, emitter.names, dict(zip(operation.output.lengths, shape, strict=True)).__getitem__
    )
    return emitter.call(function, (emitter.names[tuples_name(operation.relation)], *registers), shape, dtype)


def combine_of(emitter: Emitter, operation: Aggregate, names: Mapping[str, Register], sizes: Sizes) -> Combine:
    """What an Aggregate computes from the registers that `names` calls its operands."""
    output = operation.output
    found = {label: max(0, sizes(length)) for label, length in zip(output.labels, output.lengths, strict=True)}
    for operand in operation.operands:
        found.update(zip(operand.labels, emitter.infos[names[operand.value]].shape, strict=True))
    # Cycles of max= and min= come here in 16 bits too; what combines many values does so in 32.
    dtype = emitter.float_type if emitter.float_type.itemsize > 2 else np.dtype(np.float32)
    return Combine(operation, found, dtype, _registered)


def _spots(emitter: Emitter, indices: Sequence[ReadIndex] | Sequence[WriteIndex], sizes: Sizes) -> list[Spot]:
    spots = []
    for index in indices:
        place = Place(index.terms, sizes(index.offset))
        gathered = index.gather
        register = None if gathered is None else emitter.names[gathered.value]
        inside = isinstance(index, ReadIndex) and index.inside
        spots.append(Spot(place, index.divisor, register, () if gathered is None else gathered.labels, inside))
    return spots


def _concat(emitter: Emitter, operation: Concat, shape: tuple[int, ...], dtype: np.dtype) -> Register:
    """Each part in the output's order with its own labels flattened; a part that is alone may share its memory."""
    output, place = operation.output, operation.output.labels.index(operation.axis)
    registers: list[Register] = []
    for part in operation.parts:
        labels = part.operand.labels
        register = emitter.cast(emitter.names[part.operand.value], dtype)
        wanted = (*output.labels[:place], *part.along, *output.labels[place + 1 :])
        register = emitter.transpose(register, tuple(labels.index(label) for label in wanted))
        sizes = emitter.infos[register].shape
        count = math.prod(sizes[place : place + len(part.along)])
        flat = (*sizes[:place], count, *sizes[place + len(part.along) :])
        assert flat[:place] == shape[:place], (output.out, part.operand.value, flat, shape)
        assert flat[place + 1 :] == shape[place + 1 :], (output.out, part.operand.value, flat, shape)
        registers.append(emitter.reshape(register, flat))
    if len(registers) == 1:
        return registers[0]

    def joined(*arrays: np.ndarray) -> np.ndarray:
        return np.concatenate(arrays, axis=place)

    return emitter.call(joined, registers, shape, dtype)


def array_type(emitter: Emitter, dtype: Dtype) -> np.dtype:
    match dtype:
        case "float":
            return emitter.float_type
        case "int64":
            return np.dtype(np.int64)
        case "bool":
            return np.dtype(np.bool_)
        case _:
            assert_never(dtype)


def _register(emitter: Emitter, operand: Operand, output: Output, shape: tuple[int, ...]) -> Register:
    register = emitter.names[operand.value]
    # The plan's checks have passed, so one label has one length: what differs here is a fault of the planner,
    # and NumPy would broadcast a length of 1 in silence.
    sizes = dict(zip(output.labels, shape, strict=True))
    for label, size in zip(operand.labels, emitter.infos[register].shape, strict=True):
        assert sizes.get(label, size) == size, (output.out, operand.value, label, size, sizes[label])
    return register


def _align(
    emitter: Emitter,
    operands: Sequence[Operand | int | float],
    output: Output,
    shape: tuple[int, ...],
    *,
    full: bool = False,
) -> list[Register]:
    """The operands' registers with their dimensions as the output has them; numbers as constants."""
    registers = []
    for operand in operands:
        if isinstance(operand, Operand):
            register = _register(emitter, operand, output, shape)
            registers.append(emitter.align(register, operand.labels, output.labels, full=full))
        else:
            registers.append(emitter.constant(operand))
    return registers


def _registered(name: str) -> Elementwise:
    """The row of a function that Python code has added; what names it in digests is none of its arguments."""

    def function(*arguments: np.ndarray, identity: str) -> np.ndarray:
        return call_registered(name, arguments)

    return Elementwise(function, "none")


def _map(emitter: Emitter, operation: Map, shape: tuple[int, ...], dtype: np.dtype) -> Register:
    row = ELEMENTWISE.get(operation.function) or _registered(operation.function)
    output = operation.output
    arrays = [operand for operand in operation.operands if isinstance(operand, Operand)]
    registers = _align(emitter, operation.operands, output, shape)
    is_array = [isinstance(operand, Operand) for operand in operation.operands]
    if row.takes == "float" or operation.function == "where":
        for k, register in enumerate(registers):
            if operation.function == "where" and k == 0:
                continue
            if is_array[k]:
                registers[k] = emitter.cast(register, dtype)
            elif not arrays or operation.function == "where":
                # Beside no array of the run's precision a Python number would become float64.
                registers[k] = emitter.constant(dtype.type(operation.operands[k]))
    if operation.function == "to_boolean" and emitter.infos[registers[0]].dtype == np.bool_:
        return registers[0]
    if operation.function in ("to_number", "dropout"):
        return registers[0]
    into = None
    candidates = {"any": range(len(registers)), "first": range(1), "none": range(0)}[row.overwrites]
    result = np.dtype(np.bool_) if row.makes == "bool" else dtype
    for k in candidates:
        info = emitter.infos[registers[k]]
        if is_array[k] and info.shape == shape and info.dtype == result and emitter.may_overwrite(registers[k]):
            others = [emitter.infos[other].root for j, other in enumerate(registers) if j != k]
            # A ufunc sorts out operands that share memory; a function of several passes does not.
            if row.overwrites == "any" or info.root not in others:
                into = registers[k]
                break
    function: Callable[..., Any] = row.function
    if operation.options:
        function = partial(function, **dict(operation.options))
    order = _common_order(emitter, registers, is_array, shape)
    return emitter.call(function, registers, shape, result, into=into, order=order)


def _common_order(
    emitter: Emitter, registers: Sequence[Register], is_array: Sequence[bool], shape: tuple[int, ...]
) -> tuple[int, ...] | None:
    """NumPy lays a new array out as its operands are; here as the first operand of the whole shape is."""
    for register, array in zip(registers, is_array, strict=True):
        if array and emitter.infos[register].shape == shape:
            return emitter.infos[register].order
    return None


def _along(emitter: Emitter, operation: Along, shape: tuple[int, ...], dtype: np.dtype) -> Register:
    output = operation.output
    function: Callable[..., Any] = ALONG[operation.function]
    if operation.options:
        function = partial(function, **dict(operation.options))
    arrays = [operand for operand in operation.operands if isinstance(operand, Operand)]
    first = arrays[0]
    size = emitter.infos[emitter.names[first.value]].shape[first.labels.index(operation.axis)]
    keeps = CATALOGUE[operation.function].kind == "along_axis"
    if size == 0:
        # Along an axis without positions there is nothing to normalise, and the loss of no class is 0.
        return emitter.constant(np.zeros(shape, dtype))
    if keeps:
        registers = _align(emitter, operation.operands, output, shape)
        registers = _floats(emitter, operation, registers)
        registers[0] = _broadcast(emitter, registers[0], shape)
        axis = output.labels.index(operation.axis)
        others = [emitter.infos[register].root for register in registers[1:]]
        into = registers[0] if emitter.may_overwrite(registers[0]) else None
        if into is not None and emitter.infos[into].root in others:
            into = None
        order = emitter.infos[registers[0]].order
        return emitter.call(partial(function, axis=axis), registers, shape, dtype, into=into, order=order)
    wider = Output(output.out, (*output.labels, operation.axis), output.lengths, output.dtype)
    registers = _align(emitter, operation.operands, wider, (*shape, size), full=True)
    registers = _floats(emitter, operation, registers)
    result = emitter.call(partial(function, axis=len(shape)), registers, shape, dtype)
    return _broadcast(emitter, result, shape)


def _floats(emitter: Emitter, operation: Along, registers: Sequence[Register]) -> list[Register]:
    """The operands in the run's precision, but for those that the function takes as they are."""
    made = []
    kinds = [argument.kind for argument in CATALOGUE[operation.function].arguments]
    for kind, operand, register in zip(kinds, operation.operands, registers, strict=True):
        whole = emitter.infos[register].dtype == np.int64
        classes = kind == "classes" and isinstance(operand, Operand) and operation.axis not in operand.labels
        stays = kind in ("mask", "number", "count") or (whole and (classes or kind == "ordered"))
        made.append(
            register if stays or not isinstance(operand, Operand) else emitter.cast(register, emitter.float_type)
        )
    return made


def _broadcast(emitter: Emitter, register: Register, shape: tuple[int, ...]) -> Register:
    """A whole array of `shape`, copied only when it is not one already."""
    info = emitter.infos[register]
    if info.shape == shape:
        return register
    dtype = info.dtype

    def expand(x: Any) -> np.ndarray:
        result = np.empty(shape, dtype)
        result[...] = x
        return result

    return emitter.call(expand, (register,), shape, dtype)


def _expand(
    emitter: Emitter, register: Register, labels: Sequence[str], output: Output, shape: tuple[int, ...]
) -> Register:
    return _broadcast(emitter, emitter.align(register, labels, output.labels), shape)


def _reduce(emitter: Emitter, operator: str, register: Register, labels: Sequence[str], output: Output) -> Register:
    info = emitter.infos[register]
    axes = tuple(k for k, label in enumerate(labels) if label not in output.labels)
    kept = [label for label in labels if label in output.labels]
    shape = tuple(size for size, label in zip(info.shape, labels, strict=True) if label in output.labels)
    count = int(np.prod([info.shape[k] for k in axes], dtype=np.int64))
    if count == 0 and axes:
        empty = neutral(operator, info.dtype)
        reduced = emitter.constant(np.full(shape, empty, info.dtype))
    elif not axes:
        reduced = register
    else:
        reduced = emitter.call(_reducer(operator, axes, count, info.dtype), (register,), shape, info.dtype)
    return emitter.transpose(reduced, tuple(kept.index(label) for label in output.labels))


def _reducer(operator: str, axes: tuple[int, ...], count: int, dtype: np.dtype) -> Callable[[Any], Any]:
    ufuncs = {
        "sum": np.add,
        "avg": np.add,
        "max": np.maximum,
        "min": np.minimum,
        "prod": np.multiply,
        "any": np.logical_or,
    }
    reduce = ufuncs[operator].reduce
    if operator == "avg":
        return lambda x: reduce(x, axis=axes) / count
    # Without a type, NumPy would widen sums of bool; with it, they are OR, as a Boolean projection is.
    return lambda x: reduce(x, axis=axes, dtype=dtype)
