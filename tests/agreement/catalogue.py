"""The agreement catalogue: every program that the oracle and all engines must run alike.

A new operation is one case here (beside its row in `fuse_ref.ir.operations` and in every engine's
table). `test_catalogue_complete.py` fails when an operation or an index form occurs in no program.
"""

from __future__ import annotations

from tests.agreement.case import Case
from tests.agreement.cases_functions import FUNCTION_CASES
from tests.agreement.cases_gathers import GATHER_CASES
from tests.agreement.cases_indices import INDEX_CASES
from tests.agreement.cases_mixtures import MIXTURE_CASES
from tests.agreement.cases_models import MODEL_CASES
from tests.agreement.cases_networks import NETWORK_CASES
from tests.agreement.cases_shape import SHAPE_CASES

__all__ = ["CASES"]

CASES: tuple[Case, ...] = (
    *INDEX_CASES,
    *GATHER_CASES,
    *FUNCTION_CASES,
    *SHAPE_CASES,
    *MIXTURE_CASES,
    *MODEL_CASES,
    *NETWORK_CASES,
)
