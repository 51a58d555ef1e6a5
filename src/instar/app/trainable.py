"""Whether a plan's models can be used as it means to: found out before a token is spent, and by a dry run."""

from __future__ import annotations

from instar.app.config import Plan
from instar.app.home import artefacts, home
from instar.app.models import examine
from instar.model_folder.folder import ModelFolder


def examine_models(plan: Plan) -> None:
    """What can be known of the models of a plan without fetching or storing one. Raises ModelError."""
    for name in (plan.run.model, plan.run.judge_model):
        found = None if name is None else examine(name, home=home(), store=artefacts)
        if found is not None and name == plan.run.model:
            refuse_untrainable(plan, found)


def refuse_untrainable(plan: Plan, folder: ModelFolder) -> None:
    """Raises ModelError if an update of the plan puts an adapter where this model cannot keep it."""
    for op in plan.ops():
        lora = getattr(op, "lora", None)
        if lora is not None:
            folder.refuse_adapter_on(lora.target_modules)
