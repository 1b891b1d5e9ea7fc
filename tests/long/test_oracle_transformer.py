"""The oracle on the paper's transformer, block by block in NumPy: some seconds of plain loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fuse_ref import Program
from tests.support.oracle import run

PROGRAMS = Path(__file__).parent.parent / "programs"


def _normalised(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def _softmax(x: np.ndarray) -> np.ndarray:
    weights = np.exp(x - x.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def test_transformer() -> None:
    rng = np.random.default_rng(8)
    words = (PROGRAMS / "prompt.txt").read_text(encoding="utf-8").split()
    tokens = list(dict.fromkeys(words))
    blocks, heads, d, dk, f, t = 2, 2, 16, 8, 6, len(tokens)
    shapes = {
        "Emb": (t, d),
        "WQ": (blocks, heads, dk, d),
        "WK": (blocks, heads, dk, d),
        "WV": (blocks, heads, dk, d),
        "WS": (blocks, d, heads * dk),
        "W1": (blocks, f, d),
        "W2": (blocks, d, f),
        "WO": (t, d),
    }
    given = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    program = Program.from_file(PROGRAMS / "paper_transformer.fuse")
    found = run(program.explicit(), given, folder=PROGRAMS).exports["Y"]

    p, k = np.arange(len(words))[:, None], np.arange(d)[None]
    codes = np.where(k % 2 == 0, np.sin(p / 10000 ** (k / d)), np.cos(p / 10000 ** ((k - 1) / d)))
    stream = given["Emb"][[tokens.index(word) for word in words]] + codes
    for b in range(blocks):
        query, key, value = (np.einsum("hkd,pd->hpk", given[name][b], stream) for name in ("WQ", "WK", "WV"))
        attention = _softmax(query @ key.transpose(0, 2, 1) / np.sqrt(dk)) @ value
        merged = attention.transpose(1, 0, 2).reshape(len(words), -1)
        middle = _normalised(merged @ given["WS"][b].T + stream)
        stream = _normalised(np.maximum(middle @ given["W1"][b].T, 0) @ given["W2"][b].T + middle)
    np.testing.assert_allclose(found, _softmax(stream @ given["WO"].T), rtol=1e-9)
