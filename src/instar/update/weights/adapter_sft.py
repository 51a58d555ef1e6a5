"""Supervised fine-tuning of one role: a low-rank adapter beside the weights, which stay as they are.

Policies with an adapter a role share one set of weights (arXiv:2401.05268, AutoAct, section 2.3: agents that differ in
their LoRA alone).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from instar.export.folder import save_adapter
from instar.protocols import UpdateContext
from instar.records import Experience, Policy
from instar.scripted_world import adapter_of
from instar.update.weights.layout.rows import TOGETHER
from instar.update.weights.sft import SFT
from instar.update.weights.trainer.model import Lora, TrainableModel


class AdapterSFT(SFT):
    """As SFT with ``lora``, but the adapter is kept beside the weights, for the policy's ``role``: its other roles, and
    the weights, do not change. It is trained anew each time, on the weights alone: an earlier adapter of the role is
    replaced, not trained on. What was said in another role is not learned.

    Raises as SFT does.
    """

    name: ClassVar[str] = "adapter_sft"
    version: ClassVar[int] = 1

    role: str = Field(default="self", pattern=r"^[a-z][a-z0-9_]{0,31}$")
    lora: Lora = Field(default_factory=Lora)

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        data = said_by_role(self.role, data, context)
        if policy.weights.place == "scripted":
            adapter = adapter_of(self._taught(policy, data, context).skills or {})
        else:
            adapter = (await self._trained(policy, data, context)).digest
        changed = {
            "adapters": {**policy.adapters, self.role: adapter}, "parent": policy.id, "made_by": self.name, "id": "",
        }  # fmt: skip
        return policy.model_copy(update=changed).identified()

    def save(self, trainable: TrainableModel, parent: Path, folder: Path, policy: Policy) -> None:
        """Write the adapter alone."""
        save_adapter(trainable, parent, folder, policy.weights.digest)


def said_by_role(role: str, data: Sequence[Experience], context: UpdateContext) -> list[Experience]:
    """The same experiences, of which only what was said in this role may be trained on. A turn of which it is not known
    in which role it was said stays as it is."""
    out: list[Experience] = []
    for i in range(0, len(data), TOGETHER):
        part = data[i : i + TOGETHER]
        asked = context.exchanges({t.said.exchange for e in part for t in e.solution.turns if t.train and t.said})
        others = {id for id, x in asked.items() if x.role not in (role, None)}
        for e in part:
            turns = tuple(
                t.model_copy(update={"train": False}) if t.said and t.said.exchange in others else t
                for t in e.solution.turns
            )
            out.append(e.model_copy(update={"solution": e.solution.model_copy(update={"turns": turns})}))
    return out
