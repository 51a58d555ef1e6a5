"""Act in an environment over turns: say what to do, see what comes of it, go on until it is over.

Paper: Yao et al., *ReAct: Synergizing Reasoning and Acting in Language Models*, arXiv 2210.03629, section 2: actions
and observations in turn. Departures: a reply is the action as it stands (the environment finds it in the text), and an
episode has no more than ``turns`` of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from pydantic import Field

from instar.acquire.environments.playing import Spoiled, played
from instar.answers import replies_of, trajectory_of, turn_of
from instar.borders import crossing, side_by_side
from instar.errors import StepFailed
from instar.protocols import Environment, Models, Solve
from instar.records import Message, Reply, Role, Sampling, Solution, Task, Turn, TurnKind

SPOILED = "episode_spoiled"
"""The flag of an episode that could not go on for a reason of its own; its last turn says which."""


class Play(Solve):
    """``samples`` episodes of ``models["self"]`` in ``environment``, each of at most ``turns`` replies. Judge them by
    ``outcome``, with the same environment.

    Every observation is journalled; one that was seen is not asked of the environment again when a run is resumed, and
    an environment that then answers the same actions otherwise ends that episode. So does one that hangs for
    ``seconds``, dies, raises or says more than 100,000 characters at once: each with its reason, none with an error.
    Observations are cut at 1,000 characters and never trained on.

    Raises:
        EngineError: the model gave another number of replies than asked for.
        StepFailed: the environment did not come as far as its first observation, with the reason.
    """

    name: ClassVar[str] = "play"

    environment: Environment
    samples: int = Field(default=4, ge=1)
    turns: int = Field(default=10, ge=1, le=50)
    sampling: Sampling = Sampling(temperature=0.7, top_k=40, max_tokens=32)
    seconds: float = Field(default=10.0, gt=0, le=600)
    """For one step, with all those before it: an episode is played from its beginning each time."""

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        first = await self._move(task, models, "reset", (), ())
        shown = list(models["self"].policy.prompt(task))
        if first["seen"] and shown and shown[-1].role is Role.user:
            shown[-1] = shown[-1].model_copy(update={"content": f"{shown[-1].content}\n\n{first['seen']}"})
        replies = await replies_of(models["self"], shown, self.sampling, self.samples)
        return await side_by_side(models, [partial(self._follow, task, shown, first, r) for r in replies])

    async def _follow(
        self, task: Task, shown: Sequence[Message], first: dict[str, Any], reply: Reply, models: Models
    ) -> Solution:
        messages, turns, replies = list(shown), list[Turn](), [reply]
        moved, seen, actions = first, [str(first["seen"])], list[str]()
        over = False
        while not over:
            reply = replies[-1]
            turns.append(turn_of(reply))
            actions.append(reply.text)
            moved = await self._move(task, models, "step", actions, seen)
            seen.append(str(moved["seen"]))
            turns.append(Turn(kind=TurnKind.tool_result, text=seen[-1], train=False))
            over = bool(moved["why"] or moved["done"]) or len(replies) == self.turns
            if not over:
                messages += [
                    Message(role=Role.assistant, content=reply.text),
                    Message(role=Role.user, content=seen[-1]),
                ]
                replies += await replies_of(models["self"], messages, self.sampling)
        over = bool(moved["done"] or moved["why"])
        flags = (SPOILED,) if moved["why"] else ()
        return trajectory_of(task, turns, replies, self.sampling, over=over, flags=flags)

    async def _move(
        self, task: Task, models: Models, kind: str, actions: Sequence[str], seen: Sequence[str]
    ) -> dict[str, Any]:
        """What is seen after these actions, journalled: the reason, where the episode cannot go on."""

        async def work() -> dict[str, Any]:
            try:
                moves = await played(self.environment, task.private, actions, seen, self.seconds)
            except Spoiled as e:
                if not actions:  # not journalled: the call is made again when the environment is mended
                    raise StepFailed(f"no episode could begin: {e}.", "Mend the environment, or its task.") from e
                return {"seen": f"error: {e}", "done": False, "why": str(e)}
            return {"seen": moves[-1].observation, "done": moves[-1].done, "why": ""}

        asked = {"environment": self.environment.op_id, "action": actions[-1] if actions else None}
        moved: dict[str, Any] = await crossing(models["self"], kind, asked, work)
        return moved
