"""A program is run on the tests its author may see; what failed goes back to the model, which mends its own code.

Paper: Chen et al., *Teaching Large Language Models to Self-Debug*, arXiv 2304.05128, section 3: simple feedback, unit
tests, code explanation, execution trace; at most 10 turns, greedy.

Only visible tests have a say here. Whether the code is *right* is for the exam's hidden tests: visible ones are
overfitted.

Departures:
- Zero-shot; the paper shows worked examples of debugging.
- It ends too when the model hands back code it has handed in before: greedily, it would go round in a circle.
- The draft that passed most visible tests is the answer, the later one in a tie; the paper takes the last.
- Explanation and trace come with the failed test. (The paper also tries them where there are no tests at all; there
  the model decides alone whether its code is right, which is worth little.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from instar.errors import ConfigError
from instar.protocols import Correct, Judge, Models
from instar.records import Experience, Feedback, Mark, Sampling, Solution, Strategy
from instar.refine.corrections.dialogue import NO_EVIDENCE, UNRESOLVED, Dialogue
from instar.refine.corrections.self_refine import best

EXPLAIN = "Explain your code line by line, and compare what it does with what the problem asks for."
TRACE = "Trace the execution of your code on the failed test, step by step, with the value of each variable."


class SelfDebug(Correct):
    """Run, explain what failed, mend: by ``models["self"]``, at most ``turns`` times.

    ``tests`` judges a program by the tests that the model may see (``execution`` with ``tests = "visible"``): its
    comment and its evidence ``failed`` are put into the prompt, so it must not know of hidden ones.
    ``feedback`` says what the model is told:

    - ``simple``: that the code is wrong.
    - ``unit_test``: which test failed, and how.
    - ``explanation``: the same, after it has explained its code line by line.
    - ``trace``: the same, after it has traced the failed test.

    Ends when all visible tests pass; ``unresolved`` if they never do; ``no_evidence`` too if they could not be run.

    Raises:
        ConfigError: ``tests`` judges by hidden tests.
    """

    name: ClassVar[str] = "self_debug"

    tests: Judge
    feedback: Literal["simple", "unit_test", "explanation", "trace"] = "unit_test"
    turns: int = Field(default=10, ge=1)
    sampling: Sampling = Sampling(temperature=0.0, max_tokens=256)
    thinking: Sampling = Sampling(temperature=0.0, max_tokens=256)
    longest: int = Field(default=1_000, ge=100)
    """Characters of a test's failure that are shown."""
    failed_request: str = "Your code fails this test:\n{failure}"
    fix_request: str = "The code above is wrong. Please fix it, and write the whole code again."

    @field_validator("tests")
    @classmethod
    def _sees_no_hidden_test(cls, value: Judge) -> Judge:
        # by what its settings say, as phases do not know of each other
        if getattr(value, "tests", "visible") != "visible":
            raise ConfigError(
                f"self_debug would show the model what {value.name!r} says of hidden tests.",
                f'Let it be judged by the visible ones: {{op = "{value.name}", tests = "visible"}}.',
            )
        return value

    async def __call__(self, experience: Experience, models: Models) -> Sequence[Solution]:
        talk = Dialogue(experience, models["self"])
        flags: tuple[str, ...] = (UNRESOLVED,)
        seen = {talk.latest.text.strip()}
        for turn in range(self.turns + 1):
            said = await self._run(experience, talk, models)
            talk.latest.score = said.score
            if said.mark is Mark.right:
                return [talk.ended(talk.latest, strategy=Strategy.interactive)]
            if said.mark in (Mark.invalid, Mark.unscored):
                talk.note(f"The tests could not be run: {said.comment}"[: self.longest])
                flags = (NO_EVIDENCE, UNRESOLVED)
                break
            talk.note(failure_in(said, self.longest))
            if turn == self.turns:
                break
            before = len(talk.candidates)
            await self._mend(talk, failure_in(said, self.longest))
            if len(talk.candidates) == before or talk.latest.text.strip() in seen:
                break
            seen.add(talk.latest.text.strip())
        return [talk.ended(best(talk.candidates), *flags, strategy=Strategy.interactive)]

    async def _run(self, experience: Experience, talk: Dialogue, models: Models) -> Feedback:
        (said,) = await self.tests(experience.task, [talk.ended(talk.latest)], models)
        return said

    async def _mend(self, talk: Dialogue, failure: str) -> None:
        """One turn: what failed, if asked for the model's own thoughts on it, and the mended code."""
        failed = self.failed_request.replace("{failure}", failure)
        if self.feedback == "simple":
            await talk.rewrite(self.fix_request, self.sampling)
        elif self.feedback == "unit_test":
            await talk.rewrite(f"{failed}\n\n{self.fix_request}", self.sampling)
        else:
            think = EXPLAIN if self.feedback == "explanation" else TRACE
            await talk.critique(f"{failed}\n\n{think}", self.thinking)
            await talk.rewrite(self.fix_request, self.sampling)


def failure_in(said: Feedback, longest: int) -> str:
    """What a test said, in words for the model: the evidence ``failed`` where there is one, else the comment."""
    text = str(said.evidence.get("failed") or said.comment or "it gives a wrong result")
    return text if len(text) <= longest else text[: longest - 1] + "…"
