"""Which turns a role learns: its own, another's, or all; and for whom the adapter is."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path

from instar.records import Exchange, Experience, Message, Role, Said, Turn, TurnKind
from instar.scripted_world import base_policy
from instar.update.weights.adapter_sft import said_by_role
from instar.update.weights.roles_sft import RolesSFT, said_in
from tests.update.tiny import Context, experience

SAID = {"plan": TurnKind.tool_call, "tool": TurnKind.assistant, "reflect": TurnKind.critique}


def episode() -> Experience:
    made = experience("Who?", "finish[x]")
    turns = [Turn(kind=kind, text=role, said=Said(exchange=f"i1:{role}", reply=0)) for role, kind in SAID.items()]
    turns.append(Turn(kind=TurnKind.tool_result, text="Right.", train=False))
    return made.model_copy(update={"solution": made.solution.model_copy(update={"turns": tuple(turns)})})


class Journal(Context):
    def exchanges(self, ids: Collection[str]) -> Mapping[str, Exchange]:
        asked = (Message(role=Role.user, content="Who?"),)
        return {
            id: Exchange(
                id=id, call="c", turn=0, role=id.removeprefix("i1:"), ask="a", messages=asked, policy="p",
                engine="scripted", precision="exact", replies=(),
            )
            for id in ids
        }  # fmt: skip


def learned(context: Context, *roles: str) -> list[str]:
    (e,) = said_in(roles, [episode()], context)
    return [t.text for t in e.solution.turns if t.train]


def test_what_was_said_in_one_role_or_in_several_is_learned_and_nothing_else(tmp_path: Path) -> None:
    context = Journal(tmp_path)
    assert [learned(context, role) for role in SAID] == [[role] for role in SAID]
    assert learned(context, "plan", "reflect") == ["plan", "reflect"]
    assert learned(context, *SAID) == list(SAID)
    assert learned(context, "nobody", "else") == []
    assert said_in(("tool",), [episode()], context) == said_by_role("tool", [episode()], context)


def test_an_adapter_can_be_for_one_role_for_several_or_of_what_another_said(tmp_path: Path) -> None:
    context, base = Journal(tmp_path), base_policy()
    own = asyncio.run(RolesSFT(role="plan")(base, [episode()], context))
    assert set(own.adapters) == {"plan"}
    assert '"plan":' in own.adapters["plan"]
    assert (own.weights, own.parent, own.made_by) == (base.weights, base.id, "roles_sft")
    other = asyncio.run(RolesSFT(role="plan", says=("tool",))(own, [episode()], context))
    assert '"tool":' in other.adapters["plan"]
    assert '"plan":' not in other.adapters["plan"]
    whole = asyncio.run(RolesSFT(role="plan", says=tuple(SAID), also=("tool", "reflect"))(base, [episode()], context))
    assert set(whole.adapters) == set(SAID)
    assert len(set(whole.adapters.values())) == 1
