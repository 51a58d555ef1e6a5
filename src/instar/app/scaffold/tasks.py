"""A user's own rows read with patience: what is in them, what is wrong with them, and the sizes that would fit them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any, cast

from instar.acquire.tasks.asking import Asked, asked
from instar.acquire.tasks.canonical import canonical
from instar.acquire.tasks.jsonl import Jsonl
from instar.acquire.tasks.layouts import Form, Layout
from instar.acquire.tasks.marks import steps
from instar.acquire.tasks.nested import part
from instar.acquire.tasks.options import NotSo, plainly
from instar.acquire.tasks.rows import AnyRows, label_names, left_out, rows_of
from instar.acquire.tasks.table import Table
from instar.acquire.tasks.turns import earlier
from instar.app.scaffold.columns import form_of
from instar.app.scaffold.kinds import Kind, OfKind, chinese, formulas, kind_of
from instar.errors import DataError
from instar.evaluate.intervals import smallest_detectable
from instar.extract import is_number
from instar.extract.quantities import is_amount
from instar.legible import why_not

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
    form: Form = field(default_factory=Form)
    unit: str = "line"
    plain: bool = True
    """Whether the source ``jsonl`` reads it as it is."""
    found: OfKind = field(default_factory=lambda: OfKind("extract", ""))
    instruction: str = ""
    """What all rows are told alike: it goes before the question once, as the system's text."""
    constant: tuple[str, float] = ("", 0.0)
    """The answer that most rows have, and their share."""
    several: bool = False
    """Whether some row has more than one answer that counts."""
    own_system: bool = False
    """Whether rows bring a system's text of their own."""
    unlabelled: int = 0
    """Rows that are left out, since their answer says that nobody gave one."""
    notes: tuple[str, ...] = ()
    """What has to be said of how the rows are read: a column that is not shown, say."""
    worked: Mapping[str, str] = field(default_factory=dict)
    """By canonical content: the answer as an example shows it, with how it is worked out where the row says."""


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


def read_tasks(
    path: Path, *, question: str | None = None, answer: str | None = None, kind: Kind | None = None
) -> Reading:
    """Read every row, keep going after bad ones. Raises DataError if nothing can be used or the file is no file of
    tasks, ConfigError for a column that no row has or that cannot be told."""
    unit, found = rows_of(path)
    rows: list[tuple[int, dict[str, Any]]] = []
    bad: list[str] = []
    for number, row in found:
        if isinstance(row, str):
            bad.append(f"{unit} {number}{row}")
        elif wrong := next(((k, why) for k, v in row.items() if (why := why_not(k) or why_not(v))), None):
            bad.append(f"{unit} {number}: the column {wrong[0]!r:.80} {wrong[1]}")
        else:
            rows.append((number, row))
    if not rows:
        raise _no_rows(path, bad)
    form, instruction, notes = form_of([row for _, row in rows], question, answer, path, label_names(path), kind)
    unlabelled = sum(left_out(row, form) for _, row in rows)
    usable: list[tuple[dict[str, Any], Asked]] = []
    for number, row in rows:
        if left_out(row, form):
            continue
        try:
            usable.append((row, asked(row, form)))
        except NotSo as e:
            bad.append(f"{unit} {number}: {e}")
    if not usable:
        raise DataError(f"none of the {len(rows)} rows of {path} can be used: {bad[0]}.", _mend(bad[0]))
    notes = (*notes, *_history(form, [row for row, _ in usable]))
    distinct = {_content(one, row): (row, one) for row, one in reversed(usable)}
    golds = [one.golds[0] for _, one in distinct.values()]
    kind_found = kind_of([one.question for _, one in distinct.values()], golds, form.answer, kind)
    checker, why = _checker_of(kind_found, golds)
    ability = "ability" if any("ability" in row for row, _ in usable) else None
    named = [row.get("ability") for row, _ in distinct.values()]
    abilities = Counter(path.stem if a in (None, "") else str(a) for a in named)  # as a run's tasks name it
    often, n = Counter(golds).most_common(1)[0]
    return Reading(
        path=path, rows=len(usable) + len(bad), tasks=len(distinct),
        duplicates=len(usable) - len(distinct), question=form.question, answer=form.answer, ability=ability,
        abilities=dict(abilities), bad=tuple(bad),
        checker=checker, why_checker=why, longest_answer=max(map(len, golds)),
        sample=usable[0][0], form=form, unit=unit, plain=_is_plain(path, unit, form, usable), found=kind_found,
        instruction=instruction, constant=(often, n / len(golds)),
        several=any(len(one.golds) > 1 for _, one in usable),
        own_system=any(role == "system" for _, one in usable for role, _ in one.before),
        unlabelled=unlabelled, notes=notes,
        worked={key: _worked(row, one, form, kind_found) for key, (row, one) in distinct.items()},
    )  # fmt: skip


