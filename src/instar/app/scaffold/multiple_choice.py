"""Rows of a multiple choice: which columns hold the options and the right one, and options that no question shows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from instar.acquire.tasks import nested
from instar.acquire.tasks.asking import asked
from instar.acquire.tasks.layouts import CONTEXTS, QUESTIONS, Form, question_column
from instar.acquire.tasks.marks import mark_of
from instar.acquire.tasks.options import (
    BESIDE,
    CHOICES,
    INDEXES,
    NotSo,
    counted_from,
    options_in,
    options_of,
    parsed,
    plainly,
    wrong_columns,
    wrong_in,
)
from instar.acquire.tasks.spelled import right_of, scored
from instar.acquire.tasks.table import cut
from instar.acquire.tasks.turns import beside
from instar.app.scaffold.column_names import IDS, SORTS, SURELY, Rows, answer_of, named, varies, with_values
from instar.app.scaffold.kinds import kind_of
from instar.errors import ConfigError
from instar.extract import is_number
from instar.extract.quantities import is_amount

_SHORT = 100
"""Characters of most options, at most: longer ones are passages, or a better and a worse reply."""
_NUMBERED = re.compile(r"(.*?)[ _-]?\d{1,2}")


def choices_of(
    rows: Rows, columns: Counter[str], options: str, question: str | None, answer: str | None, path: Path
) -> Form | None:
    """How a multiple choice is read; None where the answers are none of the options. Raises ConfigError where nobody
    can say which column has the question."""
    taken = {nested.root(rows[0], options)} | {c for c in columns if options.endswith("*") and _stem(c) == options}
    beside = options.rpartition(".")[0]
    told = [nested.part(row, options) if options else None for row in rows]
    by_name = [v for v in map(parsed, told) if isinstance(v, Mapping) and scored(v)]
    gold = answer or (_beside_marks(columns, taken) if 2 * len(by_name) > len(rows) else None)
    says_nothing = len(by_name) >= SURELY and len(by_name) == len(rows) and all(v == by_name[0] for v in by_name)
    gold = gold or (options if options and not says_nothing and _marked(rows, options) else None)
    gold = gold or next((f"{beside}.labels" for row in rows[:1] if nested.holds(row, f"{beside}.labels")), None)
    gold = gold or _index_column(c for c, n in columns.items() if n and c not in taken)
    gold = gold or _index_column(c for c in with_values(rows) if c not in taken)
    sure = gold is not None and not all(isinstance(v, str) for v in told)  # "extra cheese, large" may be no options
    sure = sure and (gold == options or 2 * len(by_name) <= len(rows))  # nor may {"shuffle": true, "several": false}
    sure = sure and (gold == options or plainly(options) != "choice")
    gold = gold or answer_of({c: n for c, n in columns.items() if c not in taken})
    if gold is None:
        raise ConfigError(
            f"{path} has options in {options or 'columns of their own'!r} and no column that looks like the right one; "
            f"it has {named(rows, columns)}.",
            "Name it: --answer COLUMN.",
        )
    stem = next((n for n in (f"{beside}.stem", f"{beside}.text") if beside and nested.holds(rows[0], n)), None)
    left = {c: n for c, n in columns.items() if c not in taken and c != gold}
    asks = question or stem or question_column(left)
    if asks is None:
        texts = [c for c in left if plainly(c) not in (*IDS, *CONTEXTS) and varies(rows, c) and not _is_option(c)]
        asks = texts[0] if len(texts) == 1 else None
    if asks is None:
        raise ConfigError(
            f"{path} has options in {options or 'columns of their own'!r} and no column that looks like the question; "
            f"it has {named(rows, columns)}.",
            "Name it: --question COLUMN.",
        )
    form = Form("choices", asks, gold, options, first=counted_from(rows, gold, options))
    said = [one for row in rows if (one := _letter(row, form)) is not None]
    if not sure and 2 * len(said) < len(rows):
        return None
    return replace(form, mixed=len(said) >= SURELY and len(set(said)) == 1)


def unusual(rows: Rows, columns: Counter[str]) -> tuple[str, str] | None:
    """The columns with options and with the right one's number or letter, where the options are not called so:
    ReClor's four ``answers`` with a ``label``. Numbers alone say little, so the options must then be called answers."""
    gold = _index_column(c for c, n in columns.items() if n) or _index_column(with_values(rows))
    if gold is None:
        return None
    answered = [row for row in rows if row.get(gold) is not None]
    for column in columns:
        if column == gold:
            continue
        each = [options_of(row.get(column)) for row in answered]
        if not all(each) or any(isinstance(row.get(column), str) for row in answered):
            continue
        most = [len(options or ()) for options in each]
        said = [str(row.get(gold)).strip().removesuffix(".0") for row in answered]
        letters = all(re.fullmatch(r"\(?[A-J]\)?\.?", s) for s in said)
        letters = letters and all(ord(s.strip("().")) - ord("A") < n for s, n in zip(said, most, strict=True))
        called = plainly(column) in ("answers", "responses", "solutions", "candidates")
        letters = letters and (called or len(set(most)) == 1)  # tags, which are as many as there happen to be
        numbers = called and all(s.isdigit() and int(s) <= n for s, n in zip(said, most, strict=True))
        if (letters or numbers) and (len(set(said)) > 1 or len(rows) == 1):
            return column, gold
    return None


