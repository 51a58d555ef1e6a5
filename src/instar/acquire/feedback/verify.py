"""Judge by checking: extract the answer, compare it with the gold answer or run a verifier, in a killable process."""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from instar.acquire.feedback.checkers import NAMED, Scored, check_all
from instar.acquire.feedback.pool import Done, shared
from instar.errors import ConfigError
from instar.extract import How, extract, is_number
from instar.neighbours import text_of, with_neighbours
from instar.protocols import Judge, Models, anywhere
from instar.records import Feedback, Mark, Solution, Task

CHECKERS = ("auto", *NAMED)


class Verify(Judge):
    """Right means full credit (score 1); less is wrong with its score; a checker that failed is invalid, without one.

    ``checker``: ``exact``, ``numeric``, ``choice``, ``math`` (math-verify: formulas, sets, intervals),
    ``reasoning_gym``, ``function_call`` (the right calls of functions, as BFCL tells it), or your own function, such as
    ``my_checks.py:is_right``, which gets the whole reply and the task's private data and returns a bool or a number
    from 0 to 1. ``auto`` is reasoning_gym for its tasks, numeric where the gold answer is a number, else exact.
    ``tolerance`` is numeric's largest absolute difference.

    ``seconds`` is for all solutions of one task. If they do not come back, each is checked alone for its share of that
    time (at least a second), so that one odd answer does not cost its neighbours their score.

    Raises:
        ConfigError: an unknown checker; a file or function that is not there, naming what is.
    """

    name: ClassVar[str] = "verify"

    checker: str = "auto"
    extract: How = "auto"
    seconds: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    tolerance: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    @field_validator("checker")
    @classmethod
    def _there(cls, value: str) -> str:
        if ":" in value or value.endswith(".py"):
            _check_function(value)
        elif value not in CHECKERS:
            close = difflib.get_close_matches(value, CHECKERS, n=1)
            raise ConfigError(
                f"There is no checker {value!r}.",
                (f"Did you mean {close[0]}? " if close else "")
                + f"There are {', '.join(CHECKERS)}, or your own function as my_checks.py:is_right.",
            )
        return value

    def own_source(self) -> str:
        """This class and, for a user's function, the file it is in and what that imports from beside it: what it calls
        decides as much as it does."""
        own = inspect.getsource(type(self))
        return own + with_neighbours(_path(self.checker).resolve()) if ":" in self.checker else own

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        checker = self._checker_for(task.private)
        gold = task.private.get("answer")
        # some families have no gold answer: their verifier takes any text
        shape = str(gold) if gold is not None else "" if checker == "reasoning_gym" else None
        # these read the whole reply themselves: the last number of \boxed{\frac{1}{2}} is 2
        whole = checker in ("math", "function_call") and self.extract == "auto"
        how: How = "text" if whole else self.extract
        answers = [extract(s.text, how, shape) for s in solutions]
        users = ":" in checker
        texts = [s.text if users else a or "" for s, a in zip(solutions, answers, strict=True)]
        places = [i for i, answer in enumerate(answers) if users or answer is not None]
        scores = dict(zip(places, await self._check(checker, [texts[i] for i in places], task.private), strict=True))
        return [
            self._feedback(solution, answers[i], scores.get(i, Scored(0.0, "no answer found")), checker)
            for i, solution in enumerate(solutions)
        ]

    def _checker_for(self, private: Mapping[str, Any]) -> str:
        if self.checker != "auto":
            return self.checker
        if all(key in private for key in ("family", "settings", "seed", "index")):
            return "reasoning_gym"
        gold = private.get("answer")
        return "numeric" if gold is not None and is_number(str(gold)) else "exact"

    async def _check(self, checker: str, texts: Sequence[str], private: Mapping[str, Any]) -> list[Scored]:
        if not texts:
            return []
        work = checker if ":" not in checker else f"{_path(checker).resolve()}:{checker.rpartition(':')[2]}"
        data = dict(private)
        result = await shared().run(check_all, work, list(texts), data, self.tolerance, seconds=self.seconds)
        if isinstance(result, Done):
            return list(result.value)
        if len(texts) == 1:
            return [Scored(None, result.reason)]
        share = max(min(1.0, self.seconds), self.seconds / len(texts))
        scores: list[Scored] = []
        for text in texts:  # one after the other: a task that crashes its checker must not hold every worker
            alone = await shared().run(check_all, work, [text], data, self.tolerance, seconds=share)
            scores.append(alone.value[0] if isinstance(alone, Done) else Scored(None, alone.reason))
        return scores

    def _feedback(self, solution: Solution, answer: str | None, scored: Scored, checker: str) -> Feedback:
        mark = Mark.invalid if scored.score is None else Mark.right if scored.score == 1.0 else Mark.wrong
        evidence = {"checker": anywhere(checker)} | ({"printed": scored.printed} if scored.printed else {})
        return Feedback(
            solution=solution.id,
            score=scored.score,
            mark=mark,
            source="verifier",
            comment=scored.reason,
            answer=answer,
            evidence=evidence,
        )


def _path(checker: str) -> Path:
    path = Path(checker.rpartition(":")[0])
    try:
        return path.expanduser()
    except RuntimeError:  # ~nobody: there is no such file either
        return path


def _check_function(checker: str) -> None:
    """Refuse a file or function that is not there, without running the file. Raises ConfigError."""
    file, _, function = checker.rpartition(":")
    if not file.endswith(".py") or not function:
        raise ConfigError(f"{checker!r} does not name a function.", "Write it as my_checks.py:is_right.")
    path = _path(checker)
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.py")) if path.parent.is_dir() else []
        raise ConfigError(
            f"There is no file {path}.",
            f"{path.parent.resolve()} has {', '.join(near[:10]) or 'no Python files'}.",
        )
    try:
        tree = ast.parse(text_of(path))
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{path} is not valid Python: {error}.", "Mend the file.") from error
    there = {n.name: n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))}
    bound = {a.asname or a.name for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom)) for a in n.names}
    bound |= {t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
    if function not in there and function not in bound:
        raise ConfigError(f"{path} has no function {function!r}.", f"It has {', '.join(there) or 'no functions'}.")
    if isinstance(there.get(function), ast.AsyncFunctionDef):
        raise ConfigError(
            f"{function} in {path} is an async function.", "Make it a plain one: checkers run in a process."
        )
