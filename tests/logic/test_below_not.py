"""`_` below `not`: no tuple fits, whatever stands there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fuse_ref import ExecutionConfig, Program, SafetyError
from tests.support.oracle import run

GIVEN = "input Parent(x, y)\ninput N(x)\n"
# What follows GIVEN, and when it holds: p is the set of pairs, n that of members, a and b are members.
PROGRAMS = {
    "one place": ("R(x) <- N(x), not Parent(_, x)", lambda p, n: {x for x in n if all(b != x for _, b in p)}),
    "beside another": (
        "R(x) <- Parent(x, _), not Parent(_, x)",
        lambda p, n: {a for a, _ in p if all(b != a for _, b in p)},
    ),
    "every place": ("R(x) <- N(x), not Parent(_, _)", lambda p, n: set() if p else n),
    "in or": (
        "R(x) <- N(x), (not Parent(_, x) or not Parent(x, _))",
        lambda p, n: {x for x in n if x not in {b for _, b in p} or x not in {a for a, _ in p}},
    ),
    "in a parenthesis": (
        "R(x) <- N(x), not (Parent(_, x) or Parent(x, _))",
        lambda p, n: {x for x in n if x not in {b for _, b in p} and x not in {a for a, _ in p}},
    ),
    "denied twice": (
        "R(x) <- N(x), not (N(x) and not Parent(_, x))",
        lambda p, n: {x for x in n if x in {b for _, b in p}},
    ),
    "written out": (
        "R(x) <- Parent(x, y), not sum(y: Parent(y, x))",
        lambda p, n: {a for a, _ in p if all(b != a for _, b in p)},
    ),
    "some tuple, by the same letter": (
        "R(x) <- Parent(x, y), sum(y: Parent(y, x))",
        lambda p, n: {a for a, _ in p if any(b == a for _, b in p)},
    ),
    "of a join": (
        "R(x) <- N(x), not sum(y: Parent(x, y) and Parent(y, x))",
        lambda p, n: {x for x in n if not any((b, a) in p for a, b in p if a == x)},
    ),
    "an offset": (
        "R(x) <- N(x), not sum(y: Parent(x, y+1))",
        lambda p, n: {x for x in n if not any(b > 0 for a, b in p if a == x)},
    ),
}


def _given(size: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"Parent": rng.random((size, size)) < 1.2 / max(size, 1), "N": rng.random(size) < 0.7}


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_tuple_fits(name: str) -> None:
    rule, holds = PROGRAMS[name]
    program = Program(GIVEN + rule)
    explicit = program.explicit()
    assert Program(explicit).ir == program.ir
    for config in (ExecutionConfig(), ExecutionConfig(mode="demand")):
        runner = program.compile("numpy", config=config)
        for size, seed in ((4, 1), (6, 2), (2 if "+1" in rule else 1, 3), (5, 4)):
            given = _given(size, seed)
            pairs = {tuple(pair) for pair in np.argwhere(given["Parent"]).tolist()}
            expected = holds(pairs, set(np.flatnonzero(given["N"]).tolist()))
            got = runner(given)["R"]
            assert {x for (x,) in got} == expected
            np.testing.assert_array_equal(got.dense(), run(explicit, given).exports["R"])


def test_numbers() -> None:
    program = Program(GIVEN + "C[x] = N(x), not Parent(_, x)\nM[x] max= N(x) (not Parent(_, x)) x\nexport C, M")
    runner = program.compile("numpy")
    for size, seed in ((4, 1), (6, 2)):
        given = _given(size, seed)
        got, right = runner(given), run(program.explicit(), given).exports
        for name in ("C", "M"):
            np.testing.assert_array_equal(got[name], right[name])
        free = given["N"] & ~given["Parent"].any(0)
        np.testing.assert_array_equal(got["C"], free)


def test_other_letters_below_not_stay_unsafe() -> None:
    with pytest.raises(SafetyError, match="'y' below `not`"):
        Program(GIVEN + "R(x) <- N(x), not Parent(y, x)")


def test_a_large_domain_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "parent.tsv").write_text("".join(f"{k}\t{k + 1}\n" for k in range(1000)))
    text = 'axis x = 3_000_000\nParent(x, y) = "parent.tsv"\nR(x) <- Parent(x, _), not Parent(_, x)'
    assert Program(text, path=tmp_path / "p.fuse").compile("numpy")()["R"].rows == ((0,),)
