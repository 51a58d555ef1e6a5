"""Small outcomes, reports and judged attempts for the tests of this room."""

from collections.abc import Sequence

from instar.evaluate.exams import items_digest
from instar.evaluate.report import make_report
from instar.records import (
    Exam,
    Experience,
    Feedback,
    Finish,
    Mark,
    Message,
    Outcome,
    Report,
    Role,
    Sampling,
    Solution,
    Task,
    Turn,
)

MARKS = {"1": Mark.right, "0": Mark.wrong, "x": Mark.invalid, "?": Mark.unscored}


def outcome(marks: str, answers: Sequence[str | None] | None = None, *, task: str = "t", **fields: object) -> Outcome:
    """``marks`` is one character a sample: 1 right, 0 wrong, x invalid, ? unscored."""
    said = tuple(answers) if answers is not None else tuple("7" if m == "1" else "9" for m in marks)
    base = {"ability": "add", "gold": "7", "tokens": (10,) * len(marks)}
    return Outcome.model_validate(
        {**base, "task": task, "marks": tuple(MARKS[m] for m in marks), "answers": said, **fields}
    )


def tasks_of(count: int, ability: str = "add") -> list[Task]:
    return [
        Task(
            id=f"{ability}{i}",
            messages=(Message(role=Role.user, content=f"{i} + 1 = ?"),),
            ability=ability,
            canonical=f"{ability}:{i}+1",
            source="test",
            private={"answer": i + 1},
        )
        for i in range(count)
    ]


def exam_of(tasks: Sequence[Task], n: int = 1, **fields: str) -> Exam:
    base = {"suite": "dev", "solve": "s", "judge": "j", "engine": "scripted", "precision": "exact"}
    return Exam.model_validate({**base, "items": items_digest(tasks), "n": n, **fields})


def attempt(task: Task, mark: str, index: int = 0, *, policy: str = "p", comment: str = "") -> Experience:
    answer = str(task.private["answer"]) if mark == "1" else "no"
    solution = Solution(
        id=f"{policy}/{task.id}/{index}",
        task=task.id,
        turns=(Turn(text=answer),),
        policy=policy,
        engine="scripted",
        precision="exact",
        sampling=Sampling(),
        finish=Finish.stop,
        tokens=5 + index,
    )
    scores = {"1": 1.0, "0": 0.0}
    feedback = Feedback(
        solution=solution.id,
        score=scores.get(mark),
        mark=MARKS[mark],
        source="verifier",
        comment=comment,
        answer=answer if mark in scores else None,
    )
    return Experience(task=task, solution=solution, feedback=feedback)


def report_of(policy: str, marks: dict[str, str]) -> Report:
    """A report with one sample an item: for each ability a string with one mark an item."""
    tasks = [t for ability, own in marks.items() for t in tasks_of(len(own), ability)]
    tried = [attempt(t, m, policy=policy) for t, m in zip(tasks, "".join(marks.values()), strict=True)]
    return make_report(policy, exam_of(tasks), tried, tasks)
