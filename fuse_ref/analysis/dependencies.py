"""Which tensor needs which, and the groups of tensors that need each other."""

from __future__ import annotations

from fuse_ref.analysis.graph import groups
from fuse_ref.analysis.scopes import Access, accesses
from fuse_ref.ir.nodes import Equation, FileContent, ProgramIR
from fuse_ref.records import dataclass

__all__ = ["Dependencies", "Group", "find_dependencies"]


@dataclass(frozen=True, slots=True)
class Group:
    """Tensors that are computed together: one tensor, or several that need each other."""

    tensors: tuple[str, ...]  # in order of first appearance
    equations: tuple[int, ...]  # positions in program.equations, text order
    needs: tuple[str, ...]  # tensors outside the group that its equations read, in order of first read
    cyclic: bool  # some tensor of the group needs itself


@dataclass(frozen=True, slots=True)
class Dependencies:
    groups: tuple[Group, ...]  # of all defined tensors; what is needed comes first
    reads: tuple[tuple[Access, ...], ...]  # per equation
    readers: dict[str, tuple[int, ...]]  # tensor -> equations that read it, text order
    definitions: dict[str, tuple[int, ...]]  # tensor -> equations that define it, text order

    def group_of(self, tensor: str) -> Group | None:
        """The group that computes `tensor`; None when nothing defines it."""
        return next((group for group in self.groups if tensor in group.tensors), None)


def _reads(equation: Equation) -> tuple[Access, ...]:
    if isinstance(equation.body, FileContent):
        return ()
    # A gather on the left-hand side reads its index tensor.
    inside = tuple(a for a in accesses(equation.target) if a.read is not equation.target)
    return (*inside, *accesses(equation.body))


def find_dependencies(program: ProgramIR) -> Dependencies:
    """The dependency graph of `program`."""
    reads = tuple(_reads(equation) for equation in program.equations)
    definitions: dict[str, list[int]] = {}
    readers: dict[str, dict[int, None]] = {}
    needs: dict[str, dict[str, None]] = {}
    for number, (equation, found) in enumerate(zip(program.equations, reads, strict=True)):
        name = equation.target.tensor
        definitions.setdefault(name, []).append(number)
        for access in found:
            if access.tensor is not None:
                needs.setdefault(name, {})[access.tensor] = None
                readers.setdefault(access.tensor, {})[number] = None
    defined = [tensor.name for tensor in program.tensors if tensor.name in definitions]
    graph = {name: tuple(other for other in needs.get(name, ()) if other in definitions) for name in defined}
    result = []
    for members in groups(defined, graph):
        equations = tuple(sorted(i for name in members for i in definitions[name]))
        outside = {o: None for i in equations for o in _names(reads[i]) if o not in members}
        cyclic = len(members) > 1 or members[0] in graph[members[0]]
        result.append(Group(members, equations, tuple(outside), cyclic))
    return Dependencies(
        tuple(result),
        reads,
        {name: tuple(found) for name, found in readers.items()},
        {name: tuple(found) for name, found in definitions.items()},
    )


def _names(found: tuple[Access, ...]) -> tuple[str, ...]:
    return tuple(access.tensor for access in found if access.tensor is not None)
