"""A tool checks the answer; where it disagrees, the model is shown what the tool found, criticises and answers again.

Paper: Gou et al., *CRITIC: Large Language Models Can Self-Correct with Tool-Interactive Critiquing*, arXiv 2305.11738,
algorithm 1. With the tool taken away the same prompts gained +2.1 to -1.8 points there: the tool is what decides.

Departures:
- The answer is text, and the tool works the question out anew: a calculator, which is given the calculation, or Python,
  which is given a program. (The paper's model answers mathematics *with* a program, and the interpreter runs it.)
  Calculations are read token by token and programs run in the sandbox: docs/design/0003-untrusted-code.md.
- A tool that found nothing is said out loud: the answer stays as it is, flagged ``no_evidence``. In the paper's code a
  failed program becomes the text "None" in the prompt, and the critique goes on.
- Where the tool agrees, no critique is asked for: the paper's code always asks, and always rewrites.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import ClassVar, Literal

from pydantic import Field

from instar.protocols import Correct, Model, Models
from instar.records import Experience, Sampling, Solution, Strategy, Task
from instar.refine.corrections.dialogue import NO_EVIDENCE, UNRESOLVED, Dialogue
from instar.refine.corrections.findings import Evidence, Finding, by_calculator, by_python, crossing, value_of
from instar.sandbox import open_sandbox
from instar.sandbox.room import Kind

REQUESTS = {
    "calculator": "Check the result with a calculator: write the calculation that the problem asks for as one line "
    "for the calculator, without its result.",
    "python": "Check the result with Python: write a short program, in a code block, that works out what the problem "
    "asks for and prints the result.",
}
"""What is asked for each tool."""
_NAMES = {"calculator": "calculator", "python": "program"}
_TOKENS = {"calculator": 32, "python": 256}


class Critic(Correct):
    """Tool, critique, answer, by ``models["self"]``, at most ``rounds`` times (the paper: 4 for mathematics, 3 for QA).

    Ends when the tool agrees with the answer; when the answer is the same twice running, the answer then most voted for
    (flagged ``unresolved``: the tool still disagrees); when the tool has no evidence (``no_evidence``, ``unresolved``);
    or when the rounds are over: the last answer is not checked again and is ``unresolved``.

    Greedy throughout, as in the paper. ``tolerance``: how far result and answer may differ. ``tool_request``: None is
    the one for the tool. ``{tool}`` and ``{finding}`` in a request stand for the tool's name and for what it found.
    ``seconds``: processor time of a program.

    Raises:
        SandboxError: the tool is python, and this machine has no sandbox, or only a weaker one and ``allow_weaker`` is
            not set.
    """

    name: ClassVar[str] = "critic"

    tool: Literal["calculator", "python"] = "calculator"
    rounds: int = Field(default=4, ge=1)
    tolerance: float = Field(default=1e-3, ge=0, allow_inf_nan=False)
    tool_sampling: Sampling | None = None
    """Of what is written for the tool; None is greedy, 32 tokens for a calculation and 256 for a program."""
    critique_sampling: Sampling = Sampling(temperature=0.0, max_tokens=128)
    sampling: Sampling = Sampling(temperature=0.0, max_tokens=256)
    tool_request: str | None = None
    critique_request: str = "{finding}\n\nWhat is the problem with the answer above?"
    rewrite_request: str = "Here is what the {tool} found: {finding}\n\nWrite a better answer to the problem."
    seconds: float = Field(default=2.0, gt=0, le=600, allow_inf_nan=False)
    sandbox: Kind = "auto"
    allow_weaker: bool = False

    def prepare(self, tasks: Mapping[str, Sequence[Task]]) -> None:
        """Raises SandboxError where the tool is python, and this machine has no sandbox for it."""
        if self.tool == "python":
            open_sandbox(self.sandbox, allow_weaker=self.allow_weaker)

    async def __call__(self, experience: Experience, models: Models) -> Sequence[Solution]:
        talk = Dialogue(experience, models["self"])
        writing = self.tool_sampling or Sampling(temperature=0.0, max_tokens=_TOKENS[self.tool])
        flags: tuple[str, ...] = (UNRESOLVED,)
        for _ in range(self.rounds):
            answer = value_of(talk.latest.text)
            asked = await talk.ask(self.tool_request or REQUESTS[self.tool], writing)
            found = await self._checked(asked.text, answer, models["self"])
            talk.note(found.said)
            if found.evidence is not Evidence.disagrees:
                flags = () if found.evidence is Evidence.agrees else (NO_EVIDENCE, UNRESOLVED)
                break
            await talk.critique(self._filled(self.critique_request, found), self.critique_sampling)
            rewritten = await talk.rewrite(self._filled(self.rewrite_request, found), self.sampling)
            if value_of(rewritten.text) == answer:
                break
        return [talk.ended(talk.latest, *flags, strategy=Strategy.interactive)]

    async def _checked(self, call: str, answer: Fraction | None, model: Model) -> Finding:
        if self.tool == "calculator":
            return by_calculator(call, answer, self.tolerance)

        async def work() -> list[str]:
            return list(await by_python(
                call, answer, self.tolerance, seconds=self.seconds, kind=self.sandbox, allow_weaker=self.allow_weaker
            ))  # fmt: skip

        # what a program printed is said again when the run is resumed: it may draw lots
        evidence, said = await crossing(model, "tool", {"tool": "python", "given": call, "answer": str(answer)}, work)
        return Finding(Evidence(evidence), said)

    def _filled(self, request: str, found: Finding) -> str:
        return request.replace("{tool}", _NAMES[self.tool]).replace("{finding}", found.said)
