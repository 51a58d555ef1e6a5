"""Work with any tools: typed calls, rendered by the model's own template where it has tools, else in plain words.

Paper: Yao et al., *ReAct: Synergizing Reasoning and Acting in Language Models*, arXiv 2210.03629, section 2.
Departures: those of ``use_tools``, which is this with two tools and plain words alone. Trajectories to begin with are
the policy's shots (``shots`` in a config).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar

from pydantic import Field, field_validator

from instar.acquire.tools.calculator import Calculator
from instar.acquire.tools.calls import Found, answer, calls_in
from instar.acquire.tools.python import Python
from instar.answers import replies_of, trajectory_of, turn_of
from instar.borders import crossing, side_by_side
from instar.protocols import Bench, Models, Solve, Tool
from instar.records import Message, Reply, Role, Sampling, Solution, Task, Turn, TurnKind
from instar.sandbox import open_sandbox
from instar.sandbox.room import Kind


class CallTools(Solve):
    """``samples`` trajectories of ``models["self"]``: each reply may end in ``calls`` calls of tools, made in order. A
    reply without a call ends it, and so does the ``turns``-th.

    Tools are named as in ``instar ops tool``, or are functions of your own: ``my_tools.py:lookup``. A call is read in
    the forms of Qwen and Hermes, of Llama 3, and as ``name[...]``; a reply is cut after its last call. A call that is
    malformed, of no such tool or with other arguments than its schema's is answered with what is wrong with it.
    Answers are cut at 600 characters and never trained on.

    Raises:
        EngineError: the model gave another number of replies than asked for.
        SandboxError: a tool that needs a sandbox was called on a machine without one.
    """

    name: ClassVar[str] = "call_tools"
    late: ClassVar[frozenset[str]] = frozenset({"calls"})

    samples: int = Field(default=4, ge=1)
    turns: int = Field(default=5, ge=1, le=50)
    tools: tuple[Tool, ...] = Field(default=(Calculator(), Python()), min_length=1)
    tell: bool = True
    """Whether the model is told of its tools; turn off where its shots say enough."""
    calls: int = Field(default=1, ge=1, le=16)
    """Calls of one reply that are made."""
    sampling: Sampling = Sampling(temperature=0.7, top_k=40, max_tokens=128)
    seconds: float = Field(default=5.0, gt=0, le=600)
    sandbox: Kind = "auto"
    allow_weaker: bool = False

    @field_validator("tools")
    @classmethod
    def _each_once(cls, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
        names = [t.called.lower() for t in tools]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"two tools are called {twice[0]}")
        return tools

    def prepare(self, tasks: Mapping[str, Sequence[Task]]) -> None:
        """Raises SandboxError where one of the tools needs a sandbox, and this machine has none."""
        for tool in self.tools:
            tool.refuse(Bench(self.seconds, self.sandbox, self.allow_weaker))
            tool.prepare(tasks)
        if any(t.where == "sandbox" for t in self.tools):
            open_sandbox(self.sandbox, allow_weaker=self.allow_weaker)

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        shown = self._shown(list(models["self"].policy.prompt(task)))
        first = await replies_of(models["self"], shown, self.sampling, self.samples)
        return await side_by_side(models, [partial(self._follow, task, shown, reply) for reply in first])

    def _shown(self, messages: list[Message]) -> list[Message]:
        if self.tell:
            last = max(i for i, m in enumerate(messages) if m.role is Role.user)
            messages[last] = messages[last].model_copy(update={"tools": tuple(t.spec for t in self.tools)})
        return messages

    async def _follow(self, task: Task, shown: Sequence[Message], reply: Reply, models: Models) -> Solution:
        messages, turns, replies = list(shown), list[Turn](), [reply]
        while True:
            reply = replies[-1]
            found = calls_in(reply.text, self.tools, self.calls)
            if not found or len(replies) == self.turns:
                turns.append(turn_of(reply))
                break
            said = turn_of(reply, found[-1].ends, kind=TurnKind.tool_call)
            results = [await self._made(f, models) for f in found]  # in order: one may need what another did
            turns += [said, *(Turn(kind=TurnKind.tool_result, text=r, train=False) for r, _ in results)]
            made = tuple(f.call for f in found if f.call)
            before = reply.text[: found[0].begins].rstrip()
            spoken = {"content": before, "calls": made} if len(made) == len(found) else {"content": said.text}
            messages += [
                Message(role=Role.assistant, **spoken),
                *(Message(role=Role.user, content=result, result_of=name) for result, name in results),
            ]
            replies += await replies_of(models["self"], messages, self.sampling)
        over = not found or len(replies) < self.turns
        return trajectory_of(task, turns, replies, self.sampling, over=over)

    async def _made(self, found: Found, models: Models) -> tuple[str, str]:
        """What comes of a call, and of which tool."""
        call = found.call
        if call is None:
            return f"error: {found.why}", "error"
        tool = next((t for t in self.tools if t.called.lower() == call.name.lower()), None)
        bench = Bench(self.seconds, self.sandbox, self.allow_weaker)
        work = partial(answer, tool, call, self.tools, bench)
        # what a tool said is said again when the run is resumed: it may tell the time
        asked = {"tool": call.name, "given": call.given()}
        again = tool is None or not tool.effects
        return await crossing(models["self"], "tool", asked, work, again=again), call.name
