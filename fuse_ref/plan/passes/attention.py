"""Products, a softmax and a product again become attention: no array of all pairs of positions is kept."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

from fuse_ref.analysis.lengths import Length
from fuse_ref.plan.passes.framework import Block, PlanPass
from fuse_ref.plan.passes.tracing import Names, Tracer
from fuse_ref.plan.steps import (
    Along,
    Attention,
    Contract,
    DenseOperation,
    Iota,
    LiteralArray,
    Map,
    Operand,
    Output,
    Saving,
)
from fuse_ref.records import dataclass

__all__ = ["ATTENTION", "LOWEST", "Found", "why_not"]

# A score from here on down counts as minus infinity beside any that is kept: programs write -1e9 for it.
LOWEST = -1e9

Empty = Literal["zero", "mean", "nan"]


@dataclass(frozen=True, slots=True)
class _Mask:
    keep: Operand  # a truth value
    empty: Empty


@dataclass(frozen=True, slots=True)
class _Scores:
    """scale * query * key, and what is added to it."""

    query: Operand
    key: Operand
    scale: float
    biases: tuple[tuple[Operand, float], ...]  # each with its factor
    factors: tuple[tuple[str, Operand], ...] = ()  # what the queries are multiplied or divided by before


@dataclass(frozen=True, slots=True)
class Found:
    """A product that is attention; labels are the product's."""

    value: Operand
    axis: str
    scores: _Scores
    mask: _Mask | None
    causal: str
    softmax: Output
    negates: bool  # the mask is a number that is not 0 where a position is kept


def why_not(product: Contract, tracer: Tracer) -> Found | str:
    """`product` as the last one of an attention, or why it is none."""
    reason = "neither operand is a softmax"
    for weighing, value in ((product.left, product.right), (product.right, product.left)):
        maker, operand = tracer.source(weighing, single=True)
        if not isinstance(maker, Along) or maker.function not in ("softmax", "masked_softmax"):
            continue
        if not tracer.single(operand.value):
            reason = "the weights are read elsewhere too"
            continue
        found = _attention(product, maker, operand, value, tracer)
        if isinstance(found, Found):
            return found
        reason = found
    return reason


def _attention(product: Contract, softmax: Along, weights: Operand, value: Operand, tracer: Tracer) -> Found | str:
    output = set(product.output.labels)
    names = Names(
        dict(zip(softmax.output.labels, weights.labels, strict=True)),
        {*product.left.labels, *product.right.labels, *output},
    )
    axis = names[softmax.axis]
    if axis in output or axis not in value.labels:
        return "the softmax is not along what the product sums"
    if any(label not in output and label != axis for label in (*weights.labels, *value.labels)):
        return "more than the softmax's own axis is summed"
    read = softmax.operands[0]
    if not isinstance(read, Operand):
        return "the scores are one number"
    read, mask, negates = names.operand(read), None, False
    if softmax.function == "masked_softmax":
        written = softmax.operands[1]
        if not isinstance(written, Operand):
            return "the mask is one number"
        keep = _truth(names.operand(written), tracer)
        negates = keep is None
        mask = _Mask(names.operand(written) if keep is None else keep, "zero")
    else:
        chosen = _chosen(read, names, tracer)
        if chosen is not None:
            read, mask = chosen
    scores = _scores(read, names, tracer, axis)
    if isinstance(scores, str):
        return scores
    masks = [*(operand for operand, _ in scores.biases), *(() if mask is None else (mask.keep,))]
    rows = _rows(product.output, scores, value, masks)
    if isinstance(rows, str):
        return rows
    causal = "" if mask is None or negates else _causal(mask.keep, axis, tracer)
    if mask is None:
        others, added, causal = _added(scores, names, tracer, axis)
        if causal in rows:
            scores, mask = others, added
    return Found(value, axis, scores, mask, causal if causal in rows else "", softmax.output, negates)


def _rows(output: Output, scores: _Scores, value: Operand, masks: list[Operand]) -> set[str] | str:
    """The labels of the places that attend; why they cannot be told apart."""
    scored = {*scores.query.labels, *scores.key.labels}
    columns = {label for label in value.labels if label in output.labels and label not in scored}
    if any(label in columns for operand in masks for label in operand.labels):
        return "a mask has the values' own index"
    rows = {label for label in output.labels if label not in scores.key.labels and label not in value.labels}
    return rows if rows <= set(scores.query.labels) else "the rows are not the queries'"


# Scores -----------------------------------------------------------------------------------------


