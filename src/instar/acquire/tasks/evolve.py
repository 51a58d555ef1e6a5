"""The model makes given instructions harder, or others of their kind: Evol-Instruct.

Xu et al., *WizardLM: Empowering Large Language Models to Follow Complex Instructions*, arXiv 2304.12244, section 3:
each instruction is rewritten by one of five operations in depth or one in breadth, drawn uniformly; what failed is
eliminated, and the instruction goes back to the pool as it was.

Departures:
- The prompts say the same in fewer words, for a model with a short context.
- Whether a rewrite has any information beyond its parent is told by ROUGE-L and by what it asks, not by a stronger
  model. The released code has no elimination at all.
- The same model evolves and answers; the paper's was ChatGPT.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

from pydantic import Field

from instar.acquire.tasks.rouge import rouge_l
from instar.acquire.tasks.self_instruct import made_task
from instar.leaks import Index
from instar.protocols import Create, Created, Models, Refused
from instar.records import Finish, Message, Objective, Reply, Role, Sampling, Task, hash_of

Way = Literal["constraints", "deepening", "concretizing", "reasoning", "input", "breadth"]

DEPTH = (
    "Rewrite the given task so that it is a bit harder to answer, and still makes sense to a person. {how} "
    "Add only 10 to 20 words. Write the rewritten task alone.\n\nThe given task:\n{task}"
)
BREADTH = (
    "Write a brand new task that is of the same kind as the given one, but rarer, as long and as hard. It must make "
    "sense to a person. Write the new task alone.\n\nThe given task:\n{task}"
)
HOW: dict[Way, str] = {
    "constraints": "Add one more constraint or requirement.",
    "deepening": "If it asks about something, ask about it more deeply and broadly.",
    "concretizing": "Replace general words by more specific ones.",
    "reasoning": "If a few simple steps answer it, ask for several steps of reasoning.",
    "input": "Add some data that it has to work with, such as a table, code or a formula.",
}
"""What each operation in depth asks for."""
NOTHING_NEW = "it asks nothing that its parent does not"
LEAKS_PROMPT = "it repeats words of the prompt"
FAR_TOO_LONG = "it is more than 60 words longer than its parent"
EMPTY = "the reply is empty"
CUT = "the reply was cut"
_PROMPT_WORDS = re.compile(r"given (?:task|prompt)|rewritten (?:task|prompt)|created (?:task|prompt)|new task", re.I)
_HEADING = re.compile(r"^\s*(?:the )?(?:rewritten|new) (?:task|prompt)\s*:\s*", re.IGNORECASE)


class EvolInstruct(Create):
    """One rewrite of each of at most as many sources as the objectives want, by an operation of ``ways`` by lot. The
    parent is what a task is made from. ``rouge``: a rewrite in depth that is as like its parent says nothing new."""

    name: ClassVar[str] = "evol_instruct"

    called: str = "evolved"
    ways: tuple[Way, ...] = Field(default=get_args(Way), min_length=1)
    rouge: float = Field(default=0.9, gt=0, le=1)
    sampling: Sampling = Sampling(temperature=1.0, top_p=0.95, max_tokens=160)

    async def __call__(
        self, objectives: Sequence[Objective], sources: Sequence[Task], seen: Sequence[Task], models: Models
    ) -> Sequence[Created | Refused]:
        model, luck = models["self"], random.Random(hash_of("evolve", [o.id for o in objectives]))
        wanted = sum(o.tasks for o in objectives)
        parents = luck.sample(list(sources), min(wanted, len(sources)))
        ways = [luck.choice(self.ways) for _ in parents]
        prompts = [prompt_of(way, p.question) for way, p in zip(ways, parents, strict=True)]
        replies = await asyncio.gather(*(model.ask([p], sampling=self.sampling) for p in prompts))
        out: list[Created | Refused] = []
        for parent, way, (reply,) in zip(parents, ways, replies, strict=True):
            text = _HEADING.sub("", reply.text).strip().strip('"').strip()
            why = self.eliminated(parent.question, text, way, reply)
            source = f"{self.name}/{way}"
            out.append(
                Refused(why) if why else Created(made_task(text, self.called, source, objectives[0].id), (parent.id,))
            )
        return out

    def eliminated(self, parent: str, text: str, way: Way, reply: Reply) -> str | None:
        """Why a rewrite goes no further; None where it does."""
        if not text:
            return EMPTY
        if reply.finish is Finish.length:
            return CUT
        if _PROMPT_WORDS.search(text) and not _PROMPT_WORDS.search(parent):
            return LEAKS_PROMPT
        if len(text.split()) > len(parent.split()) + 60:
            return FAR_TOO_LONG
        same = rouge_l(parent, text) > self.rouge or (way == "breadth" and Index([parent]).of(text) is not None)
        return NOTHING_NEW if same else None


def prompt_of(way: Way, task: str) -> Message:
    """What the model is asked, to rewrite a task in this way."""
    text = BREADTH.format(task=task) if way == "breadth" else DEPTH.format(how=HOW[way], task=task)
    return Message(role=Role.user, content=text)
