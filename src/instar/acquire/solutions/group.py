"""A group of agents acts in an environment: one says what to do next, one does it, one looks back before it is over.

Paper: Qiao et al., *AutoAct: Automatic Agent Learning from Scratch for QA via Self-Planning*, arXiv 2401.05268,
section 2.3 (self-differentiation) and 2.4 (group planning): the plan agent says a thought and a tool, the tool agent
the call, and when the group would finish the reflect agent says whether it is right; "wrong" opens it again.
Departures: each part is a turn of a chat, with a fixed request between them, for small models have to be shown a form
as turns; and an answer is withdrawn ``reopen`` times at most.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

from pydantic import Field

from instar.acquire.environments.playing import Spoiled, played
from instar.acquire.environments.village import Posing
from instar.acquire.solutions.play import SPOILED
from instar.answers import replies_of, trajectory_of, turn_of
from instar.borders import acting_as, crossing, side_by_side
from instar.errors import StepFailed
from instar.protocols import Environment, Models, Solve
from instar.records import Message, Reply, Role, Sampling, Solution, Task, Turn, TurnKind

PLAN, TOOL, REFLECT = ROLES = ("plan", "tool", "reflect")
CALL_IT = "Call it."
"""What asks for the call."""
CALL = "Call {}."
"""What asks for the call of a tool whose form is known: ``finish[answer]``."""
IS_IT_RIGHT = "Is it right?"
"""What asks for a reflection."""
GO_ON = "Go on."
"""What is said after an answer was withdrawn."""
_PLANNED = re.compile(r"\bTool: *(\w+)")
_CALLED = re.compile(r"\b(\w+)\[[^\[\]]{0,400}\]")
_JUDGED = re.compile(r"\b(right|wrong)\b", re.IGNORECASE)


@dataclass
class Course:
    """What was said and seen so far in one episode."""

    messages: list[Message]
    turns: list[Turn] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    """Those that were carried out."""
    seen: list[str] = field(default_factory=list)

    def say(self, reply: Reply, end: int | None, kind: TurnKind, answered: str | None = None) -> str:
        """Take a reply up to ``end``, and what it is answered with; returns what was taken."""
        turn = turn_of(reply, end, kind=kind)
        self.turns.append(turn)
        self.replies.append(reply)
        self.messages.append(Message(role=Role.assistant, content=turn.text))
        if answered is not None:
            self.messages.append(Message(role=Role.user, content=answered))
        return turn.text

    def withdraw(self) -> None:
        """The last three turns led to an answer that was taken back: it is a draft, and not learned."""
        plan, call, _ = self.turns[-3:]
        self.turns[-3] = plan.model_copy(update={"train": False})
        self.turns[-2] = call.model_copy(update={"kind": TurnKind.draft, "train": False})


class Group(Solve):
    """``samples`` episodes in ``environment`` of at most ``turns`` steps. "plan" is asked what to do (a thought and
    ``Tool: NAME``), "tool" then for the call (``NAME[...]``), which is the action; before a call of the tool
    ``ends`` is carried out, "reflect" is asked whether it is right (with ``reflect``), and "wrong" withdraws it, at
    most ``reopen`` times. A reply is cut after its tool or call. With ``signatures`` the request for a call says the
    form of the tool that was planned, where the environment has a library (``Posing``) that tells it: a small model
    gives every tool what the tool before it took.

    The roles are parts of ``models["self"]``, each with the adapter that its policy has for it; whoever else is at hand
    under one of these names plays it instead. In a solution, plans are turns of kind ``tool_call``, actions
    ``assistant``, reflections ``critique``, and withdrawn calls ``draft``. Judge it by ``outcome``. What an environment
    does to an episode is as in ``play``.

    Raises:
        EngineError: the model gave another number of replies than asked for.
        StepFailed: the environment did not come as far as its first observation, with the reason.
    """

    name: ClassVar[str] = "group"
    late: ClassVar[frozenset[str]] = frozenset({"signatures"})
    plays: ClassVar[tuple[str, ...]] = ROLES
    """The roles that it asks its policy in: an engine makes room for all."""

    environment: Environment
    samples: int = Field(default=4, ge=1)
    turns: int = Field(default=8, ge=1, le=50)
    reflect: bool = True
    reopen: int = Field(default=0, ge=0, le=5)
    ends: str = "finish"
    signatures: bool = False
    sampling: Sampling = Sampling(temperature=0.7, top_k=40, max_tokens=40)
    seconds: float = Field(default=10.0, gt=0, le=600)
    """For one step, with all those before it: an episode is played from its beginning each time."""

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        first = await self._move(task, models, "reset", Course([]))
        shown = list(models["self"].policy.prompt(task))
        if first["seen"] and shown and shown[-1].role is Role.user:
            shown[-1] = shown[-1].model_copy(update={"content": f"{shown[-1].content}\n\n{first['seen']}"})
        plans = await replies_of(acting_as(models, PLAN), shown, self.sampling, self.samples)
        ways = [partial(self._follow, task, shown, str(first["seen"]), plan) for plan in plans]
        return await side_by_side(models, ways)

    async def _follow(self, task: Task, shown: Sequence[Message], seen: str, plan: Reply, models: Models) -> Solution:
        course, opened, moved = Course(list(shown), seen=[seen]), 0, dict[str, Any]()
        for step in range(self.turns):
            if step:
                (plan,) = await replies_of(acting_as(models, PLAN), course.messages, self.sampling)
            course.say(plan, _end(_PLANNED, plan.text), TurnKind.tool_call, self._request(plan.text))
            (call,) = await replies_of(acting_as(models, TOOL), course.messages, self.sampling)
            found = _CALLED.search(call.text)
            action = course.say(call, found.end() if found else None, TurnKind.assistant)
            if self.reflect and found and found[1].lower() == self.ends:
                course.messages.append(Message(role=Role.user, content=IS_IT_RIGHT))
                (said,) = await replies_of(acting_as(models, REFLECT), course.messages, self.sampling)
                word = word_of(course.say(said, _end(_JUDGED, said.text), TurnKind.critique))
                if word == "wrong" and opened < self.reopen:
                    opened += 1
                    course.withdraw()
                    course.messages.append(Message(role=Role.user, content=GO_ON))
                    continue
            course.actions.append(action)
            moved = await self._move(task, models, "step", course)
            course.seen.append(str(moved["seen"]))
            course.turns.append(Turn(kind=TurnKind.tool_result, text=course.seen[-1], train=False))
            course.messages.append(Message(role=Role.user, content=course.seen[-1]))
            if moved["done"] or moved["why"]:
                break
        over = bool(moved.get("done") or moved.get("why"))
        flags = (SPOILED,) if moved.get("why") else ()
        return trajectory_of(task, course.turns, course.replies, self.sampling, over=over, flags=flags)

    def _request(self, plan: str) -> str:
        """What asks for the call that was planned."""
        found = _PLANNED.search(plan)
        if not (self.signatures and found and isinstance(self.environment, Posing)):
            return CALL_IT
        told = {name.casefold(): (name, text) for name, text in self.environment.library().items()}
        name, text = told.get(found[1].casefold(), (found[1], ""))
        form = re.match(rf"{re.escape(name)}\[[^\[\]]*\]", text)
        return CALL.format(form[0]) if form else CALL_IT

    async def _move(self, task: Task, models: Models, kind: str, course: Course) -> dict[str, Any]:
        """What is seen after the actions so far, journalled: the reason, where the episode cannot go on."""
        actions = course.actions

        async def work() -> dict[str, Any]:
            try:
                moves = await played(self.environment, task.private, actions, course.seen, self.seconds)
            except Spoiled as e:
                if not actions:  # not journalled: the call is made again when the environment is mended
                    raise StepFailed(f"no episode could begin: {e}.", "Mend the environment, or its task.") from e
                return {"seen": f"error: {e}", "done": False, "why": str(e)}
            return {"seen": moves[-1].observation, "done": moves[-1].done, "why": ""}

        asked = {"environment": self.environment.op_id, "action": actions[-1] if actions else None}
        moved: dict[str, Any] = await crossing(models["self"], kind, asked, work)
        return moved


def word_of(reflection: str) -> str | None:
    """What a reflection comes to: "right", "wrong", or None where it says neither."""
    found = _JUDGED.findall(reflection)
    return str(found[-1]).lower() if found else None


def _end(form: re.Pattern[str], text: str) -> int | None:
    """Where what was asked for ends in a reply; None where it is not in it."""
    found = form.search(text)
    return found.end() if found else None
