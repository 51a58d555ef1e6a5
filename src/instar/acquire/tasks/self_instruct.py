"""The model writes instructions, shown some of others and some of its own: Self-Instruct.

Wang et al., *Self-Instruct: Aligning Language Models with Self-Generated Instructions*, arXiv 2212.10560, section 2 and
its code (github.com/yizhongw/self-instruct): 8 tasks in the prompt, 6 written by people and 2 by the model; what is new
is kept if it has 4 to 150 words, none of some key words, and a ROUGE-L below 0.7 to all in the pool.

Departures:
- The pool is looked up by an index; the code compares each with all.
- No question whether it is a classification, and no input apart from the instruction: a task is one message.
- What asks nothing new in other words (``instar.leaks``), which ROUGE misses, is dropped by the run.
- The last task of a reply that was cut is left out, where the paper drops the reply.
"""

from __future__ import annotations

import asyncio
import random
import re
import string
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.acquire.tasks.rouge import RougeIndex, words_of
from instar.protocols import Create, Created, Model, Models, Refused
from instar.records import Finish, Message, Objective, Reply, Role, Sampling, Task, hash_of
from instar.similarity import normalised

BEGINS = "Come up with a series of tasks:"
TOO_SHORT = "it has 3 words or fewer"
TOO_LONG = "it has more than 150 words"
KEY_WORD = "it asks for what a text cannot give (a picture, a file, a map ...)"
PROGRAM = 'it begins with "Write a program"'
PUNCTUATION = "it begins with punctuation"
NOT_ASCII = "it begins with no ASCII character"
LIKE = "it is too like a task of the pool (ROUGE-L above 0.7)"
CUT = "the reply was cut in the middle of it"
SAYS_NOTHING = "the reply has no task"

KEY_WORDS = ("image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps", "draw",
             "plot", "go to")  # fmt: skip
"""The code's list, English alone."""
_KEY = re.compile(rf"\b(?:{'|'.join(KEY_WORDS)})\b", re.IGNORECASE)
_NEXT = re.compile(r"\n\s*Task\s+\d+\s*[:.]|\n\s*\d+[.)]\s")
AT_ONCE = 16


def unfit(instruction: str) -> str | None:
    """Why an instruction is refused whatever else there is; None where it is not."""
    words = instruction.split()
    if len(words) <= 3:
        return TOO_SHORT
    if len(words) > 150:
        return TOO_LONG
    if _KEY.search(instruction):
        return KEY_WORD
    if instruction.startswith("Write a program"):
        return PROGRAM
    if instruction[0] in string.punctuation:
        return PUNCTUATION
    return None if instruction[0].isascii() else NOT_ASCII


class SelfInstruct(Create):
    """Asks ``models["self"]`` to go on with a list of ``people`` tasks that were given and ``own`` that it made, until
    there are as many new ones as the objectives want, or ``tries`` times as many asks were made.

    Sources whose ``source`` begins with this operator's name are its own. ``rouge``: what is above is too like another.
    The made tasks have no key: their answers can be voted on or judged, not verified.
    """

    name: ClassVar[str] = "self_instruct"

    called: str = "instructed"
    people: int = Field(default=6, ge=1, le=32)
    own: int = Field(default=2, ge=0, le=32)
    rouge: float = Field(default=0.7, gt=0, lt=1)
    tries: float = Field(default=2.0, gt=0, le=100)
    sampling: Sampling = Sampling(temperature=0.7, top_p=0.5, max_tokens=256)

    async def __call__(
        self, objectives: Sequence[Objective], sources: Sequence[Task], seen: Sequence[Task], models: Models
    ) -> Sequence[Created | Refused]:
        model = models["self"]
        wanted = sum(o.tasks for o in objectives)
        pool = RougeIndex((t.question for t in (*sources, *seen)), self.rouge)
        said, new, asked, most = list[Created | Refused](), 0, 0, max(1, round(wanted * self.tries))
        while new < wanted and asked < most:
            asks = min(AT_ONCE, most - asked, -(-(wanted - new) // 4))
            picked = [self._examples(objectives, sources, asked + i) for i in range(asks)]
            asked += asks
            for shown, reply in zip(picked, await self._asked(model, picked), strict=True):
                for found in instructions(reply):
                    why = found if found in (CUT, SAYS_NOTHING) else unfit(found)
                    if why is None and pool.like(found) is not None:
                        why = LIKE
                    if why is not None:
                        said.append(Refused(why))
                    elif new < wanted:
                        new += 1
                        pool.add(found)
                        task = made_task(found, self.called, self.name, objectives[0].id)
                        said.append(Created(task, tuple(dict.fromkeys(t.id for t in shown))))
        return said

    def _examples(self, objectives: Sequence[Objective], sources: Sequence[Task], place: int) -> list[Task]:
        """What one prompt shows: of people's tasks and its own, by lot, in any order."""
        luck = random.Random(hash_of("shown", [o.id for o in objectives], place))
        mine = [t for t in sources if t.source.startswith(self.name)]
        theirs = [t for t in sources if not t.source.startswith(self.name)]
        own = luck.sample(mine, min(self.own, len(mine)))
        shown = [*own, *luck.sample(theirs, min(self.people + self.own - len(own), len(theirs)))]
        luck.shuffle(shown)
        return shown

    async def _asked(self, model: Model, picked: Sequence[Sequence[Task]]) -> list[Reply]:
        prompts = [_prompt(shown) for shown in picked]
        replies = await asyncio.gather(*(model.ask([p], sampling=self.sampling) for p in prompts))
        return [r for (r,) in replies]


def _prompt(shown: Sequence[Task]) -> Message:
    lines = [f"Task {i}: {' '.join(t.question.split())}" for i, t in enumerate(shown, start=1)]
    return Message(role=Role.user, content="\n".join([BEGINS, "", *lines, f"Task {len(shown) + 1}:"]))


def instructions(reply: Reply) -> list[str]:
    """The tasks that a reply goes on with, each on one line; ``CUT`` for the last of a reply that was cut."""
    text = re.sub(r"^\s*(?:Task\s+\d+\s*[:.]|\d+[.)]\s)", "", reply.text)
    found = [" ".join(part.split()) for part in _NEXT.split(text)]
    if reply.finish is Finish.length and found:
        found[-1] = CUT
    return [x for x in found if x] or [SAYS_NOTHING]


def made_task(instruction: str, ability: str, source: str, objective: str) -> Task:
    """A task that a model wrote as one message, without a key."""
    return Task(
        messages=(Message(role=Role.user, content=instruction),), ability=ability, source=source, objective=objective,
        canonical=f"text:{normalised(instruction)}", difficulty=float(len(words_of(instruction))),
    )  # fmt: skip
