"""Planted answers to programming tasks: the reference program, ways of being wrong, and the tests learnt by heart.

Nothing is run here: what each program is worth is known from how it is made.

- Good: the task's reference solution.
- Bad, one of three a task: a body that computes nothing; one that prints the right answer and then raises; one that
  ends the process with exit code 0, which a runner that believes exit codes takes for success.
- Right for a wrong reason: a table of the results that the visible tests show. By those it is right; hidden tests are
  there to say what it is worth.

Where tests can be met by doing nothing (they all only ask that something is false, say) a bad program could pass: such
a task tests nothing, and the audit then says so.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from instar.records import Task, Worth

_SHORT = ("Here is the function.\n{}", "I write it like this:\n{}", "Done.\n{}", "This is a short one.\n{}")
_LONG = (
    "Let me take the question apart: what goes in, what has to come out, and which cases there are in between. Then I "
    "write the function down, and this is it.\n{}",
    "First I read carefully what the function is given and what it returns. Then I write it, and then I go through it "
    "once more before I hand it in.\n{}",
    "I look at what is asked for, think of a simple way to do it, and look whether it holds at the borders too. This "
    "is the function that comes of it.\n{}",
)


def reference_of(task: Task) -> str | None:
    """The reference program of a task: an answer that is Python and defines a function its tests call. None for a task
    without hidden tests, or whose answer is a value or a formula."""
    tests, answer = task.private.get("tests"), task.private.get("answer")
    if not isinstance(tests, Mapping) or not tests.get("hidden") or not isinstance(answer, str):
        return None
    try:
        body = ast.parse(answer).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    defined = {n.name for n in body if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))}
    return answer.strip() if defined & set(names_of(task)) else None


def names_of(task: Task) -> list[str]:
    """The functions that a task's tests call."""
    return [str(n) for n in task.private.get("names", ())]


def programs(task: Task, reference: str, place: int) -> dict[Worth, str]:
    """The replies to plant for a task, by worth. ``place`` among the planted tasks: wrong kinds, and who is long, take
    turns by it. Without a visible test that shows what a call gives, none is right for a wrong reason."""
    long, short = _LONG[place // 2 % len(_LONG)], _SHORT[place // 2 % len(_SHORT)]
    good, bad = (long, short) if place % 2 else (short, long)
    wrong = WRONG[place % len(WRONG)](reference, names_of(task))
    found = {Worth.good: good.format(_fenced(reference)), Worth.bad: bad.format(_fenced(wrong))}
    table = by_heart(task)
    return found | ({Worth.wrong_reason: short.format(_fenced(table))} if table else {})


def idle(reference: str, names: Sequence[str]) -> str:
    """It computes nothing."""
    return "\n\n".join(f"def {name}(*given, **named):\n    return None" for name in names)


def prints_and_raises(reference: str, names: Sequence[str]) -> str:
    """The right answer is on stdout; the call fails."""
    parts = (
        f"_{n} = {n}\n\ndef {n}(*given, **named):\n    print(_{n}(*given, **named))\n    raise RuntimeError('done')"
        for n in names
    )
    return "\n\n".join([reference, *parts])


def exits_early(reference: str, names: Sequence[str]) -> str:
    """Its process ends, as if all were well, before there is an answer."""
    return "\n\n".join(["import os", *(f"def {n}(*given, **named):\n    os._exit(0)" for n in names)])


WRONG: tuple[Callable[[str, Sequence[str]], str], ...] = (idle, prints_and_raises, exits_early)


def by_heart(task: Task) -> str | None:
    """A program that knows the results of the visible tests (``assert f(...) == ...`` with plain values) and nothing
    else. None where no test is of this form, or shows a call without arguments: that is then all there is to know."""
    known: dict[str, list[tuple[tuple[Any, ...], Any]]] = {name: [] for name in names_of(task)}
    for text in task.private.get("tests", {}).get("visible", ()):
        match _parsed(str(text)):
            case [
                ast.Assert(
                    test=ast.Compare(
                        left=ast.Call(func=ast.Name(id=name), args=given, keywords=[]),
                        ops=[ast.Eq()],
                        comparators=[value],
                    )
                )
            ] if name in known and given:
                try:
                    known[name].append((tuple(ast.literal_eval(a) for a in given), ast.literal_eval(value)))
                except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                    continue
    if not any(known.values()):
        return None
    parts = []
    for name, rows in known.items():
        lines = [f"    if given == {given!r}:\n        return {value!r}" for given, value in rows]
        parts.append("\n".join([f"def {name}(*given):", *lines, "    return None"]))
    return "\n\n".join(parts)


def _parsed(test: str) -> list[ast.stmt]:
    try:
        return ast.parse(test).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _fenced(program: str) -> str:
    return f"```python\n{program}\n```"
