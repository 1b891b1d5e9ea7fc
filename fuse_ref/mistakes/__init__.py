"""Every mistake Fuse reports: one row each, with its words, its cure and programs that make it.

Tests replay every example, `docs/errors.md` is generated from the rows. Codes are stable: a row may
be reworded, never renumbered.

    FUSE0xx  text and grammar                (syntax.py)
    FUSE1xx  names, axes, meaning            (meaning.py; from 137 functions.py; from 150 analysis.py)
    FUSE2xx  plans, routes, settings         (running.py; from 240 sampling.py; from 245 temperatures.py; from 250
                                             torch_engine.py; from 262 logic.py; from 270 gradients.py;
                                             from 275 jax_engine.py)
    FUSE3xx  inputs, weights, files          (inputs.py; from 320 files.py)
"""

from __future__ import annotations

from fuse_ref.errors import FuseError
from fuse_ref.mistakes.analysis import ANALYSIS_MISTAKES
from fuse_ref.mistakes.files import FILE_MISTAKES
from fuse_ref.mistakes.functions import FUNCTION_MISTAKES
from fuse_ref.mistakes.gradients import GRADIENT_MISTAKES
from fuse_ref.mistakes.inputs import INPUT_MISTAKES
from fuse_ref.mistakes.jax_engine import JAX_MISTAKES
from fuse_ref.mistakes.logic import LOGIC_MISTAKES
from fuse_ref.mistakes.meaning import MEANING_MISTAKES
from fuse_ref.mistakes.row import Example, Mistake
from fuse_ref.mistakes.running import RUNNING_MISTAKES
from fuse_ref.mistakes.sampling import SAMPLING_MISTAKES
from fuse_ref.mistakes.syntax import SYNTAX_MISTAKES
from fuse_ref.mistakes.temperatures import TEMPERATURE_MISTAKES
from fuse_ref.mistakes.torch_engine import TORCH_MISTAKES
from fuse_ref.source import Span

__all__ = ["MISTAKES", "Example", "Mistake", "mistake"]

MISTAKES: dict[str, Mistake] = {}
for _row in (
    *SYNTAX_MISTAKES,
    *MEANING_MISTAKES,
    *FUNCTION_MISTAKES,
    *ANALYSIS_MISTAKES,
    *RUNNING_MISTAKES,
    *SAMPLING_MISTAKES,
    *TEMPERATURE_MISTAKES,
    *TORCH_MISTAKES,
    *LOGIC_MISTAKES,
    *GRADIENT_MISTAKES,
    *JAX_MISTAKES,
    *INPUT_MISTAKES,
    *FILE_MISTAKES,
):
    if _row.code in MISTAKES:
        raise AssertionError(f"{_row.code} is given to two mistakes")
    MISTAKES[_row.code] = _row


def mistake(code: str, span: Span | None = None, /, *, cure: str | None = None, **values: object) -> FuseError:
    """The error of row `code` with `values` filled into its sentence and cure.

    `cure` replaces the row's cure where the place knows a better one (a "did you mean").
    """
    row = MISTAKES[code]
    if isinstance(values.get("axis"), str):
        # Axes that share a letter are told apart by "#2" inside; the reader has the line and the tensor.
        values["axis"] = str(values["axis"]).partition("#")[0]
    cure_text = row.cure.format(**values) if cure is None else cure
    return row.error(row.sentence.format(**values), code=code, cure=cure_text, span=span)
