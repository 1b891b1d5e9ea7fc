"""Contraction orders against opt_einsum's own account of cost."""

from __future__ import annotations

import itertools
import math
import random

import opt_einsum
import pytest

from fuse_ref.plan.order import choose_order, expression_of
from tests.plan.running import operations_of, plan_of


def _random_product(seed: int) -> tuple[list[tuple[str, ...]], tuple[str, ...], dict[str, int]]:
    """Factors in which every label that is not kept stands twice, as after sums over lone labels."""
    choose = random.Random(seed)
    labels = "abcdefg"[: choose.randint(2, 7)]
    count = choose.randint(3, 6)
    factors: list[set[str]] = [set() for _ in range(count)]
    for label in labels:
        for k in choose.sample(range(count), choose.randint(2, 3)):
            factors[k].add(label)
    output = tuple(label for label in labels if choose.random() < 0.3)
    sizes = {label: choose.choice([1, 2, 3, 7, 20]) for label in labels}
    return [tuple(sorted(factor)) for factor in factors], output, sizes


@pytest.mark.parametrize("seed", range(60))
def test_cost_is_what_opt_einsum_finds_and_counts(seed: int) -> None:
    inputs, output, sizes = _random_product(seed)
    order = choose_order(inputs, output, sizes)
    shapes = [tuple(sizes[label] for label in factor) for factor in inputs]
    equation = f"{','.join(''.join(factor) for factor in inputs)}->{''.join(output)}"
    best_path, best = opt_einsum.contract_path(equation, *shapes, shapes=True, optimize="optimal")
    _, own = opt_einsum.contract_path(equation, *shapes, shapes=True, optimize=list(order.path))
    assert order.flops == own.opt_cost
    # The written order may be cheaper than what the search sees; one without outer products may cost a little more.
    assert order.flops <= 1.05 * float(best.opt_cost)
    assert len(order.path) == len(inputs) - 1
    assert best_path is not None


def test_factors_that_share_an_index_go_first_where_that_costs_hardly_more() -> None:
    inputs = [("i", "j", "k"), ("i", "r"), ("j", "r"), ("k", "r")]
    order = choose_order(inputs, ("r",), {"i": 96, "j": 96, "k": 96, "r": 32})
    assert order.path[0] in ((0, 1), (0, 2), (0, 3))  # never ir,jr->ijr
    # Where the outer product saves a lot, it is taken.
    assert choose_order([("i", "j"), ("i",), ("j",)], (), {"i": 1, "j": 50}).flops <= 200


@pytest.mark.parametrize("letters", list(itertools.permutations("ijk")))
def test_of_equal_orders_the_one_that_sums_what_lies_closest_together(letters: tuple[str, ...]) -> None:
    inputs = [letters, ("i", "r"), ("j", "r"), ("k", "r")]
    order = choose_order(inputs, ("r",), {"i": 96, "j": 96, "k": 96, "r": 32})
    assert order.path[0] == (0, 1 + "ijk".index(letters[2]))
    left = [letter for letter in "ijk" if letter != letters[2]]
    assert order.path[1] == (left.index(letters[1]), 2)  # the tensor's product stands last


def test_the_authors_order_stays_where_none_is_cheaper() -> None:
    square = dict.fromkeys("abcde", 8)
    order = choose_order([("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")], ("a", "e"), square)
    assert order.path == ((0, 1), (0, 2), (0, 1))


def test_six_factors() -> None:
    sizes = dict(zip("abcdefg", (1000, 20, 800, 30, 600, 10, 1000), strict=True))
    inputs = [(a, b) for a, b in itertools.pairwise("abcdefg")]
    order = choose_order(inputs, ("a", "g"), sizes)
    left = choose_order(inputs[:2], ("a", "c"), sizes).flops
    assert order.flops < left  # the product of two factors in the written order costs more than all of it


def test_many_factors_are_ordered_by_search() -> None:
    count = 30
    sizes = {f"i{k}": (3, 50)[k % 2] for k in range(count + 1)}
    inputs = [(f"i{k}", f"i{k + 1}") for k in range(count)]
    order = choose_order(inputs, ("i0", f"i{count}"), sizes)
    assert len(order.path) == count - 1
    assert order.flops < 2 * count * 50 * 50 * 50


def test_largest_is_the_largest_product() -> None:
    order = choose_order([("i",), ("j",), ("i", "j")], (), {"i": 5, "j": 7})
    assert order.largest <= 7


def test_expressions_use_the_variables_own_letters() -> None:
    assert expression_of([("i", "j"), ("j", "k")], ("i", "k")) == "ij,jk->ik"
    assert expression_of([("dk", "p'"), ("p",)], ("p", "p'")) == "ij,p->pj"


def test_the_plan_follows_the_order_and_says_so() -> None:
    text = "Y[a, g] = A[a, b] B[b, c] C[c, d] D[d, e] E[e, f] F[f, g]"
    hints = dict(zip("abcdefg", (1000, 20, 800, 30, 600, 10, 1000), strict=True))
    plan = plan_of(text, hints=hints)
    (item,) = plan.steps[0].contractions
    assert item.expression == "ab,bc,cd,de,ef,fg->ag"
    assert item.flops == plan.steps[0].flops
    assert math.prod(hints[label] for label in "ag") == item.largest
    assert item.assumed == tuple("abcdefg")
    assert len(operations_of(plan)) == 5
    other = plan_of(text, hints={**hints, "a": 1, "g": 1})
    assert other.steps[0].contractions[0].path != item.path


def test_known_sizes_are_not_assumed() -> None:
    plan = plan_of("axis j = 7\nY[i, k] = A[i, j] B[j, k]")
    assert plan.steps[0].contractions[0].assumed == ("i", "k")
    assert plan.hints == (("i", 128), ("k", 128))


def test_inner_products_join_the_order_of_the_outer_one() -> None:
    plan = plan_of("Y[i] = A[i, j] (B[j, k] C[k])", hints={"i": 9, "j": 9, "k": 9})
    assert plan.steps[0].contractions[0].expression == "ij,jk,k->i"
