"""What one can look at and take along on JAX: explanations, jaxprs, and functions exported by `jax.export`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fuse_jax
from fuse_jax import ExecutionConfig, Program
from tests.jax.programs import ATTENTION, attention

KINDS = ["float32", "float64"]
LENGTHS = (2, 3, 1)


@pytest.mark.parametrize("precision", KINDS)
def test_explanations_of_runners(precision: str) -> None:
    with jax.enable_x64(precision == "float64"):
        runner = Program(ATTENTION).compile("jax", config=ExecutionConfig(precision=precision))  # type: ignore[arg-type]
        before = runner.explain()
        assert (before.backend, before.precision, dict(before.shapes), before.seconds) == ("jax", precision, {}, None)
        for p in LENGTHS:
            runner(X=np.ones((p, 4)))
            explained = runner.explain()
            assert dict(explained.shapes) == {"X": (p, 4)}
            assert explained.seconds is not None
            assert f"last call: X {p} × 4" in str(explained)
        data = explained.to_dict()
        assert (data["backend"], data["last_shapes"]) == ("jax", {"X": [1, 4]})
        assert explained.to_dot().startswith("digraph plan {")
        assert "<svg" in explained.to_svg()


def test_jaxprs_are_of_the_operations_alone() -> None:
    function = fuse_jax.compile(ATTENTION)
    params = function.init(jax.random.key(0))
    for p in LENGTHS:
        jaxpr = jax.make_jaxpr(function)(params, {"X": jnp.ones((p, 4))})
        names = [equation.primitive.name for equation in jaxpr.eqns]
        assert names.count("dot_general") == 5
        assert not any("callback" in name for name in names)
        assert jaxpr.out_avals[0].shape == (p, 4)


@pytest.mark.parametrize("precision", KINDS)
def test_exported_functions_take_every_length(precision: str) -> None:
    with jax.enable_x64(precision == "float64"):
        dtype = np.dtype(precision)
        function = fuse_jax.compile(ATTENTION, config=ExecutionConfig(precision=precision))  # type: ignore[arg-type]
        params = function.init(jax.random.key(0))
        (length,) = jax.export.symbolic_shape("p")
        shape = jax.ShapeDtypeStruct((length, 4), dtype)
        exported = jax.export.export(jax.jit(lambda params, x: function(params, X=x)["Y"]))(params, shape)
        assert "stablehlo.dot_general" in exported.mlir_module()
        assert "callback" not in exported.mlir_module()
        rng = np.random.default_rng(0)
        for p in LENGTHS:
            x = rng.normal(size=(p, 4)).astype(dtype)
            result = exported.call({name: 2 * value for name, value in params.items()}, x)
            expected = attention({name: 2 * value for name, value in params.items()}, x)
            np.testing.assert_allclose(result, expected, rtol=2e-5 if dtype == np.float32 else 1e-12, atol=1e-6)
            assert result.dtype == dtype
