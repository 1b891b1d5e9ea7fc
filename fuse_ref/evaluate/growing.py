"""Relations of files on axes that calls make longer: they enter with each call, like inputs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from fuse_ref.files.sources import Sources
from fuse_ref.ir.nodes import ProgramIR
from fuse_ref.relations.tuples import Tuples

__all__ = ["as_given", "growing_sources"]


def growing_sources(sources: Sources) -> dict[str, Tuples]:
    """The relations of files that share an open axis with a relation that calls give: its symbols are on theirs too."""
    program = sources.program
    called = {
        axis
        for tensor in program.tensors
        if tensor.boolean and tensor.role in ("input", "free")
        for axis in tensor.axes
    }
    called &= {axis.name for axis in program.axes if axis.size is None and not axis.stepped}
    return {
        tensor.name: array
        for tensor in program.tensors
        if tensor.role == "source"
        and called.intersection(tensor.axes)
        and isinstance(array := sources.arrays[tensor.name], Tuples)
    }


def as_given(program: ProgramIR, names: Collection[str]) -> ProgramIR:
    """The program to which the tensors of `names`, which it reads from files, are given."""
    if not names:
        return program
    tensors = tuple(replace(item, role="free") if item.name in names else item for item in program.tensors)
    equations = tuple(item for item in program.equations if item.target.tensor not in names)
    return replace(program, tensors=tensors, equations=equations)
