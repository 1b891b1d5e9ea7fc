"""What no engine can do yet, said before a run instead of done wrongly. All three engines call this."""

from __future__ import annotations

from typing import Final

from fuse_ref.config import ExecutionConfig
from fuse_ref.errors import FuseError
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean
from fuse_ref.plan.steps import Plan, Step
from fuse_ref.policies import RuntimePolicies

__all__ = ["check_supported"]

_EXACT: Final = {"max=": "its largest term", "min=": "its smallest term", "prod=": "its product"}


def check_supported(
    plan: Plan,
    config: ExecutionConfig,
    engine: str,
    policies: RuntimePolicies | None = None,
) -> None:
    """Refuse a plan or setting that no engine can run yet.

    Settings that make no difference to this plan pass: `route`, `breaks`, `logic`, `capacity`, `mode`
    and those of fixpoints speak of steps that are themselves refused.

    Args:
        engine: the name that the message gives: "numpy", "torch" or "jax".

    Raises:
        RouteError: naming the step, or the setting, and the reason.
    """
    for number, step in enumerate(plan.steps, 1):
        if step.unsupported:
            raise mistake(
                "FUSE201",
                step.span,
                number=number,
                kind=step.kind,
                tensors=_tensors(step),
                engine=engine,
                reason=step.unsupported,
            )
    _check_samples(plan, config)
    iterated = any(step.route == "numeric" and not step.unsupported for step in plan.steps)
    if config.time_limit is not None and iterated and engine == "jax":
        raise _setting(
            "time_limit", config.time_limit, "compiled code goes on to the end; max_iters= bounds its rounds"
        )
    if config.time_limit is not None and not iterated and not any(step.rules for step in plan.steps):
        raise _setting("time_limit", config.time_limit, "no step watches it so far")
    if policies is not None:
        for field in ("sharding", "quantization", "lora"):
            value = getattr(policies, field)
            if value is not None:
                raise _setting(field, value, "weights are used whole and as they are so far")


def _tensors(step: Step) -> str:
    names = [name for name in step.writes if "~" not in name]
    return ", ".join(names or step.reads) or "nothing"


def _setting(name: str, value: object, reason: str) -> FuseError:
    return mistake("FUSE202", None, setting=f"{name}={value!r}", reason=reason)


def _check_samples(plan: Plan, config: ExecutionConfig) -> None:
    if config.projection_strategy == "exact":
        return
    if config.projection_samples is None:
        raise mistake("FUSE241")
    if isinstance(config.projection_samples, int):
        return
    defined = [tensor.name for tensor in plan.program.tensors if tensor.role == "computed"]
    for name in config.projection_samples:
        if name not in defined:
            raise mistake("FUSE204", None, cure=did_you_mean(name, defined), field="projection_samples", name=name)
        tensor = plan.program.tensor(name)
        cyclic = any(step.kind in ("Fixpoint", "Recurrence") and name in step.writes for step in plan.steps)
        reason = "which is computed in a cycle: cycles are exact" if cyclic else ""
        if tensor.boolean or tensor.dtype != "float":
            reason = f"which holds {'truth values' if tensor.boolean else 'whole numbers'}"
        elif tensor.operator not in ("=", "avg="):
            reason = f"whose operator is {tensor.operator}: {_EXACT[tensor.operator]} cannot be told from some"
        if reason:
            raise mistake("FUSE242", tensor.span, name=name, reason=reason)
