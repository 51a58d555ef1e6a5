"""Work with tools: say what to do, see what comes of it, go on. One action and one observation at a time.

Paper: Yao et al., *ReAct: Synergizing Reasoning and Acting in Language Models*, arXiv 2210.03629, section 2: thought,
action and observation interleaved, until an answer; 7 steps on HotpotQA, 5 on FEVER. Departures: no few-shot
trajectories (a policy may bring its own), and tools that compute instead of a search: a calculator and Python.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar

from pydantic import Field

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.tools import TELLS, Tool, use
from instar.acquire.tools.calls import closing
from instar.answers import trajectory_of, turn_of
from instar.borders import crossing, side_by_side
from instar.errors import EngineError
from instar.protocols import Attempt, Judge, Models, Solve
from instar.records import (
    Experience,
    Message,
    Reply,
    Role,
    Sampling,
    Solution,
    Task,
    Turn,
    TurnKind,
)
from instar.sandbox import open_sandbox
from instar.sandbox.room import Kind

_CALL = re.compile(r"\b(calculator|python)\[", re.IGNORECASE)
_OBSERVED = re.compile(r"^[ \t]*Observation\b", re.MULTILINE | re.IGNORECASE)


class UseTools(Solve):
    """``samples`` trajectories of ``models["self"]``: each reply may end in one call, such as ``calculator[12 * 7]``,
    which is answered with ``Observation: 84``. A reply without a call ends it, and so does the ``turns``-th.

    A reply is cut after its first call: what a model makes up of the observation is not kept. The calls are turns of
    kind ``tool_call``; observations are ``tool_result`` and never trained on. A solution's tokens are all that the
    model made, its prompt tokens all that it was shown.

    Raises:
        EngineError: the model gave another number of replies than asked for.
        SandboxError: the tool python was called on a machine without a sandbox.
    """

    name: ClassVar[str] = "use_tools"

    samples: int = Field(default=4, ge=1)
    turns: int = Field(default=5, ge=1, le=50)
    tools: tuple[Tool, ...] = Field(default=("calculator", "python"), min_length=1)
    tell: bool = True
    """Whether the tools are described in front of the question; turn off for a policy whose prompt does."""
    sampling: Sampling = Sampling(temperature=0.7, top_k=40, max_tokens=128)
    seconds: float = Field(default=5.0, gt=0, le=600)
    sandbox: Kind = "auto"
    allow_weaker: bool = False

    def prepare(self, tasks: Mapping[str, Sequence[Task]]) -> None:
        """Raises SandboxError where python is one of the tools, and this machine has no sandbox for it."""
        if "python" in self.tools:
            open_sandbox(self.sandbox, allow_weaker=self.allow_weaker)

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        model = models["self"]
        shown = self._shown(list(model.policy.prompt(task)))
        first = await model.ask(shown, n=self.samples, sampling=self.sampling)
        if len(first) != self.samples:
            raise EngineError(
                f"Asked for {self.samples} replies and got {len(first)}.",
                "The engine is at fault: it must give all or fail.",
            )
        return await side_by_side(models, [partial(self._follow, task, shown, reply) for reply in first])

    def _shown(self, messages: list[Message]) -> list[Message]:
        if not self.tell:
            return messages
        tells = "\n".join(TELLS[t] for t in self.tools)
        last = max(i for i, m in enumerate(messages) if m.role is Role.user)
        text = (
            f"{messages[last].content}\n\nYou may call a tool, one at a time, and are told what it gives:\n{tells}\n"
            "When you know the result, write it after 'Answer:'."
        )
        return [*messages[:last], Message(role=Role.user, content=text), *messages[last + 1 :]]

    async def _follow(self, task: Task, shown: Sequence[Message], reply: Reply, models: Models) -> Solution:
        messages, turns, replies = list(shown), list[Turn](), [reply]
        while True:
            reply = replies[-1]
            call = call_in(reply.text, self.tools)
            if call is None or len(replies) == self.turns:
                turns.append(turn_of(reply))
                break
            tool, given, end = call
            said = turn_of(reply, end, kind=TurnKind.tool_call)
            work = partial(
                use, tool, given, seconds=self.seconds, kind=self.sandbox, allow_weaker=self.allow_weaker
            )  # what a tool said is said again when the run is resumed: it may tell the time
            result = await crossing(models["self"], "tool", {"tool": tool, "given": given}, work)
            observed = Turn(kind=TurnKind.tool_result, text=f"Observation: {result}", train=False)
            turns += [said, observed]
            messages += [
                Message(role=Role.assistant, content=said.text),
                Message(role=Role.user, content=observed.text),
            ]
            replies += await models["self"].ask(messages, n=1, sampling=self.sampling)
        over = call is None or len(replies) < self.turns
        return trajectory_of(task, turns, replies, self.sampling, over=over)


class Act(Attempt):
    """Trajectories with tools (``solve``), judged at once (``judge``): an attempt whose steps are observed."""

    name: ClassVar[str] = "act"

    solve: UseTools = UseTools()
    judge: Judge = Verify()

    async def __call__(self, task: Task, models: Models) -> Sequence[Experience]:
        made = await self.solve(task, models)
        # places stand for ids until the run mints them
        placed = [s.model_copy(update={"id": str(i)}) for i, s in enumerate(made)]
        said = await self.judge(task, placed, models)
        return [Experience(task=task, solution=s, feedback=f) for s, f in zip(placed, said, strict=True)]


def call_in(text: str, tools: Sequence[Tool]) -> tuple[Tool, str, int] | None:
    """The first call of one of these tools in a reply: (tool, what it is given, where the call ends). Brackets inside
    are matched; a call that does not end is none, nor is one inside an observation that the model made up."""
    made_up = _OBSERVED.search(text)
    text = text[: made_up.start()] if made_up else text
    closes = closing(text)
    for found in _CALL.finditer(text):
        name = found.group(1).lower()
        tool: Tool | None = next((t for t in tools if t == name), None)
        if tool is None:
            continue
        at = closes.get(found.end() - 1)
        if at is not None:
            return tool, text[found.end() : at].strip("\n"), at + 1
    return None
