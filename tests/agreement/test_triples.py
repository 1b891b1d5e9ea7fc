"""How much the catalogue covers: `pytest -s` prints the table, and a floor keeps it from shrinking."""

from __future__ import annotations

from tests.agreement.catalogue import CASES
from tests.agreement.engines import program_of
from tests.agreement.triples import report, triples_of

FLOOR = 400  # distinct (operator, index form, function) triples


def test_the_catalogue_covers_many_triples() -> None:
    programs = [program_of(case) for case in CASES]
    assert len(programs) >= 200
    print(report(programs))
    assert len(set().union(*(triples_of(program) for program in programs))) >= FLOOR