def _no_rows(path: Path, bad: Sequence[str]) -> DataError:
    """The error for a file of which no row can be read."""
    if not bad:
        return DataError(f"{path} holds no rows.", 'One a line: {"question": "...", "answer": "..."}')
    said = f"no row of {path} can be read ({len(bad)} cannot). The first problem: {bad[0]}."
    if " cells, but the header has " in bad[0]:
        return DataError(said, 'Put such a text in quotes ("a, b"), or write a header with as many names as cells.')
    return DataError(said, 'One a line: {"question": "...", "answer": "..."}' if "JSON" in bad[0] else "Mend the file.")


def _mend(problem: str) -> str:
    """What can be done where no row can be used."""
    if "{" in problem:
        return (
            "A part of a nested column is named with a dot: --answer COLUMN.PART. Or write a file with one question "
            'and one answer in each row: {"question": "...", "answer": "..."}'
        )
    return "Mend the file, or name other columns: --question COLUMN --answer COLUMN."


def _content(one: Asked, row: Mapping[str, Any]) -> str:
    """What a row asks, as its task will have it."""
    if one.before:
        return canonical("\n".join([*(text for role, text in one.before if role != "system"), one.question]))
    return canonical(one.question, row)


def _history(form: Form, rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """A sentence where rows bring what was said before their question in a column of their own."""
    beside = form.layout in ("columns", "alpaca", "choices") and any(map(earlier, rows))
    column = next((k for row in rows for k in row if beside and plainly(k) == "history"), None)
    return (f"what was said in {column!r} goes before the question",) if column else ()


def _worked(row: Mapping[str, Any], one: Asked, form: Form, found: OfKind) -> str:
    """The answer as an example shows it: of a number the result after "Answer:", and before it how it is found."""
    if found.kind != "number":
        return one.golds[0]
    result = f"答案\uff1a{one.golds[0]}" if chinese([one.question]) else f"Answer: {one.golds[0]}"
    whole = part(row, form.answer) if form.layout in ("columns", "alpaca") and form.mark else None
    if not isinstance(whole, str):
        return result
    worked = re.sub(r"<<[^<>]*>>", "", steps(whole, form.mark)).strip()
    return f"{worked}\n{result}" if worked else result


def _is_plain(path: Path, unit: str, form: Form, usable: Sequence[tuple[Mapping[str, Any], Asked]]) -> bool:
    """Whether every row is one that the source jsonl takes: it knows no layouts, lists or truth values as answers, and
    nothing that was said before a question."""
    if path.suffix.casefold() != ".jsonl" or unit != "line" or form != Form(question=form.question, answer=form.answer):
        return False
    if any(form.question not in row or form.answer not in row for row, _ in usable):  # it knows no nested ones
        return False
    if form.answer != "answer" and any("answer" in row for row, _ in usable):
        return False
    return all(
        isinstance(row[form.answer], (str, int, float)) and not isinstance(row[form.answer], bool)
        and one.golds == (str(row[form.answer]),) and not one.before
        for row, one in usable
    )  # fmt: skip


def source_of(reading: Reading) -> Table:
    """The source that reads these rows in a run."""
    form = reading.form
    if reading.plain:
        return Jsonl(path=str(reading.path), question=form.question, answer=form.answer)
    return AnyRows(
        path=str(reading.path), layout=cast(Layout, form.layout), question=form.question, answer=form.answer,
        choices=form.choices, mark=form.mark, context=form.context, first=form.first,
        system=form.system, labels=form.labels, without=form.without, mixed=form.mixed,
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


def _checker_of(found: OfKind, golds: Sequence[str]) -> tuple[str, str]:
    """The verifier for answers of a kind, and why."""
    if found.kind == "classify":
        return "labels", f"exactly one of the {len(found.labels)} labels, and the right one"
    if found.kind == "free":
        return "words", "long texts: half of the words of the gold answer"
    if found.kind == "choice":
        return "choice", found.why
    return _checker(golds)


def _checker(golds: Sequence[str]) -> tuple[str, str]:
    """The verifier that fits these gold answers, and why."""
    share = sum(is_number(g) for g in golds) / len(golds)
    if share == 1:
        return "numeric", "every gold answer is a number"
    if all(re.fullmatch(r"\(?[A-J]\)?\.?", g.strip()) for g in golds):
        return "choice", "every gold answer is one letter from A to J"
    if all(is_number(g) or is_amount(g) for g in golds):
        return "exact", "the gold answers are numbers with a unit, which counts"
    if formulas(golds):
        return "math", "the gold answers are formulas"
    return "exact", f"{share:.0%} of the gold answers are numbers, the others are words"
