"""Models for the tests of judges: one that says what it is told, and the scripted one with the skills it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from instar.engines.scripted.engine import ScriptedEngine
from instar.records import Finish, Message, Policy, Reply, Sampling, hash_of
from instar.scripted_world import START, base_policy, weights_of


class Told:
    """Answers each prompt with what ``say`` makes of it, and keeps every prompt."""

    def __init__(self, say: Callable[[str], str | list[str]], finish: Finish = Finish.stop) -> None:
        self.policy = base_policy()
        self.say, self.finish = say, finish
        self.prompts: list[tuple[Message, ...]] = []

    async def ask(self, messages: Sequence[Message], *, n: int = 1, sampling: Sampling) -> list[Reply]:
        self.prompts.append(tuple(messages))
        said = self.say(messages[-1].content)
        texts = said if isinstance(said, list) else [said] * n
        assert len(texts) == n
        return [
            Reply(text=t, finish=self.finish, policy=self.policy.id, engine="told", precision="exact") for t in texts
        ]


class Scripted:
    """The scripted model, asked directly: the seed hangs on the prompt."""

    def __init__(self, **skills: float) -> None:
        self.policy = Policy(weights=weights_of({**START, **skills})).identified()
        self.engine = ScriptedEngine(parse_failures=0.0)

    async def ask(self, messages: Sequence[Message], *, n: int = 1, sampling: Sampling) -> list[Reply]:
        seed = int(hash_of("seed", [m.content for m in messages])[3:10], 16)
        return await self.engine.ask(self.policy, messages, n=n, sampling=sampling, seed=seed, precision="exact")
