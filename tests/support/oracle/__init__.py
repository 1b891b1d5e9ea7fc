"""The oracle: a nested-loop interpreter of explicit Fuse text, the judge of all engines.

Written from docs of the language alone. It takes the text that `Program.explicit()` prints, parses it
to a syntax tree and computes every element by itself, in Python floats and plain loops. Of `fuse_ref`
it imports the parser and the tree; it knows no IR, no plan and no engine, uses no einsum, and NumPy
only to take arrays in and hand arrays out.
"""

from __future__ import annotations

from tests.support.oracle.errors import OracleAxisError, OracleError
from tests.support.oracle.solve import OracleResult, run

__all__ = ["OracleAxisError", "OracleError", "OracleResult", "run"]
