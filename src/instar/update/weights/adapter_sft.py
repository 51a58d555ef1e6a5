"""Supervised fine-tuning of one role: a low-rank adapter beside the weights, which stay as they are.

Policies with an adapter a role share one set of weights (arXiv:2401.05268, AutoAct, section 2.3: agents that differ in
their LoRA alone).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from instar.protocols import Workshop
from instar.records import Experience, Policy
from instar.scripted_world import adapter_of
from instar.update.weights.model import Learner, Lora, save_adapter
from instar.update.weights.sft import SFT


class AdapterSFT(SFT):
    """As SFT with ``lora``, but the adapter is kept beside the weights, for the policy's ``role``: its other roles, and
    the weights, do not change. It is trained anew each time, on the weights alone: an earlier adapter of the role is
    replaced, not trained on.

    Raises as SFT does.
    """

    name: ClassVar[str] = "adapter_sft"
    version: ClassVar[int] = 1
    makes_adapters: ClassVar[bool] = True

    role: str = Field(default="self", pattern=r"^[a-z][a-z0-9_]{0,31}$")
    lora: Lora = Field(default_factory=Lora)

    async def __call__(self, policy: Policy, data: Sequence[Experience], shop: Workshop) -> Policy:
        if policy.weights.place == "scripted":
            adapter = adapter_of(self._taught(policy, data).skills or {})
        else:
            adapter = (await self._trained(policy, data, shop)).digest
        changed = {
            "adapters": {**policy.adapters, self.role: adapter}, "parent": policy.id, "made_by": self.name, "id": "",
        }  # fmt: skip
        return policy.model_copy(update=changed).identified()

    def save(self, learner: Learner, parent: Path, folder: Path, policy: Policy) -> None:
        """Write the adapter alone."""
        save_adapter(learner, parent, folder, policy.weights.digest)
