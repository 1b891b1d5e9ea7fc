"""Rules on JAX: the same relations as on NumPy, under jit, vmap and grad."""

from __future__ import annotations

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import fuse_jax
from fuse_jax import AxisError, CapacityError, ExecutionConfig, Program, RouteError
from fuse_ref.relations.tuples import Tuples

MIXED = """
input Edge(x, y)
input Z[x, d]
Path(x, y) <- Edge(x, y)
Path(x, z) <- Path(x, y), Edge(y, z)
Lone(x) <- Edge(x, y), not Path(x, x)
Sum[x, d] = Path(x, y) Z[y, d]
Most[x] max= Path(x, y) Z[y, 0]
Count[x] = Path(x, y)
export Path, Lone, Sum, Most, Count
"""

THRESHOLD = """
input Edge(x, y)
param W[i, d] ~ normal(0, 1)
axis i = 3, d = 2
input X[x, i]
Z[x, d] = tanh(W[i, d] X[x, i])
Path(x, y) <- Edge(x, y)
Path(x, z) <- Path(x, y), Edge(y, z)
Above(x, y) <- Path(x, y), Z[x, 0] > Z[y, 1]
Sum[x, d] = Above(x, y) Z[y, d]
Loss = Sum[x, d]**2
export Loss, Above
"""


def edges(seed: int, nodes: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, nodes, (count, 2))


def matrix(positions: np.ndarray, nodes: int) -> np.ndarray:
    found = np.zeros((nodes, nodes), bool)
    found[positions[:, 0], positions[:, 1]] = True
    return found


def padded(positions: np.ndarray, rows: int) -> np.ndarray:
    return np.concatenate([positions, np.full((rows - len(positions), 2), -1)])[::-1]


@pytest.mark.parametrize(
    ("route", "precision"),
    [("auto", "float32"), ("reference", "float64"), ("native", "float64")],
)
def test_every_form_of_facts_gives_what_numpy_gives(route, precision) -> None:
    config = ExecutionConfig(precision=precision, route=route)
    tolerance = 1e-5 if precision == "float32" else 1e-10
    with jax.enable_x64(precision == "float64"):
        program = Program(MIXED)
        on_numpy = program.compile(backend="numpy", config=ExecutionConfig(precision=precision))
        on_jax = program.compile(backend="jax", config=config)
        fn = fuse_jax.compile(program, config=config)
        jitted = jax.jit(fn)
        for nodes, count in [(6, 7), (6, 0), (6, 12), (1, 1)]:
            given = edges(nodes + count, nodes, count)
            z = np.random.default_rng(count).normal(size=(nodes, 2))
            expected = on_numpy(Edge=given, Z=z)
            results = [
                on_jax(Edge=given, Z=z),
                fn({}, Edge=given, Z=z),
                fn({}, Edge=jnp.asarray(padded(given, 15)), Z=z),
                jitted({}, Edge=padded(given, 15), Z=z),
                jitted({}, Edge=matrix(given, nodes), Z=z),
            ]
            if count == 12:  # facts that are constants of compiled code
                results.append(jax.jit(lambda z, given=given: fn({}, Edge=given, Z=z))(z))
            for result in results:
                assert set(result) == set(expected)
                for name, value in expected.items():
                    np.testing.assert_allclose(np.asarray(result[name]), np.asarray(value), rtol=tolerance, atol=1e-6)


def test_small_relations_need_no_host_and_large_ones_no_compiled_loop() -> None:
    fn = fuse_jax.compile(MIXED)
    for nodes, word, other in [(20, "while", "callback"), (300, "callback", "while")]:
        text = str(jax.make_jaxpr(lambda e, z: fn({}, Edge=e, Z=z))(edges(0, nodes, 30), np.ones((nodes, 2))))
        assert word in text
        assert other not in text
    config = ExecutionConfig(logic="dense", dense_limit=80)
    runner = Program(MIXED).compile(backend="jax", config=config)
    with pytest.raises(RouteError, match="Edge would have 9 × 9 = 81 truth values, more than dense_limit=80"):
        runner(Edge=edges(1, 9, 4), Z=np.ones((9, 2)))
    fn = fuse_jax.compile("input A(x, y); input B(y, z); Path(x, z) <- A(x, y), B(y, z)", config=config)
    with pytest.raises(RouteError, match="Path would have 9 × 9 = 81 truth values"):
        jax.jit(fn)({}, A=np.ones((9, 2), bool), B=np.ones((2, 9), bool))


