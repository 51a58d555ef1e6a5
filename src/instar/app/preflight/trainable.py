"""Whether a plan's model can be trained as it means to: found out before a token is spent, and by a dry run."""

from __future__ import annotations

from instar.app.configs.config import Plan
from instar.errors import ModelError
from instar.model_folder.folder import ModelFolder
from instar.protocols import Update

NO_ADAPTERS = frozenset({"openvino"})
"""Engines that answer for weights alone."""


def makes_adapters(plan: Plan) -> bool:
    """Whether policies of this plan will carry adapters beside their weights."""
    return any(isinstance(op, Update) and op.makes_adapters for op in plan.ops())


def refuse_untrainable(plan: Plan, folder: ModelFolder) -> None:
    """Raises ModelError if an update of the plan puts an adapter where this model cannot keep it, or makes one that the
    engine that is named cannot put on."""
    if plan.run.engine in NO_ADAPTERS and makes_adapters(plan):
        raise ModelError(
            f"The {plan.run.engine} engine puts no adapter on weights, and this run makes them.",
            "Use engine=native or engine=transformers.",
        )
    for op in plan.ops():
        lora = getattr(op, "lora", None)
        if lora is not None:
            folder.refuse_adapter_on(lora.target_modules)
