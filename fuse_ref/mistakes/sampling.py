"""Rows of the table of mistakes; see `fuse_ref.mistakes` for the code ranges."""

from __future__ import annotations

from fuse_ref.errors import ConfigError
from fuse_ref.mistakes.row import Example, Mistake

__all__ = ["SAMPLING_MISTAKES"]

SAMPLING_MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "FUSE240",
        ConfigError,
        "index too long to be sampled",
        "the index {variable} has {size} positions, and a sample tells fewer than 2**31 apart",
        "split the index into two, such as x into 1000*a + b: their product may be as large as you like",
        (
            Example(
                "the index x has 3000000000 positions",
                python=(
                    'Program("axis x = 3_000_000_000\\nS = sum(x: sin(x))").compile('
                    'config=ExecutionConfig(projection_strategy="monte_carlo", projection_samples=10))'
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE241",
        ConfigError,
        "sampled sums without a number of samples",
        'projection_strategy="monte_carlo" needs projection_samples, the number of terms that a sum is estimated from',
        "projection_samples=10_000, or a dict from tensors to numbers",
        (
            Example(
                "needs projection_samples",
                python=(
                    'Program("Y[i] = W[i, j] X[j]").compile(config=ExecutionConfig(projection_strategy="monte_carlo"))'
                    "(W=np.eye(2), X=np.ones(2))"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE242",
        ConfigError,
        "samples for a tensor that is computed exactly",
        "projection_samples names {name}, {reason}",
        "only sums and averages of numbers are estimated: equations with =, += and avg=",
        (
            Example(
                "projection_samples names Y, whose operator is max=: its largest term cannot be told from some",
                python=(
                    'Program("Y[i] max= W[i, j] X[j]").compile(config=ExecutionConfig('
                    'projection_strategy="monte_carlo", projection_samples={"Y": 1}))(W=np.eye(2), X=np.ones(2))'
                ),
            ),
        ),
    ),
)
