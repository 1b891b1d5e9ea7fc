"""Recurrences in torch: eager loops of Python and compiled scans, against NumPy, with gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from fuse_ref import ExecutionConfig, Program
from fuse_torch import FuseModule
from tests.support.recurrence_programs import PROGRAMS, numbers

DOUBLE = ExecutionConfig(precision="float64")


def _given(name: str, seed: int, length: int) -> dict[str, np.ndarray]:
    return dict(PROGRAMS[name].inputs(numbers(seed), length))


def _expected(name: str, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return Program(PROGRAMS[name].text).compile("numpy", config=DOUBLE)(given)


def _close(found: object, expected: dict[str, np.ndarray]) -> None:
    if isinstance(found, torch.Tensor):
        found = dict.fromkeys(expected, found)
    assert isinstance(found, dict)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key].detach().numpy(), value, 1e-11, 1e-11, err_msg=key)


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_numpy(name: str) -> None:
    module = FuseModule(PROGRAMS[name].text, config=DOUBLE)
    for seed, length in ((0, 5), (1, 1), (2, 3)):
        given = _given(name, seed, length)
        _close(module({key: torch.from_numpy(value) for key, value in given.items()}), _expected(name, given))


@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients(name: str) -> None:
    program = Program(PROGRAMS[name].text)
    runner = program.compile("numpy", config=DOUBLE)
    module = FuseModule(program, config=DOUBLE)
    given = _given(name, 3, 4)
    tensors = {key: torch.from_numpy(value).requires_grad_(value.dtype == np.float64) for key, value in given.items()}
    found = module(tensors)
    found = found if isinstance(found, dict) else {"": found}
    total = sum(
        (value * value).sum() for value in found.values() if value.dtype == torch.float64 and value.requires_grad
    )
    if not isinstance(total, torch.Tensor):
        return  # whole numbers and truth values
    total.backward()
    step = 1e-6
    for key, value in given.items():
        slope = tensors[key].grad
        if value.dtype != np.float64 or slope is None:
            continue
        for place in list(np.ndindex(value.shape))[:4]:
            sums = []
            for sign in (1, -1):
                moved = value.copy()
                moved[place] += sign * step
                made = runner(given | {key: moved})
                sums.append(sum(float((v * v).sum()) for v in made.values() if v.dtype == np.float64))
            expected = (sums[0] - sums[1]) / (2 * step)
            assert abs(float(slope[place]) - expected) <= 1e-6 * max(1, abs(expected)), (key, place)


def _compiled(text: str) -> tuple[FuseModule, CompileCounterWithBackend, Callable[..., object]]:
    torch._dynamo.reset()
    module = FuseModule(text, config=DOUBLE)
    counter = CompileCounterWithBackend("aot_eager")
    return module, counter, torch.compile(module, backend=counter, fullgraph=True)


@pytest.mark.parametrize("name", ["rnn", "lstm"])
def test_compiled_steps_are_one_scan_of_any_length(name: str) -> None:
    module, counter, compiled = _compiled(PROGRAMS[name].text)
    for seed, length in ((0, 6), (1, 9), (2, 4), (3, 30)):
        given = _given(name, seed, length)
        tensors = {key: torch.from_numpy(value).requires_grad_() for key, value in given.items()}
        eager = {key: torch.from_numpy(value).requires_grad_() for key, value in given.items()}
        found, wanted = compiled(tensors), module(eager)
        _close(found, _expected(name, given))
        for made in (found, wanted):
            made = made if isinstance(made, dict) else {"": made}
            sum((value * value).sum() for value in made.values()).backward()
        for key, tensor in tensors.items():
            torch.testing.assert_close(tensor.grad, eager[key].grad, rtol=1e-10, atol=1e-10)
    assert counter.frame_count <= 2
    assert any("scan" in str(node.target) for graph in counter.graphs for node in graph.graph.nodes)


@pytest.mark.parametrize("name", ["fibonacci", "backward", "kalman means", "edit distance"])
def test_compiled_without_gradients(name: str) -> None:
    _, _, compiled = _compiled(PROGRAMS[name].text)
    with torch.no_grad():
        for seed, length in ((0, 5), (1, 8), (2, 1)):
            given = _given(name, seed, length)
            _close(compiled({key: torch.from_numpy(value) for key, value in given.items()}), _expected(name, given))