def _scores(read: Operand, names: Names, tracer: Tracer, axis: str) -> _Scores | str:
    """The product of queries and keys under a scale and additions."""
    maker, operand = tracer.source(read, single=True)
    if maker is None:
        return "the scores are given, or read elsewhere too"
    names = Names(dict(zip(maker.output.labels, operand.labels, strict=True)), names.taken)
    match maker:
        case Contract(output, left, right):
            first, second = names.operand(left), names.operand(right)
            query, key = (second, first) if axis in first.labels else (first, second)
            if axis in query.labels or axis not in key.labels:
                return "the axis is not the keys' alone"
            result = {names[label] for label in output.labels}
            for own, other in ((query, key), (key, query)):
                if any(label not in result and label not in other.labels for label in own.labels):
                    return "a variable of the queries or keys alone is summed"
            (query, first_scale), (key, second_scale) = (_unscaled(item, names, tracer) for item in (query, key))
            return _Scores(query, key, first_scale * second_scale, ())
        case Map(_, "negate", (Operand() as inner,)):
            return _scaled(_scores(names.operand(inner), names, tracer, axis), -1.0)
        case Map(_, "divide", (Operand() as inner, int() | float() as number)) if number != 0:
            return _scaled(_scores(names.operand(inner), names, tracer, axis), 1 / number)
        case Map(_, "multiply", (Operand() as inner, int() | float() as number)):
            return _scaled(_scores(names.operand(inner), names, tracer, axis), float(number))
        case Map(_, "multiply", (int() | float() as number, Operand() as inner)):
            return _scaled(_scores(names.operand(inner), names, tracer, axis), float(number))
        case Map(_, "multiply" | "divide" as function, (Operand() as first, Operand() as second)):
            sides = (names.operand(first), names.operand(second))
            for k in (0, 1) if function == "multiply" else (0,):
                found = _scores(sides[k], names, tracer, axis)
                factor = sides[1 - k]
                if isinstance(found, _Scores) and not found.biases and set(factor.labels) <= set(found.query.labels):
                    return replace(found, factors=(*found.factors, (function, factor)))
            return "the scores are multiplied by what the queries lack"
        case Map(_, "add" | "subtract" as function, (Operand() as first, Operand() as second)):
            signs = (1.0, 1.0 if function == "add" else -1.0)
            sides = (names.operand(first), names.operand(second))
            reason = ""
            for k in (0, 1):
                found = _scaled(_scores(sides[k], names, tracer, axis), signs[k])
                if isinstance(found, _Scores):
                    return replace(found, biases=(*found.biases, (sides[1 - k], signs[1 - k])))
                reason = reason or found
            return reason
        case _:
            return "the scores are no product of queries and keys"


def _unscaled(operand: Operand, names: Names, tracer: Tracer) -> tuple[Operand, float]:
    """An operand before a number was multiplied into it, and the number."""
    maker, source = tracer.source(operand, single=True)
    match maker:
        case Map(output, "divide", (Operand() as inner, int() | float() as number)) if number != 0:
            factor = 1 / number
        case Map(output, "multiply", (Operand() as inner, int() | float() as number)):
            factor = float(number)
        case Map(output, "multiply", (int() | float() as number, Operand() as inner)):
            factor = float(number)
        case _:
            return operand, 1.0
    called = Names(dict(zip(output.labels, source.labels, strict=True)), names.taken)
    return called.operand(inner), factor


def _scaled(found: _Scores | str, factor: float) -> _Scores | str:
    if isinstance(found, str):
        return found
    biases = tuple((operand, factor * own) for operand, own in found.biases)
    return replace(found, scale=factor * found.scale, biases=biases)


# Masks ------------------------------------------------------------------------------------------


def _chosen(read: Operand, names: Names, tracer: Tracer) -> tuple[Operand, _Mask] | None:
    """Scores of which some are replaced by minus infinity, or what stands for it."""
    maker, operand = tracer.source(read, single=True)
    match maker:
        case Map(output, "where", (Operand() as condition, Operand() as scores, otherwise)):
            lowest = _number(otherwise, tracer)
            if not lowest <= LOWEST:
                return None
            inner = Names(dict(zip(output.labels, operand.labels, strict=True)), names.taken)
            empty: Empty = "nan" if lowest == -math.inf else "mean"
            return inner.operand(scores), _Mask(inner.operand(condition), empty)
        case _:
            return None


def _added(scores: _Scores, names: Names, tracer: Tracer, axis: str) -> tuple[_Scores, _Mask | None, str]:
    """A causal mask that is added, 0 where it keeps: no row loses all its positions, so it may choose as well."""
    for k, (bias, factor) in enumerate(scores.biases):
        maker, operand = tracer.source(bias)
        match maker:
            case Map(output, "where", (Operand() as condition, int() | float() as kept, otherwise)):
                lowest = _number(otherwise, tracer)
                inner = Names(dict(zip(output.labels, operand.labels, strict=True)), names.taken)
                keep = inner.operand(condition)
                causal = _causal(keep, axis, tracer)
                if causal and kept == 0 and factor * lowest <= LOWEST:
                    rest = replace(scores, biases=(*scores.biases[:k], *scores.biases[k + 1 :]))
                    return rest, _Mask(keep, "mean"), causal
            case _:
                pass
    return scores, None, ""


