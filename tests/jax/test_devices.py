"""Devices on JAX: `device=`, arrays that were put somewhere, arrays on two devices. Two devices of the CPU are enough."""

from __future__ import annotations

import os
import subprocess
import sys

TWO = """
import jax, numpy as np, pytest
import fuse_jax
from fuse_jax import DeviceError, ExecutionConfig, Program
from flax import nnx

TEXT = "input X[b, d]; axis d = 4, o = 3; param W[o, d]; L[o] = [1, 2, 3]; Y[b, o] = relu(W[o, d] X[b, d]) L[o]"
first, second = jax.devices("cpu")
x = np.arange(8, dtype=np.float32).reshape(2, 4)

def at(x, device):
    return jax.device_put(np.asarray(x, np.float32), device)

def right(result, params, x, device):
    assert result.devices() == {device}
    w = np.asarray(params["W"])
    by_loops = [[max(0, sum(w[o, d] * row[d] for d in range(4))) * (o + 1) for o in range(3)] for row in np.asarray(x)]
    np.testing.assert_allclose(np.asarray(result), np.reshape(by_loops, (len(x), 3)), rtol=1e-5)

# A chosen device: whatever the inputs are, and wherever.
for name, device in (("cpu:1", second), ("cpu", first), ("cpu:0", first)):
    config = ExecutionConfig(device=name)
    fn = fuse_jax.compile(TEXT, config=config)
    params = fn.init(jax.random.key(0))
    assert params["W"].devices() == {device}
    runner = Program(TEXT).compile("jax", device=name)
    for given in (x, at(x, first), at(2 * x, second), x[:1], x[:0]):
        right(fn(params, X=given)["Y"], params, given, device)
        assert runner(X=given)["Y"].devices() == {device}
    elsewhere = {name: at(value, first) for name, value in params.items()}
    right(fn(elsewhere, X=x)["Y"], params, x, device)  # parameters too
    right(jax.jit(fn)({name: at(value, device) for name, value in params.items()}, X=at(x, device))["Y"], params, x, device)

# None chosen: where the arrays were put.
fn = fuse_jax.compile(TEXT)
params = fn.init(jax.random.key(0))
runner = Program(TEXT).compile("jax")
for device in (first, second):
    right(fn({"W": at(params["W"], device)}, X=x)["Y"], params, x, device)
    right(jax.jit(fn)({"W": at(params["W"], device)}, X=x)["Y"], params, x, device)
    assert runner(X=at(x, device))["Y"].devices() == {device}

# Two places.
words = "the jax engine cannot run on device '[^']*': "
with pytest.raises(DeviceError, match=words + "W is there, and X on|X is there, and W on") as caught:
    fn({"W": at(params["W"], first)}, X=at(x, second))
assert caught.value.code == "FUSE203" and "jax.device_put brings" in caught.value.cure
both = Program("Y[i] = A[i] B[i]").compile("jax")
for a, b in ((first, second), (second, first)):
    with pytest.raises(DeviceError, match=words + "B is there, and A on"):
        both(A=at([1, 2], a), B=at([3, 4], b))
    assert both(A=at([1, 2], a), B=at([3, 4], a))["Y"].tolist() == [3, 8]

# No such device.
for name, reason in (("cpu:2", "there are cpu:0, cpu:1"), ("cpu:x", "there are"), ("tpu", "Unknown backend")):
    with pytest.raises(DeviceError, match=reason) as caught:
        fuse_jax.compile(TEXT, config=ExecutionConfig(device=name))
    assert caught.value.cure == 'device="auto" takes what the engine has'

# Modules of Flax keep their parameters where the settings say.
module = fuse_jax.nnx.FuseModule(TEXT, rngs=nnx.Rngs(0), config=ExecutionConfig(device="cpu:1"))
assert module.W[...].devices() == {second} and module(x).devices() == {second}
print("all right")
"""


def test_two_devices() -> None:
    """In a process of its own: how many devices the CPU is counts before JAX starts."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", TWO], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "all right\n"), done.stderr
