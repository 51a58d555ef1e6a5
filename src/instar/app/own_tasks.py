"""A user's own JSONL read with patience: what is in it, what is wrong with it, and the sizes that would fit it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

from instar.acquire.tasks.canonical import canonical
from instar.acquire.tasks.table import Twice, check_file, no_file, once
from instar.errors import ConfigError, DataError
from instar.evaluate.intervals import smallest_detectable
from instar.extract import is_number
from instar.legible import why_not

QUESTIONS = ("question", "prompt", "problem", "input", "instruction", "query")
ANSWERS = ("answer", "solution", "target", "output", "label", "expected", "response", "gold")
FEWEST = 40
"""Distinct tasks below which no exam could tell a gain from chance."""
TWO_ROUNDS = 400
"""Distinct tasks from which two rounds are worth their gates."""
FEWEST_GUARDED = 50
"""Gate items of an ability below which its guard (no drop of more than 15 points) refuses too much. With 50, of which a
fifth change, an ability that stays as good passes in about two of three cases; with fewer than 18, in none."""
LARGEST_GATE = 400
"""Gate items a round that guards may cost."""


@dataclass(frozen=True)
class Reading:
    """What a file holds. ``rows`` counts all lines but empty ones, ``tasks`` the distinct questions of usable ones;
    ``bad`` has a sentence a bad line; ``ability`` is the column that says what a task is about, if there is one."""

    path: Path
    rows: int
    tasks: int
    duplicates: int
    question: str
    answer: str
    ability: str | None
    abilities: Mapping[str, int]
    bad: tuple[str, ...]
    checker: str
    why_checker: str
    longest_answer: int
    sample: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fit:
    """Sizes that fit a number of tasks: ``train`` and ``gate`` are per round. ``guarded``: whether the gate can also
    guard each ability on its own."""

    rounds: int
    train: int
    dev: int
    gate: int
    sealed: int
    guarded: bool
    gate_detects: float
    """The smallest true gain, in points, that a round's gate shows in four of five runs, if it changes a third of the
    items (evaluate.intervals.smallest_detectable, which the gate itself states)."""
    detects: float
    """The same of the sealed set."""


def read_tasks(path: Path, *, question: str | None = None, answer: str | None = None) -> Reading:
    """Read every line, keep going after bad ones. Raises DataError if nothing can be used, ConfigError for a column
    that no row has."""
    check_file(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = [
                line.rstrip("\n") for line in file
            ]  # as a run reads it: str.splitlines also breaks at what JSON may hold in a text
    except FileNotFoundError:
        raise no_file(path) from None
    except UnicodeDecodeError as e:
        raise DataError(f"{path} is not UTF-8 text ({e.reason} at byte {e.start}).", "Save it as UTF-8.") from None
    except OSError as e:
        raise DataError(f"{path} cannot be read: {e.strerror}.", "Give the path of a JSONL file.") from None
    rows, bad = _objects(lines)
    if not rows:
        first = f" The first problem: {bad[0]}." if bad else ""
        raise DataError(f"{path} holds no JSON object.{first}", 'One a line: {"question": "...", "answer": "..."}')
    columns = Counter(k for _, row in rows for k in row)
    asked = _column(question, QUESTIONS, columns, "question", path)
    gold = _column(answer, ANSWERS, columns, "answer", path)
    usable = []
    for number, row in rows:
        problem = _problem(row, asked, gold)
        if problem:
            bad.append(f"line {number}: {problem}")
        else:
            usable.append(row)
    if not usable:
        raise DataError(f"none of the {len(rows)} rows of {path} can be used: {bad[0]}.", "Mend the file.")
    distinct = {canonical(row[asked], row): row for row in usable}
    checker, why = _checker([str(r[gold]) for r in distinct.values()])
    ability = "ability" if "ability" in columns else None
    named = [r.get("ability") for r in distinct.values()]
    abilities = Counter(path.stem if a in (None, "") else str(a) for a in named)  # as a run's tasks name it
    return Reading(
        path=path, rows=sum(bool(x.strip()) for x in lines), tasks=len(distinct),
        duplicates=len(usable) - len(distinct), question=asked, answer=gold, ability=ability,
        abilities=dict(abilities), bad=tuple(bad),
        checker=checker, why_checker=why, longest_answer=max(len(str(r[gold])) for r in distinct.values()),
        sample=usable[0],
    )  # fmt: skip


def fit(tasks: int, abilities: Mapping[str, int] | None = None) -> Fit:
    """Sizes for this many distinct tasks, of these abilities.

    Three tenths are sealed (at most 330), as many are for the gates (at most 150 a round, or what the guards of all
    abilities need), the rest to learn from. One round below ``TWO_ROUNDS``: shared by two, the gate would show too
    little. Raises DataError below ``FEWEST``: an exam on so few shows nothing.
    """
    if tasks < FEWEST:
        raise DataError(
            f"{tasks} distinct tasks are too few to learn from and to examine on.",
            f"At least {FEWEST}; 200 show a gain of 21 points, 1,000 one of 9.",
        )
    rounds = 2 if tasks >= TWO_ROUNDS else 1
    sealed = min(330, 3 * tasks // 10)
    fewest = min(abilities.values()) / sum(abilities.values()) if abilities else 1.0
    needed = ceil(FEWEST_GUARDED / fewest)
    gate = min(needed if 150 < needed <= LARGEST_GATE else 150, 3 * tasks // 10 // rounds)
    train = min(360, (tasks - sealed - gate * rounds) // rounds)
    # with one ability the gain is its own guard
    guarded = len(abilities or ()) > 1 and gate >= needed
    shows = [100 * smallest_detectable(n, 1 / 3) for n in (gate, sealed)]
    return Fit(rounds, train, 0, gate, sealed, guarded, *shows)


def _objects(lines: Sequence[str]) -> tuple[list[tuple[int, dict[str, Any]]], list[str]]:
    rows: list[tuple[int, dict[str, Any]]] = []
    bad: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, object_pairs_hook=once)
        except Twice as e:
            bad.append(f"line {number}: {e}")
            continue
        except (ValueError, RecursionError) as e:
            bad.append(f"line {number} is not JSON ({e})")
            continue
        if isinstance(value, dict):
            wrong = next(((k, why) for k, v in value.items() if (why := why_not(k) or why_not(v))), None)
            if wrong is None:
                rows.append((number, value))
            else:
                bad.append(f"line {number}: the column {wrong[0]!r:.80} {wrong[1]}")
        else:
            bad.append(f"line {number} is not a JSON object")
    return rows, bad


def _column(said: str | None, usual: Sequence[str], columns: Counter[str], what: str, path: Path) -> str:
    if said is not None:
        if said not in columns:
            raise ConfigError(f"no row of {path} has a column {said!r}.", f"The columns are: {', '.join(columns)}.")
        return said
    found = [c for c in usual if c in columns]
    if not found:
        raise ConfigError(
            f"{path} has no column that looks like the {what}; it has {', '.join(columns)}.",
            f"Name it: --{what} COLUMN.",
        )
    return max(found, key=lambda c: columns[c])


def _problem(row: Mapping[str, Any], question: str, answer: str) -> str | None:
    for column in (question, answer):
        if column not in row:
            return f"no column {column!r}"
    if not isinstance(row[question], str) or not row[question].strip():
        return f"the {question} is {row[question]!r:.60}, not a text"
    gold = row[answer]
    if isinstance(gold, bool) or not isinstance(gold, (str, int, float)) or gold != gold or gold == "":
        return f"the {answer} is {gold!r:.60}, not a text or a number"
    if answer != "answer" and "answer" in row:
        return f"it has the columns {answer!r} and 'answer'; one would hide the other"
    return None


def _checker(golds: Sequence[str]) -> tuple[str, str]:
    """The verifier that fits these gold answers, and why."""
    share = sum(is_number(g) for g in golds) / len(golds)
    if share == 1:
        return "numeric", "every gold answer is a number"
    if all(re.fullmatch(r"\(?[A-J]\)?\.?", g.strip()) for g in golds):
        return "choice", "every gold answer is one letter from A to J"
    formulas = sum(bool(re.search(r"\\[a-z]+|\^|\$", g)) or is_number(g) for g in golds)
    if formulas == len(golds):
        return "math", "the gold answers are formulas"
    return "exact", f"{share:.0%} of the gold answers are numbers, the others are words"
