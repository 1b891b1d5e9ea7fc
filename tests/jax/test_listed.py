"""Relations that only equations for numbers read: by their tuples where a call lists them, else as truth values."""

from __future__ import annotations

import pickle
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fuse_jax
from fuse_jax import AxisError, DtypeError, ExecutionConfig, LimitError, Program, UnboundTensorError

SUM = "input Neig(n, m)\ninput Z[m, d]\nAgg[n, d] = Neig(n, m) Z[m, d]"
NET = """\
axis d = 3, h = 2
input Neig(n, m)
input Z[n, d]
param W[h, d] ~ normal(0, 1)
H[n, h] = tanh(W[h, d] Z[n, d])
Mean[n, h] avg= Neig(n, m) H[m, h]
Top[n] max= Neig(n, m) H[m, 0]
Out[n, h] = Mean[n, h] + relu(Top[n]) H[n, h] + 1
export Out
"""
WIDE = 200_000


def edges(count: int, nodes: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, nodes, (count, 2))


def table(positions: np.ndarray, rows: int, columns: int) -> np.ndarray:
    found = np.zeros((rows, columns), bool)
    found[positions[:, 0], positions[:, 1]] = True
    return found


def summed(positions: np.ndarray, values: np.ndarray, rows: int) -> np.ndarray:
    """The rows of `values` at the second position of each tuple, added at the first."""
    found = np.zeros((rows, values.shape[1]), values.dtype)
    distinct = np.unique(positions, axis=0)
    np.add.at(found, distinct[:, 0], values[distinct[:, 1]])
    return found


def random(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def rows(positions: np.ndarray, count: int) -> np.ndarray:
    """The positions with rows that hold none up to `count`."""
    return np.concatenate([positions, np.full((count - len(positions), 2), -1)])


def test_a_wide_domain_costs_what_its_tuples_cost() -> None:
    function = fuse_jax.compile(SUM, sizes={"n": WIDE})
    traced = 0

    @jax.jit
    def both(positions: jax.Array, z: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array]:
        nonlocal traced
        traced += 1
        found, back = jax.vjp(lambda z: function({}, Neig=positions, Z=z)["Agg"], z)
        return found, back(weight)[0]

    for count, seed in ((1000, 0), (1, 1), (0, 2)):
        positions, z, weight = edges(count, WIDE, seed), random(seed, WIDE, 2), random(seed + 9, WIDE, 2)
        expected = summed(positions, z, WIDE)
        np.testing.assert_allclose(function({}, Neig=positions, Z=z)["Agg"], expected, rtol=1e-5)
        found, slope = both(rows(positions, 1000), z, weight)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        expected = summed(np.unique(positions, axis=0)[:, ::-1], weight, WIDE)
        np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-6)
    assert traced == 1


def test_nothing_as_large_as_the_domain_is_computed() -> None:
    function = fuse_jax.compile(SUM, sizes={"n": WIDE})
    positions, z = jax.ShapeDtypeStruct((1000, 2), jnp.int32), jax.ShapeDtypeStruct((WIDE, 2), jnp.float32)

    def run(z: jax.Array, given: jax.Array) -> jax.Array:
        return function({}, Neig=given, Z=z)["Agg"].sum()

    for step in (run, jax.grad(run)):
        made = jax.make_jaxpr(step)(z, positions)
        assert max(variable.aval.size for item in made.jaxpr.eqns for variable in item.outvars) <= 2 * WIDE


@pytest.mark.parametrize(("nodes", "precision"), [(5, "float32"), (5, "float64"), (1, "float64"), (0, "float32")])
def test_both_kinds_agree_in_values_and_gradients(nodes: int, precision: str) -> None:
    with jax.enable_x64(precision == "float64"):
        function = fuse_jax.compile(NET, config=ExecutionConfig(precision=precision))  # type: ignore[arg-type]
        params = function.init(jax.random.key(0))
        tolerance = {"float32": 1e-5, "float64": 1e-12}[precision]

        @jax.jit
        def slopes(params: object, z: jax.Array, given: jax.Array) -> object:
            def loss(params: object, z: jax.Array) -> jax.Array:
                return (function(params, Neig=given, Z=z)["Out"] ** 2).sum()  # type: ignore[arg-type]

            return jax.value_and_grad(loss, (0, 1))(params, z)

        for seed, count in enumerate((6, 0, 1)):
            positions = edges(count if nodes else 0, max(nodes, 1), seed)
            truth, z = table(positions, nodes, nodes), random(seed, nodes, 3).astype(precision)
            listed = slopes(params, z, rows(positions, 8 if nodes else 0))
            for a, b in zip(jax.tree.leaves(listed), jax.tree.leaves(slopes(params, z, truth)), strict=True):
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_lists_arrays_and_tuples_of_a_call() -> None:
    function = fuse_jax.compile(SUM, sizes={"n": 3})
    for seed, count in enumerate((4, 0, 1)):
        positions, z = edges(count, 3, seed), random(seed, 3, 2)
        for given in (positions, list(map(tuple, positions.tolist())), jnp.asarray(positions), table(positions, 3, 3)):
            found = function({}, Neig=given, Z=z)["Agg"]
            np.testing.assert_allclose(found, summed(positions, z, 3), rtol=1e-5, atol=1e-6)