def test_a_runner_gives_relations_with_symbols_and_compiles_once(caplog) -> None:
    text = """
    input Parent(x, y)
    input Age[x]
    Ancestor(x, y) <- Parent(x, y)
    Ancestor(x, z) <- Ancestor(x, y), Parent(y, z)
    Older[x] = Ancestor(x, y) Age[y]
    export Ancestor, Older
    """
    runner = Program(text).compile(backend="jax", sizes={"x": 8})
    with caplog.at_level(logging.INFO, "fuse.jax"):
        first = runner(Parent=[("Ann", "Bob"), ("Bob", "Cid")], Age=np.arange(8.0))
        assert ("Ann", "Cid") in first["Ancestor"].rows
        assert first["Older"].tolist() == [3, 2, 0, 0, 0, 0, 0, 0]
        for count in range(6):
            chain = [(k, k + 1) for k in range(count)]
            result = runner(Parent=np.array(chain, int).reshape(-1, 2), Age=np.ones(8))
            assert len(result["Ancestor"]) == count * (count + 1) // 2
            assert result["Older"].tolist() == [max(count - k, 0) for k in range(8)]
    assert len([record for record in caplog.records if "compiling" in record.message]) == 1
    assert [len(answer) for answer in (runner.query("Ancestor(0, x)?"), runner.query("Ancestor(7, x)?"))] == [5, 0]


def test_new_values_do_not_compile_again() -> None:
    fn = fuse_jax.compile(MIXED)
    traces = []

    @jax.jit
    def call(given: jax.Array, z: jax.Array) -> dict[str, jax.Array]:
        traces.append(given.shape)
        return fn({}, Edge=given, Z=z)

    on_numpy = Program(MIXED).compile(backend="numpy")
    z = np.ones((7, 2), np.float32)
    for seed in range(5):
        given = edges(seed, 7, seed * 2)
        result, expected = call(padded(given, 10), z), on_numpy(Edge=given, Z=z)
        np.testing.assert_array_equal(result["Path"], expected["Path"].dense())
        np.testing.assert_array_equal(result["Count"], expected["Count"])
    assert len(traces) == 1


