"""A user's own JSONL read with patience: what is in it, what is wrong with it, and the config that would fit it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instar.acquire.tasks.canonical import canonical
from instar.errors import ConfigError, DataError
from instar.extract import is_number

QUESTIONS = ("question", "prompt", "problem", "input", "instruction", "query")
ANSWERS = ("answer", "solution", "target", "output", "label", "expected", "response", "gold")
FEWEST = 40
"""Distinct tasks below which no exam could tell a gain from chance."""


@dataclass(frozen=True)
class Reading:
    """What a file holds. ``tasks`` counts distinct questions of usable rows; ``bad`` has a sentence a bad line."""

    path: Path
    rows: int
    tasks: int
    duplicates: int
    question: str
    answer: str
    abilities: Mapping[str, int]
    bad: tuple[str, ...]
    checker: str
    why_checker: str
    longest_answer: int
    sample: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fit:
    """Sizes that fit a number of tasks: ``train`` and ``gate`` are per round."""

    rounds: int
    train: int
    dev: int
    gate: int
    sealed: int
    detects: float
    """The smallest true gain, in points, that the sealed set would show in four of five runs, roughly."""


def read_tasks(path: Path, *, question: str | None = None, answer: str | None = None) -> Reading:
    """Read every line, keep going after bad ones. Raises DataError if nothing can be used, ConfigError for a column
    that no row has."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except FileNotFoundError:
        raise DataError(f"there is no file {path}.", f"Relative paths are looked up from {Path.cwd()}.") from None
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
    abilities = Counter(str(r.get("ability") or path.stem) for r in distinct.values())
    return Reading(
        path=path, rows=len(rows), tasks=len(distinct), duplicates=len(usable) - len(distinct), question=asked,
        answer=gold, abilities=dict(abilities), bad=tuple(bad),
        checker=checker, why_checker=why, longest_answer=max(len(str(r[gold])) for r in distinct.values()),
        sample=usable[0],
    )  # fmt: skip


def fit(tasks: int) -> Fit:
    """Sizes for this many distinct tasks: a third sealed (at most 330), a sixth of it all for gates, the rest to learn
    from. Raises DataError below ``FEWEST``: an exam on so few shows nothing."""
    if tasks < FEWEST:
        raise DataError(
            f"{tasks} distinct tasks are too few to learn from and to examine on.",
            f"At least {FEWEST}; 200 show a gain of 15 points, 1,000 one of 8.",
        )
    sealed = min(330, tasks // 3)
    rounds = 2 if tasks >= 100 else 1
    gate = min(150, tasks // 6 // rounds)
    train = min(360, (tasks - sealed - gate * rounds) // rounds)
    # a paired difference with a third of the items changing has a standard error of sqrt(0.33 / n)
    return Fit(rounds, train, 0, gate, sealed, 100 * 2.8 * (0.33 / sealed) ** 0.5)


def config_text(reading: Reading, fit: Fit, *, recipe: str, model: str, checks: str) -> str:
    """The commented TOML. ``checks`` is the file the verifier is in, as the config names it."""
    judge = f"{checks}:is_right"
    tokens = min(512, max(48, reading.longest_answer + 24))
    path = json.dumps(str(reading.path))
    return f"""# Written by `instar init {reading.path.name}`. Everything here can be changed; nothing has been run.
# Check it and see what it will cost:   instar run THIS_FILE --dry-run

recipe = {json.dumps(recipe)}              # `instar recipes` lists the methods
model = {json.dumps(model)}      # `instar models` lists what can stand here
rounds = {fit.rounds}                       # each draws its share of train and gate anew
seed = 1

# What stands before every question. The verifier reads what follows "Answer:".
system = "Solve the problem. Write the result after 'Answer:'."

[tasks]
op = "jsonl"
path = {path}
question = {json.dumps(reading.question)}
answer = {json.dumps(reading.answer)}
# ability = "topic"              # a column that names what a task is about: gains are shown for each

# {reading.tasks} distinct tasks are split into disjoint sets. train and gate are per round.
[sizes]
train = {fit.train}
gate = {fit.gate}                       # decides whether a round's candidate takes over
sealed = {fit.sealed}                     # scored once, at the end: shows gains of about {fit.detects:.0f} points
dev = {fit.dev}

# Your verifier. The built-in ones are: auto, exact, numeric, choice, math
# ({reading.checker} would fit: {reading.why_checker}).
[judge]
op = "verify"
checker = {json.dumps(judge)}

[solve.sampling]
temperature = 0.7
top_k = 40
max_tokens = {tokens}

[exam.solve.sampling]
temperature = 0.0
max_tokens = {tokens}

# [budget]                       # the run stops cleanly at these and can be resumed
# seconds = 1800
# disk_gb = 5
"""


def checks_text(reading: Reading) -> str:
    """The verifier to begin with: the suggested rule, in words a user can change."""
    return _CHECKS[reading.checker].replace("SAMPLE", _comment(reading))


_HEAD = '''"""Your verifier. `is_right` gets the whole reply, and the row with its gold answer in "answer".

It returns True, False, or a number from 0 to 1. It runs in a process of its own: it may crash, loop or print.

A row of yours: SAMPLE
"""

import re


def answer_in(reply: str) -> str:
    """What follows the last "Answer:", or the whole reply."""
    return re.split(r"answer\\s*:", reply, flags=re.IGNORECASE)[-1].strip().rstrip(".")

'''
_CHECKS = {
    "numeric": _HEAD + '''
def is_right(reply: str, private: dict) -> bool:
    numbers = re.findall(r"-?\\d+(?:\\.\\d+)?", answer_in(reply).replace(",", ""))
    return bool(numbers) and abs(float(numbers[0]) - float(str(private["answer"]).replace(",", ""))) < 1e-6
''',
    "choice": _HEAD + '''
def is_right(reply: str, private: dict) -> bool:
    letter = re.search(r"\\b([A-Ja-j])\\b", answer_in(reply))
    return letter is not None and letter.group(1).upper() == private["answer"].strip(" ().").upper()
''',
    "exact": _HEAD + '''
def is_right(reply: str, private: dict) -> bool:
    return " ".join(answer_in(reply).casefold().split()) == " ".join(private["answer"].casefold().rstrip(".").split())
''',
    "math": _HEAD + '''
def is_right(reply: str, private: dict) -> bool:
    from math_verify import parse, verify

    gold = parse("$" + private["answer"].strip("$") + "$", parsing_timeout=None)
    return bool(verify(gold, parse(reply, parsing_timeout=None), timeout_seconds=None))
''',
}  # fmt: skip


def _objects(lines: Sequence[str]) -> tuple[list[tuple[int, dict[str, Any]]], list[str]]:
    rows: list[tuple[int, dict[str, Any]]] = []
    bad: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as e:
            bad.append(f"line {number} is not JSON ({e})")
            continue
        if isinstance(value, dict):
            rows.append((number, value))
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


def _comment(reading: Reading) -> str:
    """A row as it can stand in a docstring."""
    text = json.dumps(dict(reading.sample), ensure_ascii=True)[:300]
    return text.replace("\\", "\\\\").replace('"""', "'''")
