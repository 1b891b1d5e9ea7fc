"""`fuse grad`."""

from __future__ import annotations

from fuse_ref import Program

LAYER = "input X[d]\nparam W[o, d]\nY[o] = tanh(W[o, d] X[d])\nLoss = Y[o]**2\nexport Loss\n"


def test_the_parameters_are_differentiated(fuse, write) -> None:
    result = fuse("grad", write("layer.fuse", LAYER), "--seed", "Loss")
    assert (result.code, result.err) == (0, "")
    program = Program(result.out)
    assert list(program.exports) == ["Grad_W"]
    assert "Grad_Loss += 1.0" in result.out


def test_seeds_and_grads(fuse, write) -> None:
    path = write("layer.fuse", LAYER)
    result = fuse("grad", path, "--seeds", "Loss=0.5", "Y[o]=S[o]", "--grads", "X", "W")
    assert list(Program(result.out).exports) == ["Grad_X", "Grad_W"]
    assert "Grad_Y[o] += S[o]" in result.out


def test_a_wrong_name_is_1_and_no_seed_is_2(fuse, write) -> None:
    path = write("layer.fuse", LAYER)
    result = fuse("grad", path, "--seed", "Los")
    assert (result.code, result.out) == (1, "")
    assert "did you mean 'Loss'?" in result.err
    assert fuse("grad", path).code == 2
