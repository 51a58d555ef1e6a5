"""Supervised fine-tuning of a group's roles: an adapter for each, or one for several, from what was said in them.

Paper: Qiao et al., *AutoAct*, arXiv 2401.05268, section 2.3: trajectories are split by role, and each agent is a
low-rank adapter of the same base, of rank 8 on the query and value projections, 5 epochs at 1e-4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.protocols import UpdateContext
from instar.records import Experience, Policy
from instar.scripted_world import adapter_of
from instar.update.weights.adapter_sft import AdapterSFT, said_by_role
from instar.update.weights.layout.rows import TOGETHER
from instar.update.weights.trainer.model import Lora


class RolesSFT(AdapterSFT):
    """As ``adapter_sft``, but what is learned is what was said in the roles ``says`` (none named: in ``role``), and the
    adapter is also that of the roles ``also``. So one adapter can serve a whole group, and a control can give a role
    what another said.

    Raises as ``sft`` does.
    """

    name: ClassVar[str] = "roles_sft"
    version: ClassVar[int] = 1

    says: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    lora: Lora = Field(default_factory=lambda: Lora(rank=8, alpha=16.0))
    learning_rate: float = Field(default=1e-4, gt=0)
    epochs: int = Field(default=5, ge=1)
    max_length: int = Field(default=2048, ge=2)

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        data = said_in(self.says or (self.role,), data, context)
        if policy.weights.place == "scripted":
            adapter = adapter_of(self._taught(policy, data, context).skills or {})
        else:
            adapter = (await self._trained(policy, data, context)).digest
        adapters = {**policy.adapters, **dict.fromkeys((self.role, *self.also), adapter)}
        return policy.model_copy(
            update={"adapters": adapters, "parent": policy.id, "made_by": self.name, "id": ""}
        ).identified()


def said_in(roles: Sequence[str], data: Sequence[Experience], context: UpdateContext) -> list[Experience]:
    """The same experiences, of which only what was said in one of these roles may be trained on."""
    if len(roles) == 1:
        return said_by_role(roles[0], data, context)
    out: list[Experience] = []
    for i in range(0, len(data), TOGETHER):
        part = data[i : i + TOGETHER]
        each = [said_by_role(role, part, context) for role in roles]
        for e, own in zip(part, zip(*each, strict=True), strict=True):
            turns = tuple(
                t.model_copy(update={"train": any(o.solution.turns[k].train for o in own)})
                for k, t in enumerate(e.solution.turns)
            )
            out.append(e.model_copy(update={"solution": e.solution.model_copy(update={"turns": turns})}))
    return out
