"""Indices and references as a user wrote them, for messages."""

from __future__ import annotations

from typing import assert_never

from fuse_ref.ir.index import Affine, FromEnd, Gather, Index, Quotient, SliceIndex, Symbol, Virtual

__all__ = ["index_text", "reference_text"]


def _affine(form: Affine) -> str:
    text = ""
    for variable, coefficient in form.terms:
        size = "" if abs(coefficient) == 1 else f"{abs(coefficient)}*"
        sign = "-" if coefficient < 0 else "+" if text else ""
        text += f"{sign}{size}{variable}"
    if not text:
        return str(form.offset)
    return text if form.offset == 0 else f"{text}{form.offset:+d}"


def index_text(index: Index) -> str:
    match index:
        case Affine():
            return _affine(index)
        case FromEnd(distance):
            return f"-{distance}"
        case Symbol(name):
            return name
        case Quotient(numerator, divisor):
            text = _affine(numerator)
            return f"{text}/{divisor}" if numerator.variable is not None else f"({text})/{divisor}"
        case SliceIndex(_, start, stop, step):
            text = f"{'' if start is None else start}:{'' if stop is None else stop}"
            return text if step == 1 else f"{text}:{step}"
        case Gather(read, offset):
            text = reference_text(read.tensor, read.indices)
            return text if offset == 0 else f"{text}{offset:+d}"
        case Virtual(variable, offset):
            return f"*{variable}" if offset == 0 else f"*{variable}{offset:+d}"
        case _:
            assert_never(index)


def reference_text(tensor: str, indices: tuple[Index, ...]) -> str:
    """`Image[x+dx, y+dy]`; the name alone for a scalar."""
    return f"{tensor}[{', '.join(index_text(index) for index in indices)}]" if indices else tensor
