"""Fuse: a tensor-equation language. This package reads, plans and runs programs with NumPy alone.

`fuse_torch` and `fuse_jax` run the same plans on PyTorch and JAX; all that is public here is public
there too. Importing this package loads neither torch nor jax.
"""

from __future__ import annotations

from fuse_ref.config import ExecutionConfig
from fuse_ref.errors import (
    AxisError,
    CapacityError,
    ConfigError,
    DeviceError,
    DivergenceError,
    DtypeError,
    ExportError,
    FallbackWarning,
    FuseError,
    FuseWarning,
    GradientError,
    InputError,
    LimitError,
    ManifestError,
    MissingFrameworkError,
    NonFiniteError,
    OperatorError,
    ProgramFileError,
    RouteError,
    SafetyError,
    StratificationError,
    SyntaxFuseError,
    UnboundTensorError,
    UnknownFunctionError,
)
from fuse_ref.evaluate.answer import Answer
from fuse_ref.evaluate.explanation import Explanation
from fuse_ref.evaluate.registration import register_function
from fuse_ref.evaluate.relation import Relation
from fuse_ref.evaluate.runner import Runner
from fuse_ref.gradients import generate_gradient_program
from fuse_ref.plan.steps import Plan, Step
from fuse_ref.policies import LoRAPolicy, QuantizationPolicy, RuntimePolicies, ShardingPolicy
from fuse_ref.program import Program, TensorSpec
from fuse_ref.schedules import make_schedule
from fuse_ref.source import Source, Span
from fuse_ref.version import __version__
from fuse_ref.weights.manifest_store import ManifestWeightStore
from fuse_ref.weights.store import InMemoryWeightStore, WeightStore

__all__ = [
    "Answer",
    "AxisError",
    "CapacityError",
    "ConfigError",
    "DeviceError",
    "DivergenceError",
    "DtypeError",
    "ExecutionConfig",
    "Explanation",
    "ExportError",
    "FallbackWarning",
    "FuseError",
    "FuseWarning",
    "GradientError",
    "InMemoryWeightStore",
    "InputError",
    "LimitError",
    "LoRAPolicy",
    "ManifestError",
    "ManifestWeightStore",
    "MissingFrameworkError",
    "NonFiniteError",
    "OperatorError",
    "Plan",
    "Program",
    "ProgramFileError",
    "QuantizationPolicy",
    "Relation",
    "RouteError",
    "Runner",
    "RuntimePolicies",
    "SafetyError",
    "ShardingPolicy",
    "Source",
    "Span",
    "Step",
    "StratificationError",
    "SyntaxFuseError",
    "TensorSpec",
    "UnboundTensorError",
    "UnknownFunctionError",
    "WeightStore",
    "__version__",
    "generate_gradient_program",
    "make_schedule",
    "register_function",
]
