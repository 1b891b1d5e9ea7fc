"""Everything that a program reads from files: `W[i, j] = "ckpt/w.npy"`. Never pickle."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import field

import numpy as np

from fuse_ref.files.arrays import why_copied
from fuse_ref.files.paths import Folders, Place
from fuse_ref.files.relations import Facts, dense_facts, sparse_facts, with_symbols
from fuse_ref.files.table import Table
from fuse_ref.ir.nodes import ArrayLiteral, Axis, FileContent, ProgramIR, Tensor
from fuse_ref.mistakes import mistake
from fuse_ref.records import dataclass
from fuse_ref.relations.tuples import Tuples

__all__ = ["DENSE_LIMIT", "Sources", "read_sources"]

DENSE_LIMIT = 2**24  # elements, as `ExecutionConfig.dense_limit` has it


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of a program, read."""

    program: ProgramIR  # whose axes have the symbols of the files too
    arrays: Mapping[str, np.ndarray | Tuples]  # by tensor, read-only; relations as truth values or as tuples
    facts: tuple[Facts, ...] = field(default=(), repr=False)  # of relations, as the files list them, without positions
    strict: bool = False  # whether memory maps must stay what they are
    axes: tuple[Axis, ...] = field(default=(), repr=False)  # as they were without the symbols of files

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each source by tensor."""
        return {name: array.shape for name, array in self.arrays.items()}

    def check_kept(self, name: str, dtype: str, address: int, elsewhere: str) -> None:
        """Under `strict`, that an engine holds the memory map of source `name` itself.

        Args:
            dtype, address: of the numbers that it holds.
            elsewhere: why they may lie elsewhere, a clause.

        Raises:
            ManifestError: it is a copy.
        """
        array = self.arrays[name]
        if not self.strict or isinstance(array, Tuples):
            return
        reason = why_copied(array, dtype, address, elsewhere)
        if reason:
            (body, span), *_ = (
                (equation.body, equation.span)
                for equation in self.program.equations
                if equation.target.tensor == name and isinstance(equation.body, FileContent)
            )
            raise mistake("FUSE333", span, holder=f"{body.path}, source {name}", reason=reason)

    def extended(self, program: ProgramIR) -> ProgramIR:
        """Another program of the same text, such as one with a query, with the symbols of the files."""
        if program.axes == self.axes:
            # As it mostly is: no symbol is numbered again.
            return dataclasses.replace(program, axes=self.program.axes)
        tensors = {tensor.name: tensor for tensor in program.tensors}
        return with_symbols(program, [Facts(tensors[f.tensor.name], f.table, f.place) for f in self.facts])


def read_sources(
    program: ProgramIR,
    folders: Folders,
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    sizes: Mapping[str, int] | None = None,
    limit: int = DENSE_LIMIT,
    strict: bool = False,
    tuples: bool = False,
) -> Sources:
    """Every source of `program`, each file once. Arrays of numbers are memory-mapped where the format allows.

    Args:
        program: what is to run.
        folders: where its files may lie.
        shapes: of tensors that the weight store has: relations become as long as they are.
        sizes: axis letter -> size, like lines `axis letter = size`.
        limit: elements that the dense array of a relation may have.
        strict: refuse to copy arrays of formats that can be memory-mapped.
        tuples: give facts as tuples, which no limit holds for, instead of truth values.

    Raises:
        ManifestError: a file that is missing, lies outside `folders`, cannot be read, or must be copied under `strict`.
        AxisError: content with another number of axes than its tensor, or that does not fit an axis.
        CapacityError: a relation too large to be dense.
    """
    tensors = {tensor.name: tensor for tensor in program.tensors}
    arrays: dict[str, np.ndarray | Tuples] = {}
    facts: list[Facts] = []
    axes = program.axes
    for equation in program.equations:
        if isinstance(equation.body, FileContent):
            # The readers of all formats, which a program without files is spared.
            from fuse_ref.files.content import read_content

            tensor = tensors[equation.target.tensor]
            place = folders.place(equation.body.path, equation.body.key, "read", equation.span)
            letters = tuple(getattr(index, "variable", None) or "" for index in equation.target.indices)
            content = read_content(place, folders, letters, boolean=tensor.boolean, strict=strict)
            if isinstance(content, Table):
                facts.append(Facts(tensor, content, place))
            else:
                _check_rank(content, tensor, place)
                content.flags.writeable = False
                arrays[tensor.name] = content
    if facts:
        program = with_symbols(program, facts)
        known = _lengths(program, {**(shapes or {}), **{name: array.shape for name, array in arrays.items()}}, sizes)
        arrays |= sparse_facts(program, facts, known) if tuples else dense_facts(program, facts, known, limit)
    kept = tuple(Facts(item.tensor, item.table.without_positions(), item.place) for item in facts)
    return Sources(program, arrays, kept, strict, axes)


def _lengths(
    program: ProgramIR, shapes: Mapping[str, tuple[int, ...]], sizes: Mapping[str, int] | None
) -> dict[str, int]:
    """Axis -> its length in tensors of known shapes; stepped axes have none of their own."""
    known = dict(shapes)
    for equation in program.equations:
        if equation.kind == "literal" and isinstance(equation.body, ArrayLiteral):
            known.setdefault(equation.target.tensor, equation.body.shape)
    stepped = {axis.name for axis in program.axes if axis.stepped}
    found: dict[str, int] = {}
    for tensor in program.tensors:
        for axis, size in zip(tensor.axes, known.get(tensor.name, ()), strict=False):
            if axis not in stepped:
                found[axis] = max(found.get(axis, 0), size)
    for item in program.axes:
        for letter in item.letters:
            if sizes and letter in sizes:
                found[item.name] = max(found.get(item.name, 0), sizes[letter])
    return found


def _check_rank(array: np.ndarray, tensor: Tensor, place: Place) -> None:
    if array.ndim != len(tensor.axes):
        raise mistake(
            "FUSE325",
            place.span,
            path=place.written,
            got=_axes(array.ndim),
            name=tensor.name,
            expected=_axes(len(tensor.axes)),
        )


def _axes(count: int) -> str:
    return f"{count} axis" if count == 1 else f"{count} axes"
