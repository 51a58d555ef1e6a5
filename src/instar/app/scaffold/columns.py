"""Which columns of a file hold what: the question, its answer, what is asked about, what the system says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from instar.acquire.tasks import nested
from instar.acquire.tasks.asking import asked
from instar.acquire.tasks.layouts import Form, context_column, layout_of, question_column
from instar.acquire.tasks.marks import mark_of
from instar.acquire.tasks.options import BESIDE, NotSo, plainly
from instar.app.scaffold.column_names import IDS, MOST_NAMED, SURELY, Rows, answer_of, filled, named
from instar.app.scaffold.in_text import lettered_answers
from instar.app.scaffold.multiple_choice import beside_wrong, choices_of, not_shown, unusual
from instar.app.scaffold.no_tasks import (
    PAIRS,
    escaped,
    judged_unseen,
    refuse_lists,
    refuse_lost_header,
    refuse_marked,
    refuse_numberless,
    refuse_pairs,
    refuse_programs,
    refuse_squad,
    refuse_title,
    refuse_trees,
)
from instar.errors import ConfigError, DataError
from instar.extract import is_number

_SYSTEM = ("systemprompt", "systemmessage", "system")
_NOBODYS = {"nan", "na", "n/a", "null", "<na>", "nil", "missing", "tbd"}
"""What is written for no value; not "None", which is what a row without one is read as."""
_ONE_A_ROW = 'Write a file with one question and one answer in each row: {"question": "...", "answer": "..."}'


def form_of(
    rows: Rows, question: str | None, answer: str | None, path: Path, names: Mapping[str, tuple[str, ...]],
    kind: str | None = None,
) -> tuple[Form, str, tuple[str, ...]]:  # fmt: skip
    """How these rows are read, what all of them are told alike, and what has to be said of that. ``names``: of the
    labels, by column; ``kind``: of the answers, where the user said one. Raises ConfigError and DataError."""
    columns = filled(rows)
    for said in (question, answer):
        if said is not None and not any(nested.holds(row, said) for row in rows):
            raise ConfigError(f"no row of {path} has a column {said!r}.", f"The columns are: {named(rows, columns)}.")
    refuse_squad(rows, path)
    if question is None and answer is None:
        refuse_title(rows, columns, path)
        refuse_trees(rows, path)
        refuse_lost_header(rows, columns, path)
    form, told, notes = _form(rows, columns, question, answer, path, kind)
    if form.layout in ("columns", "alpaca", "choices"):
        form = replace(form, system=_system(rows, columns, form))
    if form.layout in ("columns", "choices") and question in (None, question_column(columns)):
        context, note = _context(rows, columns, form)
        form, notes = replace(form, context=context), (*notes, *note)
    if form.layout == "columns":
        form = replace(form, labels=names.get(form.answer, ()))
        form = replace(form, without=_without(rows, form, path))
        form = lettered_answers(rows, form, path)
        refuse_lists(rows, form)
        if question is None:  # whoever names the question has looked at it
            refuse_numberless(rows, form, path)
    if answer is None:
        refuse_marked(rows, form)
    return form, told, (*notes, *escaped(rows, form))


def _form(
    rows: Rows, columns: Counter[str], question: str | None, answer: str | None, path: Path, kind: str | None
) -> tuple[Form, str, tuple[str, ...]]:
    layout, column = layout_of(rows) or ("columns", "")
    layout = "columns" if column.startswith(BESIDE) and column not in columns else layout
    if layout in ("sharegpt", "messages", "verl") and question in (None, column):
        mark = mark_of([_last_said(row, layout, column) for row in rows])
        return Form(layout, column, "answer", mark=mark), "", ()
    if layout == "choices" and (made := choices_of(rows, columns, column, question, answer, path)) is not None:
        return made, "", ()
    if layout == "alpaca" and question is None:
        gold = answer or answer_of(columns, column)
        given = next((c for c in columns if plainly(c) in ("input", "context")), None)
        if gold is not None:
            mark = mark_of([row.get(gold) for row in rows])
            told = {row.get(column) for row in rows if isinstance(row.get(column), str)}
            if given and len(told) == 1 < len(rows) and all(str(row.get(given) or "").strip() for row in rows):
                return Form("columns", given, gold, mark=mark), str(next(iter(told))).strip(), ()
            return Form("alpaca", column, gold, mark=mark), "", ()
    if layout == "columns" and (found := unusual(rows, columns)) is not None and answer in (None, found[1]):
        options, gold = found
        made = choices_of(rows, columns, options, question, gold, path)
        if made is not None:
            return made, "", ()
    may_choose = kind == "choice" or (kind is None and answer is None)
    if layout == "columns" and may_choose and (made := beside_wrong(rows, columns, question, answer)) is not None:
        return made, "", ()
    asks, gold = _columns(rows, columns, question, answer, path)
    notes = not_shown(rows, asks, gold) or judged_unseen(rows, asks, gold)
    return Form("columns", asks, gold, mark=mark_of([nested.part(row, gold) for row in rows])), "", notes


def _last_said(row: Mapping[str, Any], layout: str, column: str) -> Any:
    try:
        return asked(row, Form(layout, column)).golds[0]
    except NotSo:
        return None


def _columns(
    rows: Rows, columns: Counter[str], question: str | None, answer: str | None, path: Path
) -> tuple[str, str]:
    """The columns with question and answer: by their names, or as there are but two of texts. Raises ConfigError."""
    gold = answer or _that_differs(rows, columns, question or "")
    asks = question or question_column({c: n for c, n in columns.items() if c != gold})
    if question is None and (asks is None or plainly(asks) in PAIRS):
        refuse_pairs(columns, path)
    if asks is None or gold is None:
        refuse_programs(rows, columns, path)
        texts = [
            c for c in columns if c not in (asks, gold) and all(isinstance(r.get(c), (str, int, float)) for r in rows)
        ]
        texts = [c for c in texts if plainly(c) not in (*IDS, *_SYSTEM)]
        length = {c: sum(len(str(r.get(c))) for r in rows) for c in texts}
        if asks is None and gold is None and len(texts) == 2:
            asks, gold = sorted(texts, key=lambda c: -length[c])
        elif gold is None and asks is not None and len(texts) == 1:
            gold = texts[0]
        elif asks is None and gold is not None and len(texts) == 1:
            asks = texts[0]
    for what, found, other in (("question", asks, gold), ("answer", gold, asks)):
        if found is None:
            raise ConfigError(
                f"{path} has no column that looks like the {what}; it has {named(rows, columns)}.",
                _hint(rows, what, other),
            )
    assert asks is not None
    assert gold is not None
    return asks, gold


def _that_differs(rows: Rows, columns: Counter[str], question: str) -> str | None:
    """The column with the answer; where it is the same word in all rows, a label beside it that isn't (Prodigy's
    "answer" is but "accept")."""
    first = found = _named_label(rows, columns, answer_of(columns, question))
    left = dict(columns)
    while found is not None and len(rows) >= SURELY and len({repr(nested.part(row, found)) for row in rows}) == 1:
        if is_number(str(nested.part(rows[0], found))):
            return first
        del left[found]
        found = answer_of(left, question)
    return found if found is not None and columns[found] and (found == first or "label" in plainly(found)) else first


def _named_label(rows: Rows, columns: Counter[str], found: str | None) -> str | None:
    """The column with the answer; of a label and its "label_text" the label, where the latter is what is labelled."""
    left = Counter({c: n for c, n in columns.items() if c != found})
    other = answer_of(left)
    if found is None or other is None or plainly(found) not in ("labeltext", "labelname"):
        return found
    pairs = {(repr(row.get(other)), repr(row.get(found))) for row in rows}
    named = all(row.get(found) not in (None, "") for row in rows if row.get(other) not in (None, ""))
    names_it = plainly(other) != "label" or (named and len(pairs) == len({label for label, _ in pairs}))
    return found if names_it and question_column(left) is not None else other


def _hint(rows: Rows, what: str, other: str | None) -> str:
    """What can be done where a column is not told: name it, if there is one that could be it."""
    fit = Counter(name for row in rows for name in nested.leaves(row) if name != other and plainly(name) not in IDS)
    fit = Counter({name: n for name, n in fit.items() if 2 * n > len(rows)})
    if len(rows) == 1 and len(fit) > MOST_NAMED:
        return f"Its one object has a key a row, it seems. {_ONE_A_ROW}"
    if len(fit) < (1 if other else 2):
        return f"No column is left that could be it. {_ONE_A_ROW}"
    if other is None and len(fit) == 2:
        one, two = fit
        return f"Name both: --question {one} --answer {two}, or the other way round."
    inside = next((name for name in fit if name not in rows[0]), None)
    return f"Name it: --{what} COLUMN." + (f" One inside a nested column is written {inside}." if inside else "")


def _system(rows: Rows, columns: Iterable[str], form: Form) -> str:
    """The column whose text is the system's. One that is but called "system" may hold anybody's words of one: what
    holds single words is none."""
    for c in columns:
        if plainly(c) not in _SYSTEM or c in (form.question, form.answer):
            continue
        said = [v for row in rows if isinstance(v := row.get(c), str) and v.strip()]
        if said and (plainly(c) != "system" or median(len(v.split()) for v in said) > 3):
            return c
    return ""


def _context(rows: Rows, columns: Counter[str], form: Form) -> tuple[str, tuple[str, ...]]:
    """The column that the questions are asked about, and what has to be said of one that cannot be shown."""
    used = (form.question, form.answer, form.choices) if form.layout == "choices" else (form.question, form.answer)
    taken = {nested.root(rows[0], name) for name in used}
    found = context_column({c: n for c, n in columns.items() if c not in taken}, form.question)
    held = [row[found] for row in rows if row.get(found) is not None] if found else []
    if not found or not held or any(isinstance(v, str) for v in held):
        return found, ()
    if sum(bool(nested.whole(v)) for v in held) > len(held) / 2:
        return f"{found}{nested.ALL}", ()
    return "", (f"{found!r} is not shown, since it holds no text that is told how to show",)


def _for_none(golds: Sequence[str]) -> tuple[str, ...]:
    """What stands for an empty cell among numbers: pandas' "nan", a dash. Among words it may be an answer."""
    found = dict.fromkeys(g for g in golds if g.casefold() in _NOBODYS or (g and not g.strip("-\u2013\u2014?")))
    others = [g for g in golds if g not in found]
    return tuple(found) if found and 2 * len(others) > len(golds) and all(map(is_number, others)) else ()


def _without(rows: Rows, form: Form, path: Path) -> tuple[str, ...]:
    """What stands among the labels for no label: the number -1 beside 0, 1, 2, ..., or a dash beside words (SNLI's own
    file). Beside 0 and 1 alone, or -2, or a plus, it may be a label itself (negative, neutral, positive)."""
    if none := _for_none([str(nested.part(row, form.answer)).strip() for row in rows]):
        return none
    if not form.labels and plainly(form.answer) not in ("label", "labels", "class", "goldlabel"):
        return ()
    said = {str(nested.part(row, form.answer)).strip().removesuffix(".0") for row in rows}
    others = said - {"-1"}
    if "-1" in said and not others and len(rows) >= SURELY:
        raise DataError(
            f"every {form.answer} of {path} is -1: nobody gave these rows a label.",
            "Give a file with labels; of a data set's parts it's the test part that has none.",
        )
    if "-" in said and len(said) > 2 and all(len(s) > 1 and s.isalpha() for s in said - {"-"}):
        return ("-",)
    if "-1" in said and form.labels:
        return ("-1",)
    if "-1" in said and len(others) > 2 and others == {str(i) for i in range(len(others))}:
        return ("-1",)
    return ()
