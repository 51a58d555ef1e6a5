"""Whether a plan's model can be trained as it means to: found out before a token is spent, and by a dry run."""

from __future__ import annotations

from instar.app.configs.config import Plan
from instar.model_folder.folder import ModelFolder


def refuse_untrainable(plan: Plan, folder: ModelFolder) -> None:
    """Raises ModelError if an update of the plan puts an adapter where this model cannot keep it."""
    for op in plan.ops():
        lora = getattr(op, "lora", None)
        if lora is not None:
            folder.refuse_adapter_on(lora.target_modules)
