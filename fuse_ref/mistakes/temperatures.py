"""Mistakes about temperatures and their schedules (FUSE245 to FUSE249)."""

from __future__ import annotations

from fuse_ref.errors import ConfigError
from fuse_ref.mistakes.row import Example, Mistake

__all__ = ["TEMPERATURE_MISTAKES"]

TEMPERATURE_MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "FUSE245",
        ConfigError,
        "temperature for equations without a sig",
        "temperatures names {name}, whose equations have no sig to be given a temperature",
        "write sig(…) in the equations of {name}, or leave its temperature out",
        (
            Example(
                "temperatures names Y, whose equations have no sig to be given a temperature",
                python='Program("Y[i] = tanh(X[i])").compile(config=ExecutionConfig(temperatures={"Y": 0.5}))(X=[1.0])',
            ),
        ),
    ),
    Mistake(
        "FUSE246",
        ConfigError,
        "schedule that gives no temperature",
        "the schedule of {tensor} gives {value} for iteration {iteration}, and a temperature is a finite number, 0 or more",
        'make_schedule("linear", start=1.0, end=0.0, steps=10) stays at its end',
        (
            Example(
                "the schedule of Y gives -1.0 for iteration 1",
                python=(
                    "falling = ExecutionConfig(temperatures={'Y': lambda iteration: 0.0 - iteration})\n"
                    'runner = Program("Y[i] = sig(X[i])").compile(config=falling)\n'
                    "runner(X=[1.0])\n"
                    "runner(X=[1.0])"
                ),
            ),
        ),
    ),
)
