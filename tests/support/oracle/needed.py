"""What the exports of a program need, for engines that run no more and so find no fault in the rest."""

from __future__ import annotations

from dataclasses import replace

from tests.support.oracle.axes import statement_reads
from tests.support.oracle.program import Loaded
from tests.support.oracle.ranges import literal_shape

__all__ = ["needed_part"]


def needed_part(loaded: Loaded) -> tuple[Loaded, dict[str, tuple[int, ...]], frozenset[str]]:
    """The program without the equations that no export needs.

    The tensors that stay keep the axes that the whole text gives them. Literals of the rest still say how long
    an axis is, like given tensors that only the rest reads.

    Returns:
        The part; shapes of the literals that it lacks; all its tensors that no export needs.
    """
    wanted = set(loaded.exports) - loaded.constants.keys()
    before = -1
    while len(wanted) != before:
        before = len(wanted)
        for item in loaded.definitions:
            if item.target.tensor in wanted:
                wanted |= {read.tensor for read in statement_reads(loaded, item)}
    kept = [item for item in loaded.definitions if item.target.tensor in wanted]
    computed = set(loaded.computed())
    literals = {
        item.target.tensor: literal_shape(item.body)
        for item in loaded.definitions
        if item.kind == "literal" and item.target.tensor not in wanted
    }
    ranks = {n: rank for n, rank in loaded.ranks.items() if n in wanted or n not in computed or n in literals}
    declared = [(number, read, param) for number, read, param in loaded.declared if read.tensor in wanted]
    part = replace(loaded, definitions=kept, sinks=[], queries=[], ranks=ranks, declared=declared)
    return part, literals, frozenset(ranks.keys() - wanted)
