"""Masks of attention that becomes one call: exact in values and gradients, whole rows that are dropped included."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from fuse_torch.backend.passes.bands import band_of
from tests.torch.compiling import Recorder, agree
from tests.torch.test_attention_pass import INF, Function, Made, fired, refused, shapes_of, tensors


def _fill(value: float) -> Function:
    return lambda q, k, v, m: (q @ k.mT / 2).masked_fill(m, value).softmax(-1) @ v


MASKED: dict[str, Function] = {
    "-inf": _fill(-INF),
    "-1e9": _fill(-1e9),
    "lowest": _fill(torch.finfo(torch.float32).min),
    "where": lambda q, k, v, m: torch.where(m, -INF, q @ k.mT).softmax(-1) @ v,
    "where not": lambda q, k, v, m: torch.where(~m, q @ k.mT, torch.tensor(-INF)).softmax(-1) @ v,
    "scaled after": lambda q, k, v, m: (torch.masked_fill(q @ k.mT, m, -INF) / 2).softmax(-1) @ v,
    "twice": lambda q, k, v, m: (q @ k.mT).masked_fill(m, -INF).masked_fill(m.flip(-1), -INF).softmax(-1) @ v,
    "zero where nothing is kept": lambda q, k, v, m: _kept(q @ k.mT, ~m) @ v,
}


def _kept(scores: Made, mask: Made) -> Made:
    rows = torch.any(mask, -1, keepdim=True)
    scores = torch.where(rows, torch.where(mask, scores, -INF), 0.0)
    return torch.where(rows, torch.softmax(scores, -1), 0.0)


def _masks() -> list[Made]:
    """Dropped where true: whole rows, single places, padding of keys, everything, nothing."""
    mask = torch.rand(2, 3, 5, 6) > 0.6
    mask[0, 1, 2] = True
    padding = torch.zeros(2, 1, 1, 6, dtype=torch.bool)
    padding[1] = True
    padding[0, ..., 4:] = True
    return [mask, padding, mask[0, 0], torch.ones(5, 6, dtype=torch.bool), torch.zeros(1, 1, 5, 6, dtype=torch.bool)]


@pytest.mark.parametrize("name", MASKED)
def test_boolean_masks_are_exact_where_they_drop_whole_rows_too(name: str) -> None:
    function = MASKED[name]
    recorder = Recorder(function, dynamic=False)
    for mask in _masks():
        q, k, v = tensors(*shapes_of(5, 6))
        agree(
            lambda q, k, v: recorder(q, k, v, mask),  # noqa: B023
            lambda q, k, v: function(q, k, v, mask),  # noqa: B023
            [q, k, v],
        )
        assert fired() == 1, refused()


ADDED: dict[str, Function] = {
    "added": lambda q, k, v, m: (q @ k.mT / 2 + m).softmax(-1) @ v,
    "added to": lambda q, k, v, m: (m + q @ k.mT).softmax(-1) @ v,
    "scaled after": lambda q, k, v, m: ((q @ k.mT + m) * 0.5).softmax(-1) @ v,
    "twice": lambda q, k, v, m: (q @ k.mT + m + m.flip(-1)).softmax(-1) @ v,
}


@pytest.mark.parametrize("name", ADDED)
def test_added_masks_are_exact(name: str) -> None:
    function = ADDED[name]
    recorder = Recorder(function, dynamic=False)
    masks = [torch.randn(2, 3, 5, 6), torch.randn(5, 6), torch.randn(2, 1, 1, 6) - 100]
    masks += [mask.masked_fill(torch.rand(mask.shape) > 0.6, -INF) for mask in masks]
    masks[3][0, 1, 2] = -INF
    for mask in masks:
        agree(
            lambda q, k, v: recorder(q, k, v, mask),  # noqa: B023
            lambda q, k, v: function(q, k, v, mask),  # noqa: B023
            tensors(*shapes_of(5, 6)),
        )
        assert fired() == 1, refused()


def test_bands() -> None:
    """Patterns that are known while compiling equal what they say."""
    expressions: dict[str, Callable[[], Made]] = {
        "tril": lambda: torch.tril(torch.ones(5, 6)),
        "tril 2": lambda: torch.ones(5, 6).tril(2).bool()[None],
        "triu": lambda: torch.triu(torch.ones(5, 6), diagonal=-1) != 0,
        "not triu": lambda: ~torch.ones(5, 6, dtype=torch.bool).triu(1),
        "== 0": lambda: torch.tril(torch.ones(5, 6), -1) == 0,
        "< 1": lambda: torch.tril(torch.ones(5, 6)) < 1,
        "≥": lambda: torch.arange(5)[:, None] >= torch.arange(6),
        "<": lambda: torch.arange(5).unsqueeze(1) < torch.arange(6)[None, :],
        "columns ≤": lambda: torch.arange(6) <= torch.arange(5)[:, None],
        "columns >": lambda: torch.arange(6)[None] > torch.arange(5)[:, None],
        "twos": lambda: torch.tril(torch.full((5, 6), 2.0)),
    }
    for name, made in expressions.items():
        recorder = Recorder(made)
        value = recorder()
        (output,) = (node for node in recorder.graphs[0].graph.nodes if node.op == "output")
        band = band_of(output.args[0][0])
        assert band is not None, name
        for row in range(5):
            for column in range(6):
                inside = column - row <= band.k if band.lower else column - row >= band.k
                assert bool(value[..., row, column].item()) == inside, name
    unknown = Recorder(lambda: torch.tril(torch.full((5, 6), 2.0)) == 1)
    unknown()
    (output,) = (node for node in unknown.graphs[0].graph.nodes if node.op == "output")
    assert band_of(output.args[0][0]) is None
