"""A model that says what it was told to, one reply after the other, and an answer for it to think about."""

from __future__ import annotations

from collections.abc import Sequence

from instar.records import (
    Experience,
    Finish,
    Message,
    Policy,
    Reply,
    Role,
    Sampling,
    Solution,
    Task,
    Turn,
    Weights,
)


class Scripted:
    """Says its lines in order; remembers what it was shown each time, and how it was sampled."""

    def __init__(self, *lines: str) -> None:
        weights = Weights(place="scripted", digest="d")
        self.policy = Policy(weights=weights, system="Be brief.").identified()
        self.lines, self.shown, self.sampled = list(lines), [], []

    async def ask(self, messages: Sequence[Message], *, n: int = 1, sampling: Sampling) -> list[Reply]:
        self.shown.append([(m.role.value, m.content) for m in messages])
        self.sampled.append(sampling)
        line = self.lines.pop(0)
        return [
            Reply(text=line, finish=Finish.stop, policy=self.policy.id, engine="fake", precision="f32",
                  token_ids=(len(line),), prompt_tokens=10, tokens=len(line.split()))
        ]  # fmt: skip

    def requests(self) -> list[str]:
        """The last message of each ask."""
        return [shown[-1][1] for shown in self.shown]


def draft(text: str = "3 + 4 is 8. Answer: 8", question: str = "What is 3 + 4?", task: str = "t") -> Experience:
    asked = Message(role=Role.user, content=question)
    return Experience(
        task=Task(id=task, messages=(asked,), ability="a", canonical=question, source="t", private={"answer": "gold"}),
        solution=Solution(
            id="s", task=task, turns=(Turn(text=text, token_ids=(1, 2)),), policy="drafter", engine="e", precision="p",
            sampling=Sampling(), finish=Finish.stop, tokens=100, prompt_tokens=100,
        ),
    )  # fmt: skip


def turns(solution: Solution) -> list[tuple[str, str, bool]]:
    return [(t.kind.value, t.text, t.train) for t in solution.turns]