def beside_wrong(rows: Rows, columns: Counter[str], question: str | None, answer: str | None) -> Form | None:
    """How rows are read that hold the right answer and, in columns of their own, wrong ones (SciQ, GPQA); None where
    some row has none, or where they are no options: texts in one cell, long ones, worked ones, numbers."""
    if not (name := wrong_columns(columns)):
        return None
    full = [c for c in columns if all(row.get(c) not in (None, "") for row in rows)]
    full = [c for c in full if any(len(str(row[c])) > 1 for row in rows)]  # a letter may be that of another's option
    gold = (
        answer or next((c for c in full if plainly(c) == "correctanswer"), None) or answer_of(columns, question or "")
    )
    if gold is None or not ("answer" in plainly(gold) or plainly(gold) in ("solution", "target", "gold")):
        return None
    asks = question or question_column({c: n for c, n in columns.items() if c != gold})
    answered = [row for row in rows if nested.part(row, gold) not in (None, "")]
    if asks is None or 2 * len(answered) <= len(rows):
        return None
    form = Form("choices", asks, gold, f"{BESIDE}{name}", mixed=True)
    try:
        each = [options_in(row, form.choices, gold) or [] for row in answered]
    except NotSo:
        return None
    cells = [v for row in answered if isinstance(v := parsed(row.get(name)), str)]
    if any(plainly(name).endswith("s") or re.search(r"[;|\n\t]", v) for v in cells):
        return None
    right, wrong = [options[0][1] for options in each], [t for row in answered for t in wrong_in(row, name)]
    long = max(median(map(len, right)), median(map(len, wrong))) > _SHORT
    counted = kind_of([str(nested.part(row, asks)) for row in answered], right, gold).kind in ("number", "code")
    if long or counted or mark_of(right) or all(is_number(t) or is_amount(t) for t in right):
        return None
    return form


def not_shown(rows: Rows, asks: str, gold: str) -> tuple[str, ...]:
    """A sentence where the answers seem to count or to name something that no row shows. It may be a label as well, so
    it is said and not refused."""
    for c in dict.fromkeys(k for row in rows for k in row):
        held = [row[c] for row in rows if row.get(c) not in (None, "")] if plainly(c) in CHOICES and c != gold else []
        if 2 * len(held) > len(rows):
            seen = "none of its options is the answer" if any(map(options_of, held)) else "no options are told in it"
            return (f"{c!r} is not shown: {seen} ({cut(repr(held[0]), 60)})",)
    pictured = [column for row in rows if (column := beside(row))]
    if 2 * len(pictured) > len(rows):
        return (f"what {pictured[0]!r} holds is not shown, since a model is shown texts alone",)
    said = [str(nested.part(row, gold)).strip().removesuffix(".0") for row in rows]
    questions = [str(nested.part(row, asks)) for row in rows]
    if all(re.fullmatch(r"\(?[A-J]\)?\.?", s) for s in said) and len(set(said)) > 1:
        shown = sum(bool(re.search(r"(?:^|[\s(])A[.):]", q)) for q in questions)
        if 2 * shown <= len(rows):
            return (
                f"the answers in {gold!r} are letters, and no options A, B, ... stand in {asks!r}: if they are letters "
                "of options, these are not shown",
            )
    if plainly(gold) not in INDEXES or not all(s.isdigit() for s in said):
        return ()
    about = {stem[1] for c in (asks, *CONTEXTS, *QUESTIONS) if (stem := _NUMBERED.fullmatch(c))} | set(QUESTIONS)
    groups: dict[str, list[str]] = {}
    for column in rows[0]:
        stem = _NUMBERED.fullmatch(column)
        if stem and stem[1] and plainly(stem[1]) not in about and column not in (asks, gold) and _texts(rows, column):
            groups.setdefault(stem[1], []).append(column)
    for names in groups.values():
        if len(names) > 1 and all(int(s) <= len(names) for s in said):
            listed = ", ".join(map(repr, names))
            return (f"{listed} are not shown: if {gold!r} says which of them is right, call them option1, option2",)
    return ()


def _beside_marks(columns: Counter[str], taken: set[str]) -> str | None:
    """The column with the answer beside options that are the names of marks, which may be but codes or settings."""
    found = answer_of({c: n for c, n in columns.items() if c not in taken})
    return None if found is None or plainly(found) in SORTS else found


def _marked(rows: Rows, options: str) -> bool:
    """Whether in most rows the options themselves say which of them is right."""
    return 2 * sum(_says_which(nested.part(row, options)) for row in rows) > len(rows)


def _says_which(options: Any) -> bool:
    try:
        return right_of(options) is not None
    except NotSo:
        return False  # its scores do not say it: a column may


def _letter(row: Mapping[str, Any], form: Form) -> str | None:
    try:
        return asked(row, form).golds[0]
    except NotSo:
        return None


def _is_option(column: str) -> bool:
    return re.fullmatch(r"(?:option|choice|opt|op|ans|answer|选项)?([a-h]|[0-8])", plainly(column)) is not None


def _stem(column: str) -> str:
    return re.sub(r"\d{1,2}$", "", column) + "*"


def _index_column(columns: Iterable[str]) -> str | None:
    named = list(columns)
    return next((c for name in INDEXES for c in named if plainly(c) == name), None)


def _texts(rows: Rows, column: str) -> bool:
    return varies(rows, column) and not all(is_number(str(row.get(column))) for row in rows)