@pytest.mark.parametrize("route", ["auto", "reference"])
def test_gradients_of_dense_parts_against_differences(route) -> None:
    with jax.enable_x64(True):
        config = ExecutionConfig(precision="float64", route=route)
        fn = fuse_jax.compile(THRESHOLD, sizes={"x": 6}, config=config)
        params = fn.init(jax.random.key(0))
        given, x = edges(3, 6, 9), np.random.default_rng(1).normal(size=(6, 3))
        loss = lambda params, given: fn(params, Edge=given, X=x)["Loss"]  # noqa: E731
        traced = jnp.asarray(given)
        assert np.asarray(fn(params, Edge=given, X=x)["Above"]).any()
        found = jax.grad(loss)(params, given)["W"]
        others = [jax.jit(jax.grad(loss))(params, traced), jax.jit(jax.jacfwd(loss))(params, given)]
        if route == "reference":
            others.append(jax.grad(jax.jit(loss))(params, traced))
        for other in others:
            np.testing.assert_allclose(other["W"], found, rtol=1e-10)
        step = 1e-6
        for place in np.ndindex(3, 2):
            up, down = (loss({"W": params["W"].at[place].add(s * step)}, given) for s in (1, -1))
            np.testing.assert_allclose(found[place], (up - down) / (2 * step), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("route", ["auto", "reference"])
def test_vmap_over_facts_parameters_and_both(route) -> None:
    fn = fuse_jax.compile(THRESHOLD, sizes={"x": 6}, config=ExecutionConfig(route=route))
    x = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    params = jax.vmap(fn.init)(jax.random.split(jax.random.key(1), 2))
    batch = np.stack([padded(edges(seed, 6, 3 + 2 * seed), 9) for seed in range(3)])
    loss = lambda params, given: fn(params, Edge=given, X=x)["Loss"]  # noqa: E731
    both = jax.jit(jax.vmap(jax.vmap(loss, (None, 0)), (0, None)))(params, batch)
    slopes = jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(jax.tree.map(lambda a: a[0], params), batch)["W"]
    single, slope = jax.jit(loss), jax.jit(jax.grad(loss))
    for p in range(2):
        own = jax.tree.map(lambda a, p=p: a[p], params)
        for e in range(3):
            np.testing.assert_allclose(single(own, batch[e]), both[p, e], rtol=1e-5)
            if p == 0:
                np.testing.assert_allclose(slope(own, batch[e])["W"], slopes[e], rtol=1e-4, atol=1e-6)
    if route == "reference":
        np.testing.assert_allclose(jax.vmap(loss, (None, 0))(own, batch), both[1], rtol=1e-5)
        assert jax.vmap(loss, (None, 0))(own, batch[:0]).shape == (0,)


def test_too_many_tuples_are_an_error_everywhere() -> None:
    text = "axis x = 9; input Edge(x, y); Path(x, y) <- Edge(x, y); Path(x, z) <- Path(x, y), Edge(y, z)"
    chain = np.array([[k, k + 1] for k in range(8)])
    for capacity in ({"Path": 35}, 35):
        fn = fuse_jax.compile(text, config=ExecutionConfig(capacity=capacity))
        with pytest.raises(CapacityError, match="Path has 36 tuples, but there is room for 35"):
            fn({}, Edge=chain)
        with pytest.raises(jax.errors.JaxRuntimeError, match="Path has 36 tuples, but there is room for 35"):
            jax.block_until_ready(jax.jit(fn)({}, Edge=chain))
        error = fuse_jax.last_error()
        assert isinstance(error, CapacityError)
        assert error.code == "FUSE289"
        assert "capacity={'Path': 36}" in error.cure
        assert int(jax.jit(fn)({}, Edge=chain[:7])["Path"].sum()) == 28
    fn = fuse_jax.compile(text, config=ExecutionConfig(capacity={"Path": 36}))
    assert int(jax.jit(fn)({}, Edge=chain)["Path"].sum()) == 36
    with pytest.raises(CapacityError, match="81 elements as a dense array"):
        fuse_jax.compile(text, config=ExecutionConfig(dense_limit=80))({}, Edge=chain)


def test_traced_positions_need_sizes_and_may_be_checked() -> None:
    text = "input Edge(x, y); Out(x) <- Edge(x, y)"
    with pytest.raises(AxisError, match="do not tell the size of axis x"):
        jax.jit(fuse_jax.compile(text))({}, Edge=np.array([[0, 1]]))
    fn = fuse_jax.compile(text, sizes={"x": 3, "y": 2})
    assert jax.jit(fn)({}, Edge=np.array([[2, 1], [3, 0], [-1, 0], [1, 2]]))["Out"].tolist() == [False, False, True]
    checked = fuse_jax.compile(text, sizes={"x": 3, "y": 2}, config=ExecutionConfig(checked=True))
    with pytest.raises(jax.errors.JaxRuntimeError, match="3 in Edge is not on axis x"):
        jax.block_until_ready(jax.jit(checked)({}, Edge=np.array([[2, 1], [3, 0]])))


def test_facts_of_files_are_constants_that_may_be_arguments(tmp_path) -> None:
    (tmp_path / "edges.tsv").write_text("0\t1\n1\t2\n2\t3\n")
    text = 'Edge(x, y) = "edges.tsv"; Path(x, y) <- Edge(x, y); Path(x, z) <- Path(x, y), Edge(y, z)'
    fn = fuse_jax.compile(Program(text, path=tmp_path / "p.fuse"))
    assert int(fn({})["Path"].sum()) == int(jax.jit(fn)({})["Path"].sum()) == 6
    constants = fn.constants
    assert constants["Edge"].tolist() == [[0, 1], [1, 2], [2, 3]]
    for call in (fn, jax.jit(fn)):
        assert int(call({"Edge": constants["Edge"].at[1].set(-1)})["Path"].sum()) == 2


def test_relations_without_arguments_and_facts_of_the_text() -> None:
    text = (
        "Edge(A, B); Edge(B, C); input On(x); Any() <- On(x); To(y) <- Edge(x, y), On(x); N = To(y); export Any, To, N"
    )
    fn = fuse_jax.compile(text)
    for call in (fn, jax.jit(fn)):
        for on in ([True, False], [True, True], [False, False]):
            result = call({}, On=np.array(on))
            assert bool(result["Any"]) == any(on)
            assert result["To"].tolist() == on
            assert float(result["N"]) == sum(on)


def test_modules_of_flax_take_facts_too() -> None:
    from flax import nnx

    import fuse_jax.linen
    import fuse_jax.nnx

    text = THRESHOLD.replace("export Loss, Above", "export Loss")
    x = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    given = padded(edges(3, 6, 9), 12)
    module = fuse_jax.nnx.FuseModule(text, rngs=nnx.Rngs(0), sizes={"x": 6})
    slope = nnx.jit(nnx.grad(lambda m, e: m(Edge=e, X=x)))(module, given)
    linen = fuse_jax.linen.FuseModule(text, sizes={"x": 6})
    variables = {"params": {"W": module.W[...]}}
    other = jax.jit(jax.grad(lambda v: linen.apply(v, Edge=given, X=x)))(variables)
    np.testing.assert_allclose(slope["W"][...], other["params"]["W"], rtol=1e-5)
    assert np.abs(other["params"]["W"]).max() > 0


def test_tuples_come_in_many_forms_and_tell_no_sizes_to_parameters() -> None:
    text = "input Edge(x, y); param W[x] ~ ones(); Path(x, y) <- Edge(x, y); Path(x, z) <- Path(x, y), Edge(y, z); Out[x] = Path(x, y) W[y]; export Out"
    fn = fuse_jax.compile(text)
    given = np.array([[0, 1], [1, 2]])
    with pytest.raises(AxisError, match="size of axis x of parameter W is not known yet: Edge gives it"):
        fn.init(jax.random.key(0), {"Edge": given})
    params = fn.init(jax.random.key(0), {"Edge": matrix(given, 3)})
    relation = Program("input Edge(x, y); Path(x, y) <- Edge(x, y); export Path").compile()(Edge=matrix(given, 3))[
        "Path"
    ]
    forms = [
        given,
        given.tolist(),
        [(0, 1), (1, 2), (0, 1)],
        relation,
        Tuples.of(list(given.T), (3, 3)),
        matrix(given, 3),
    ]
    for form in forms:
        assert fn(params, Edge=form)["Out"].tolist() == [2, 1, 0]
        assert jax.jit(lambda p, form=form: fn(p, Edge=form))(params)["Out"].tolist() == [2, 1, 0]


@pytest.mark.parametrize("route", ["auto", "reference"])
def test_shard_map_checkpoint_and_loops(route) -> None:
    fn = fuse_jax.compile(THRESHOLD, sizes={"x": 6}, config=ExecutionConfig(route=route))
    params, x = fn.init(jax.random.key(0)), np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    batch = jnp.asarray(np.stack([padded(edges(seed, 6, 5), 9) for seed in range(2)]))
    each = lambda params, batch: jax.lax.map(lambda e: fn(params, Edge=e, X=x)["Loss"], batch)  # noqa: E731
    expected = [fn(params, Edge=np.asarray(e), X=x)["Loss"] for e in batch]
    mesh = jax.make_mesh((1,), ("d",), axis_types=(AxisType.Auto,))
    spread = jax.shard_map(each, mesh=mesh, in_specs=(P(), P("d")), out_specs=P("d"))
    np.testing.assert_allclose(jax.jit(spread)(params, batch), expected, rtol=1e-5)
    if route == "reference":
        total = jax.checkpoint(lambda params, batch: each(params, batch).sum())
        slope = jax.jit(jax.grad(total))(params, batch)["W"]
        single = sum(jax.grad(lambda p, e=e: fn(p, Edge=np.asarray(e), X=x)["Loss"])(params)["W"] for e in batch)
        np.testing.assert_allclose(slope, single, rtol=1e-4, atol=1e-6)
