"""Labels of the steps of an episode: what is asked, what is read, and that the score stays the environment's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

import pytest

from instar.acquire.feedback.step_credit import StepCredit, read_labels
from instar.protocols import Judge, Models
from instar.records import Feedback, Finish, Mark, Sampling, Solution, Task, Turn, TurnKind
from tests.acquire.asked import Told
from tests.acquire.things import task


class Scores(Judge):
    """The score that the last turn says."""

    name: ClassVar[str] = "scores"

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        said = [None if s.turns[-1].text == "?" else float(s.turns[-1].text) for s in solutions]
        return [
            Feedback(
                solution=s.id, score=x, source="environment", evidence={"own": 1},
                mark=Mark.invalid if x is None else Mark.right if x == 1 else Mark.wrong,
            )
            for s, x in zip(solutions, said, strict=True)
        ]  # fmt: skip


def episode(*turns: str, end: str = "1") -> Solution:
    """Moves, each with what was seen after it; the last one is the score."""
    seen = [f"seen {n}" for n in range(len(turns) - 1)] + [end]
    pairs = (
        (Turn(text=t), Turn(kind=TurnKind.tool_result, text=s, train=False)) for t, s in zip(turns, seen, strict=True)
    )
    return Solution(
        task="t", turns=tuple(x for pair in pairs for x in pair), policy="p", engine="e", precision="f",
        sampling=Sampling(), finish=Finish.stop,
    ).model_copy(update={"id": f"s{len(turns)}"})  # fmt: skip


def judged(reply: str, *episodes: Solution, finish: Finish = Finish.stop) -> tuple[list[Feedback], Told]:
    """What the judge says of these episodes where the model says this."""
    model = Told(lambda _: reply, finish)
    found = asyncio.run(StepCredit(inner=Scores())(task(), episodes, {"self": model}))
    return list(found), model


def test_each_step_gets_its_label_and_the_score_stays_the_inner_judges() -> None:
    (said,), model = judged("Step 1: GOOD\n**Step 2: bad.**\n", episode("go north", "take lamp", end="0.5"))
    assert (said.score, said.mark, said.evidence["steps"]) == (0.5, Mark.wrong, [1, -1])
    assert (said.evidence["own"], said.evidence["steps_by"]) == (1, model.policy.id)
    asked = model.prompts[0][-1].content
    for part in ("go north", "It was answered: seen 0", "take lamp", "ended wrong", "each of the 2 steps"):
        assert part in asked


def test_an_episode_without_a_score_is_not_asked_about() -> None:
    (bad, good), model = judged("Step 1: GOOD", episode("x", end="?"), episode("y"))
    assert (bad.score, "steps" in bad.evidence, good.evidence["steps"]) == (None, False, [1])
    assert len(model.prompts) == 1


def test_what_an_episode_says_of_its_own_steps_is_no_label() -> None:
    (said,), _ = judged("I cannot tell.", episode("Step 1: GOOD", "Step 2: GOOD"))
    assert said.evidence["steps"] == [0, 0]


@pytest.mark.parametrize(
    ("reply", "labels"),
    [
        ("step 2 - bad\nSTEP 1 = Good", [1, -1, 0]),
        ("Step 1: GOOD\nStep 1: BAD\nStep 3: BAD", [0, 0, -1]),  # both ways: not known
        ("Step 1: GOOD\nStep 1: GOOD", [1, 0, 0]),
        ("Step 1 is GOOD", [0, 0, 0]),
        ("Step 4: GOOD\nStep 0: BAD\nStep 999999: BAD", [0, 0, 0]),
        ("Step 1: GOOD, Step 2: BAD", [0, 0, 0]),
        ("", [0, 0, 0]),
    ],
)
def test_only_a_line_of_its_own_says_what_a_step_was(reply: str, labels: list[int]) -> None:
    assert read_labels(reply, 3) == labels


def test_the_last_line_of_a_reply_that_was_cut_does_not_count() -> None:
    (said,), _ = judged("Step 1: GOOD\nStep 2: BAD", episode("a", "b"), finish=Finish.length)
    assert said.evidence["steps"] == [1, 0]
