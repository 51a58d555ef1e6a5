"""A user's own rows read with patience: what is in them, what is wrong with them, and the sizes that would fit them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any, cast

from instar.acquire.tasks.canonical import canonical
from instar.acquire.tasks.jsonl import Jsonl
from instar.acquire.tasks.layouts import (
    INDEXES,
    Asked,
    Form,
    Layout,
    NotSo,
    answer_column,
    asked,
    context_column,
    counted_from,
    layout_of,
    mark_of,
    plainly,
    question_column,
)
from instar.acquire.tasks.rows import AnyRows, rows_of
from instar.acquire.tasks.table import Table
from instar.app.scaffold.kinds import Kind, OfKind, chinese, kind_of
from instar.errors import ConfigError, DataError
from instar.evaluate.intervals import smallest_detectable
from instar.extract import is_number
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
    """Read every row, keep going after bad ones. Raises DataError if nothing can be used, ConfigError for a column
    that no row has."""
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
        first = f" The first problem: {bad[0]}." if bad else ""
        raise DataError(f"{path} holds no JSON object.{first}", 'One a line: {"question": "...", "answer": "..."}')
    form, instruction = _form([row for _, row in rows], question, answer, path)
    usable: list[tuple[dict[str, Any], Asked]] = []
    for number, row in rows:
        try:
            usable.append((row, asked(row, form)))
        except NotSo as e:
            bad.append(f"{unit} {number}: {e}")
    if not usable:
        raise DataError(f"none of the {len(rows)} rows of {path} can be used: {bad[0]}.", "Mend the file.")
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
        worked={key: _worked(row, one, form, kind_found) for key, (row, one) in distinct.items()},
    )  # fmt: skip


def _content(one: Asked, row: Mapping[str, Any]) -> str:
    """What a row asks, as its task will have it."""
    if one.before:
        return canonical("\n".join([*(text for role, text in one.before if role != "system"), one.question]))
    return canonical(one.question, row)


def _worked(row: Mapping[str, Any], one: Asked, form: Form, found: OfKind) -> str:
    """The answer as an example shows it: of a number the result after "Answer:", and before it how it is found."""
    if found.kind != "number":
        return one.golds[0]
    result = f"答案\uff1a{one.golds[0]}" if chinese([one.question]) else f"Answer: {one.golds[0]}"
    whole = row.get(form.answer) if form.layout in ("columns", "alpaca") and form.mark else None
    if not isinstance(whole, str):
        return result
    steps = re.sub(r"<<[^<>]*>>", "", whole if form.mark in ("boxed", "number") else whole.rpartition(form.mark)[0])
    return f"{steps.strip()}\n{result}" if steps.strip() else result


def _is_plain(path: Path, unit: str, form: Form, usable: Sequence[tuple[Mapping[str, Any], Asked]]) -> bool:
    """Whether every row is one that the source jsonl takes: it knows no layouts, lists or truth values as answers."""
    if path.suffix.casefold() != ".jsonl" or unit != "line" or form != Form(question=form.question, answer=form.answer):
        return False
    if form.answer != "answer" and any("answer" in row for row, _ in usable):
        return False
    return all(
        isinstance(row[form.answer], (str, int, float)) and not isinstance(row[form.answer], bool)
        and one.golds == (str(row[form.answer]),)
        for row, one in usable
    )  # fmt: skip


def _form(rows: Sequence[Mapping[str, Any]], question: str | None, answer: str | None, path: Path) -> tuple[Form, str]:
    """How these rows are read, and what all of them are told alike. Raises ConfigError."""
    columns = Counter(k for row in rows for k in row)
    for said in (question, answer):
        if said is not None and said not in columns:
            raise ConfigError(f"no row of {path} has a column {said!r}.", f"The columns are: {', '.join(columns)}.")
    layout, column = layout_of(rows) or ("columns", "")
    if layout in ("sharegpt", "messages", "verl") and question in (None, column):
        mark = mark_of([_last_said(row, layout, column) for row in rows]) if layout != "verl" else ""
        return Form(layout, column, "answer", mark=mark), ""
    if layout == "choices":
        asks = question or question_column({c: n for c, n in columns.items() if c != column})
        gold = answer or _index_column(columns)
        if asks is not None and gold is not None:
            return Form("choices", asks, gold, column, first=counted_from(rows, gold, column)), ""
    if layout == "alpaca" and question is None:
        gold = answer or answer_column({c: n for c, n in columns.items() if c != column})
        given = next((c for c in columns if plainly(c) in ("input", "context")), None)
        if gold is not None:
            mark = mark_of([row.get(gold) for row in rows])
            told = {row.get(column) for row in rows if isinstance(row.get(column), str)}
            if given and len(told) == 1 < len(rows) and all(str(row.get(given) or "").strip() for row in rows):
                return Form("columns", given, gold, mark=mark), str(next(iter(told))).strip()
            return Form("alpaca", column, gold, mark=mark), ""
    asks, gold = _columns(rows, columns, question, answer, path)
    context = context_column(columns, asks) if question is None else ""
    return Form("columns", asks, gold, mark=mark_of([row.get(gold) for row in rows]), context=context), ""


def _last_said(row: Mapping[str, Any], layout: str, column: str) -> Any:
    try:
        return asked(row, Form(layout, column)).golds[0]
    except NotSo:
        return None


def _index_column(columns: Counter[str]) -> str | None:
    return next((c for name in INDEXES for c in columns if plainly(c) == name), None)


def _columns(
    rows: Sequence[Mapping[str, Any]], columns: Counter[str], question: str | None, answer: str | None, path: Path
) -> tuple[str, str]:
    """The columns with question and answer: by their names, or as there are but two of texts. Raises ConfigError."""
    gold = answer or answer_column({c: n for c, n in columns.items() if c != question})
    asks = question or question_column({c: n for c, n in columns.items() if c != gold})
    if asks is None or gold is None:
        texts = [
            c for c in columns if c not in (asks, gold) and all(isinstance(r.get(c), (str, int, float)) for r in rows)
        ]
        texts = [c for c in texts if plainly(c) not in ("id", "index", "idx", "no", "nr", "编号", "序号")]
        length = {c: sum(len(str(r.get(c))) for r in rows) for c in texts}
        if asks is None and gold is None and len(texts) == 2:
            asks, gold = sorted(texts, key=lambda c: -length[c])
        elif gold is None and asks is not None and len(texts) == 1:
            gold = texts[0]
        elif asks is None and gold is not None and len(texts) == 1:
            asks = texts[0]
    for what, found in (("question", asks), ("answer", gold)):
        if found is None:
            raise ConfigError(
                f"{path} has no column that looks like the {what}; it has {', '.join(columns)}.",
                f"Name it: --{what} COLUMN.",
            )
    assert asks is not None
    assert gold is not None
    return asks, gold


def source_of(reading: Reading) -> Table:
    """The source that reads these rows in a run."""
    form = reading.form
    if reading.plain:
        return Jsonl(path=str(reading.path), question=form.question, answer=form.answer)
    return AnyRows(
        path=str(reading.path), layout=cast(Layout, form.layout), question=form.question, answer=form.answer,
        choices=form.choices, mark=form.mark, context=form.context, first=form.first,
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
    formulas = sum(bool(re.search(r"\\[a-z]+|\^|\$", g)) or is_number(g) for g in golds)
    if formulas == len(golds):
        return "math", "the gold answers are formulas"
    return "exact", f"{share:.0%} of the gold answers are numbers, the others are words"