def test_calls_of_both_kinds_compile_each_once() -> None:
    function = fuse_jax.compile(NET)
    params, z = function.init(jax.random.key(0)), random(0, 9, 3)
    traced = []

    @jax.jit
    def run(given: jax.Array) -> jax.Array:
        traced.append(given.dtype)
        return function(params, Neig=given, Z=z)["Out"]

    for k in range(100):
        positions = edges((3, 0, 1, 2, 40)[k] if k < 5 else k % 23, 9, k)
        found = run(rows(positions, 40))
        if k % 9 == 0:
            np.testing.assert_allclose(found, run(table(positions, 9, 9)), rtol=1e-5, atol=1e-6)
    assert len(traced) == 2


def test_vmap_over_values_tuples_and_both() -> None:
    function = fuse_jax.compile(SUM, sizes={"n": 4})
    facts, z = np.stack([rows(edges(count, 4, count), 6) for count in (6, 0, 3)]), random(1, 3, 4, 2)

    def run(given: object, z: object) -> jax.Array:
        return function({}, Neig=given, Z=z)["Agg"]

    for axes in ((0, 0), (None, 0), (0, None)):
        found = jax.vmap(run, axes)(facts if axes[0] == 0 else facts[0], z if axes[1] == 0 else z[0])
        for k in range(3):
            own = facts[k if axes[0] == 0 else 0]
            expected = summed(own[own[:, 0] >= 0], z[k if axes[1] == 0 else 0], 4)
            np.testing.assert_allclose(found[k], expected, rtol=1e-5, atol=1e-6)


def test_each_of_two_relations_may_be_listed() -> None:
    text = "input A(x, y)\ninput B(y, z)\ninput Z[z, d]\nT[x, d] = A(x, y) B(y, z) Z[z, d]"
    function = fuse_jax.compile(text, sizes={"x": 4})
    for seed in (0, 1):
        a, b, z = edges(6, 4, seed), edges(5, 4, seed + 9), random(seed, 4, 2)
        expected = table(a, 4, 4).astype(np.float32) @ table(b, 4, 4) @ z
        for first in (table(a, 4, 4), a, list(map(tuple, a.tolist()))):
            for second in (table(b, 4, 4), b):
                np.testing.assert_allclose(function({}, A=first, B=second, Z=z)["T"], expected, rtol=1e-5, atol=1e-6)
                found = jax.jit(lambda z, a=first, b=second: function({}, A=a, B=b, Z=z)["T"])(z)
                np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_functions_are_equal_hashed_and_pickled_whatever_they_were_called_with() -> None:
    first, second = fuse_jax.compile(SUM), fuse_jax.compile(SUM)
    z = random(0, 3, 2)
    listed = first({}, Neig=[(0, 1)], Z=z)["Agg"]
    assert first == second
    assert hash(first) == hash(second)
    assert str(first.plan) == str(second.plan)
    again = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(again({}, Neig=[(0, 1)], Z=z)["Agg"], listed)
    np.testing.assert_array_equal(again({}, Neig=np.eye(3, dtype=bool), Z=z)["Agg"], z)


def test_files_that_list_tuples(tmp_path: Path) -> None:
    positions = edges(50, WIDE, 0)
    np.savetxt(tmp_path / "neig.tsv", positions, "%d", delimiter="\t")
    program = tmp_path / "p.fuse"
    program.write_text(
        f'axis n = {WIDE}, m = {WIDE}\nNeig(n, m) = "neig.tsv"\ninput Z[m, d]\nAgg[n, d] = Neig(n, m) Z[m, d]'
    )
    function = fuse_jax.compile(Program.from_file(program))
    for seed in (0, 1):
        z = random(seed, WIDE, 2)
        expected = summed(positions, z, WIDE)
        np.testing.assert_allclose(function({}, Z=z)["Agg"], expected, rtol=1e-5)
        np.testing.assert_allclose(jax.jit(function)(function.constants, {"Z": z})["Agg"], expected, rtol=1e-5)


def test_a_memory_limit_counts_truth_values() -> None:
    function = fuse_jax.compile(SUM, sizes={"n": 100}, config=ExecutionConfig(memory_limit=4000))
    z = random(0, 4, 2)
    np.testing.assert_array_equal(function({}, Neig=[(7, 1)], Z=z)["Agg"][7], z[1])
    with pytest.raises(LimitError, match="memory_limit=4000"):
        function({}, Neig=[(0, 1)], Z=random(0, 40, 2))


def test_dense_logic_and_what_does_not_fit() -> None:
    z = random(0, 3, 2)
    native = fuse_jax.compile(SUM, sizes={"n": 2}, config=ExecutionConfig(logic="dense"))
    np.testing.assert_array_equal(native({}, Neig=[(0, 1)], Z=z)["Agg"], [z[1], 0 * z[1]])
    function = fuse_jax.compile(SUM, sizes={"n": 4})
    wrong: list[tuple[object, type[Exception]]] = [
        (np.ones((4, 3), np.float32), DtypeError),
        (np.array([[0, 1, 2]]), AxisError),
        ([(0, 5)], AxisError),
        ([(9, 0)], AxisError),
        (np.ones((4, 2), bool), AxisError),
    ]
    for given, error in wrong:
        with pytest.raises(error, match="Neig"):
            function({}, Neig=given, Z=z)
    with pytest.raises(UnboundTensorError):
        fuse_jax.compile("Agg[n] = Neig(n, m)")({})