def _truth(mask: Operand, tracer: Tracer) -> Operand | None:
    """The truth value that `mask` is; None where it is a number."""
    maker, operand = tracer.source(mask)
    match maker:
        case Map(output, "not_equal", (Operand() as inner, 0)):
            # 1 where something holds, and then whether that is not 0.
            names = dict(zip(output.labels, operand.labels, strict=True))
            named = Operand(inner.value, tuple(names[label] for label in inner.labels))
            found = None if tracer.block.values[inner.value].dtype == "bool" else _truth(named, tracer)
            return mask if found is None else found
        case _ if tracer.block.values[mask.value].dtype == "bool":
            return mask
        case Map(output, "to_number", (Operand() as inner,)) if tracer.block.values[inner.value].dtype == "bool":
            names = dict(zip(output.labels, operand.labels, strict=True))
            return Operand(inner.value, tuple(names[label] for label in inner.labels))
        case _:
            return None


def _causal(keep: Operand, axis: str, tracer: Tracer) -> str:
    """The label p where `keep` is exactly `axis` <= p; else ""."""
    maker, operand = tracer.source(keep)
    match maker:
        case Map(output, "less_equal" | "greater_equal" as function, (Operand() as first, Operand() as second)):
            names = dict(zip(output.labels, operand.labels, strict=True))
            if not all(isinstance(tracer.source(item)[0], Iota) for item in (first, second)):
                return ""
            low, high = (first, second) if function == "less_equal" else (second, first)
            if names[low.labels[0]] == axis and names[high.labels[0]] != axis:
                return names[high.labels[0]]
            return ""
        case _:
            return ""


def _number(operand: Operand | int | float, tracer: Tracer) -> float:
    """A number that is written in the program, -1/0 too; NaN where it is none."""
    if not isinstance(operand, Operand):
        return float(operand)
    match tracer.makers.get(operand.value):
        case LiteralArray(Output(labels=()), (value,)):
            return float(value)
        case Map(Output(labels=()), "divide", (over, under)):
            above, below = _number(over, tracer), _number(under, tracer)
            return above * math.copysign(math.inf, below) if below == 0 else math.nan
        case _:
            return math.nan


# The rewrite ------------------------------------------------------------------------------------


def _rewrite(block: Block) -> tuple[tuple[DenseOperation, ...], tuple[Saving, ...]]:
    tracer = Tracer(block)
    operations: list[DenseOperation] = []
    savings: list[Saving] = []
    for operation in block.operations:
        found = why_not(operation, tracer) if isinstance(operation, Contract) else ""
        if isinstance(found, Found):
            operations.extend(_made(operation.output, found, tracer))
            savings.append(_saving(operation.output, found, block))
        else:
            operations.append(operation)
    return tuple(operations), tuple(savings)


def _made(output: Output, found: Found, tracer: Tracer) -> list[DenseOperation]:
    """The attention, after what makes its query, one bias of several, a truth value of a mask of numbers."""
    values = dict(tracer.block.values)
    made: list[DenseOperation] = []

    def map_of(function: str, operands: tuple[Operand | int | float, ...], *, truth: bool = False) -> Operand:
        arrays = [item for item in operands if isinstance(item, Operand)]
        lengths: dict[str, Length] = {}
        for item in arrays:
            lengths |= dict(zip(item.labels, values[item.value].lengths, strict=True))
        name = tracer.fresh(f"{output.out.partition('~')[0]}~of", values)
        whole = Output(name, tuple(lengths), tuple(lengths.values()), "bool" if truth else "float")
        made.append(Map(whole, function, operands))
        values[name] = whole
        return Operand(name, whole.labels)

    query = found.scores.query
    for function, operand in found.scores.factors:
        query = map_of(function, (query, operand))
    bias: Operand | None = None
    for operand, factor in found.scores.biases:
        term = operand if factor == 1 else map_of("multiply", (operand, factor))
        bias = term if bias is None else map_of("add", (bias, term))
    keep = None if found.mask is None else found.mask.keep
    if keep is not None and found.negates:
        keep = map_of("not_equal", (keep, 0), truth=True)
    scores = found.scores
    empty: Empty = "zero" if found.mask is None else found.mask.empty
    keep = None if found.causal else keep
    made.append(
        Attention(output, query, scores.key, found.value, found.axis, scores.scale, bias, keep, found.causal, empty)
    )
    return made


def _saving(output: Output, found: Found, block: Block) -> Saving:
    scores = found.scores
    what = f"softmax of {scores.query.value} times {scores.key.value}, times {found.value.value}, is attention"
    # The scores and the weights.
    size = 2 * 4 * block.estimates.elements(found.softmax)
    return Saving("attention", output.out.partition("~")[0], what, 0, size)


ATTENTION = PlanPass("attention", "a softmax of products times values is the engine's attention", _rewrite)
