"""Which columns of a file hold what: the question, its answer, options, what is asked about, what the system says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from instar.acquire.tasks import nested
from instar.acquire.tasks.layouts import (
    ANSWERS,
    CONTEXTS,
    INDEXES,
    QUESTIONS,
    Form,
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
from instar.acquire.tasks.options import CHOICES, options_of
from instar.acquire.tasks.spelled import right_of
from instar.acquire.tasks.table import cut
from instar.acquire.tasks.turns import beside
from instar.app.scaffold.in_text import lettered_answers
from instar.errors import ConfigError, DataError
from instar.extract import is_number
from instar.legible import as_python, python_command

Rows = Sequence[Mapping[str, Any]]
MOST_NAMED = 12
"""Columns that a message names."""
SURELY = 20
"""Rows from which it is no chance that the right option always stands at one place."""
_IDS = ("id", "index", "idx", "no", "nr", "编号", "序号")
_SYSTEM = ("systemprompt", "systemmessage", "system")
_PAIRS = {"chosen", "rejected", "preferred", "dispreferred", "accepted"}
"""What the two answers of a pair of preferences are called."""
_SORTS = ("category", "topic", "section", "tag", "class")
"""Columns that may say what a row is about as well as what its answer is."""
_NUMBERED = re.compile(r"(.*?)[ _-]?\d{1,2}")
_ONE_A_ROW = 'Write a file with one question and one answer in each row: {"question": "...", "answer": "..."}'


def form_of(
    rows: Rows, question: str | None, answer: str | None, path: Path, names: Mapping[str, tuple[str, ...]]
) -> tuple[Form, str, tuple[str, ...]]:
    """How these rows are read, what all of them are told alike, and what has to be said of that. ``names``: of the
    labels, by column. Raises ConfigError and DataError."""
    columns = Counter(k for row in rows for k in row)
    for said in (question, answer):
        if said is not None and not any(nested.holds(row, said) for row in rows):
            raise ConfigError(f"no row of {path} has a column {said!r}.", f"The columns are: {_named(rows, columns)}.")
    _refuse_squad(rows, path)
    if question is None and answer is None:
        _refuse_lost_header(rows, columns, path)
    form, told, notes = _form(rows, columns, question, answer, path)
    if form.layout in ("columns", "alpaca", "choices"):
        form = replace(form, system=_system(rows, columns, form))
    if form.layout in ("columns", "choices") and question in (None, question_column(columns)):
        context, note = _context(rows, columns, form)
        form, notes = replace(form, context=context), (*notes, *note)
    if form.layout == "columns":
        form = replace(form, labels=names.get(form.answer, ()))
        form = replace(form, without=_without(rows, form, path))
        form = lettered_answers(rows, form, path)
        _refuse_numbers(rows, form)
    return form, told, notes


def _form(
    rows: Rows, columns: Counter[str], question: str | None, answer: str | None, path: Path
) -> tuple[Form, str, tuple[str, ...]]:
    layout, column = layout_of(rows) or ("columns", "")
    if layout in ("sharegpt", "messages", "verl") and question in (None, column):
        mark = mark_of([_last_said(row, layout, column) for row in rows])
        return Form(layout, column, "answer", mark=mark), "", ()
    if layout == "choices" and (made := _choices(rows, columns, column, question, answer, path)) is not None:
        return made, "", ()
    if layout == "alpaca" and question is None:
        gold = answer or _answer(columns, column)
        given = next((c for c in columns if plainly(c) in ("input", "context")), None)
        if gold is not None:
            mark = mark_of([row.get(gold) for row in rows])
            told = {row.get(column) for row in rows if isinstance(row.get(column), str)}
            if given and len(told) == 1 < len(rows) and all(str(row.get(given) or "").strip() for row in rows):
                return Form("columns", given, gold, mark=mark), str(next(iter(told))).strip(), ()
            return Form("alpaca", column, gold, mark=mark), "", ()
    if layout == "columns" and (found := _unusual(rows, columns)) is not None and answer in (None, found[1]):
        options, gold = found
        made = _choices(rows, columns, options, question, gold, path)
        if made is not None:
            return made, "", ()
    asks, gold = _columns(rows, columns, question, answer, path)
    notes = _not_shown(rows, asks, gold)
    return Form("columns", asks, gold, mark=mark_of([nested.part(row, gold) for row in rows])), "", notes


def _last_said(row: Mapping[str, Any], layout: str, column: str) -> Any:
    try:
        return asked(row, Form(layout, column)).golds[0]
    except NotSo:
        return None


# --- multiple choice --------------------------------------------------------------------------------------------------


def _choices(
    rows: Rows, columns: Counter[str], options: str, question: str | None, answer: str | None, path: Path
) -> Form | None:
    """How a multiple choice is read; None where the answers are none of the options. Raises ConfigError where nobody
    can say which column has the question."""
    taken = {nested.root(rows[0], options)} | {c for c in columns if options.endswith("*") and _stem(c) == options}
    beside = options.rpartition(".")[0]
    gold = answer or (options if options and _marked(rows, options) else None)
    gold = gold or next((f"{beside}.labels" for row in rows[:1] if nested.holds(row, f"{beside}.labels")), None)
    gold = gold or _index_column(c for c in columns if c not in taken)
    told = [nested.part(row, options) if options else None for row in rows]
    sure = gold is not None and not all(isinstance(v, str) for v in told)  # "extra cheese, large" may be no options
    gold = gold or _answer({c: n for c, n in columns.items() if c not in taken})
    if gold is None:
        raise ConfigError(
            f"{path} has options in {options or 'columns of their own'!r} and no column that looks like the right one; "
            f"it has {_named(rows, columns)}.",
            "Name it: --answer COLUMN.",
        )
    stem = next((n for n in (f"{beside}.stem", f"{beside}.text") if beside and nested.holds(rows[0], n)), None)
    left = {c: n for c, n in columns.items() if c not in taken and c != gold}
    asks = question or stem or question_column(left)
    if asks is None:
        texts = [c for c in left if plainly(c) not in (*_IDS, *CONTEXTS) and _varies(rows, c) and not _is_option(c)]
        asks = texts[0] if len(texts) == 1 else None
    if asks is None:
        raise ConfigError(
            f"{path} has options in {options or 'columns of their own'!r} and no column that looks like the question; "
            f"it has {_named(rows, columns)}.",
            "Name it: --question COLUMN.",
        )
    form = Form("choices", asks, gold, options, first=counted_from(rows, gold, options))
    said = [one for row in rows if (one := _letter(row, form)) is not None]
    if not sure and 2 * len(said) < len(rows):
        return None
    return replace(form, mixed=len(said) >= SURELY and len(set(said)) == 1)


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


def _varies(rows: Rows, column: str) -> bool:
    """Whether a column has texts that are not all alike."""
    said = {row.get(column) for row in rows if isinstance(row.get(column), str)}
    return len(said) > 1 or len(rows) == 1 == len(said)


def _index_column(columns: Iterable[str]) -> str | None:
    named = list(columns)
    return next((c for name in INDEXES for c in named if plainly(c) == name), None)


def _unusual(rows: Rows, columns: Counter[str]) -> tuple[str, str] | None:
    """The columns with options and with the right one's number or letter, where the options are not called so:
    ReClor's four ``answers`` with a ``label``. Numbers alone say little, so the options must then be called answers."""
    gold = _index_column(columns)
    if gold is None:
        return None
    for column in columns:
        if column == gold:
            continue
        each = [options_of(row.get(column)) for row in rows]
        if not all(each) or any(isinstance(row.get(column), str) for row in rows):
            continue
        most = [len(options or ()) for options in each]
        said = [str(row.get(gold)).strip().removesuffix(".0") for row in rows]
        letters = all(re.fullmatch(r"\(?[A-J]\)?\.?", s) for s in said)
        letters = letters and all(ord(s.strip("().")) - ord("A") < n for s, n in zip(said, most, strict=True))
        called = plainly(column) in ("answers", "responses", "solutions", "candidates")
        letters = letters and (called or len(set(most)) == 1)  # tags, which are as many as there happen to be
        numbers = called and all(s.isdigit() and int(s) <= n for s, n in zip(said, most, strict=True))
        if (letters or numbers) and (len(set(said)) > 1 or len(rows) == 1):
            return column, gold
    return None


def _not_shown(rows: Rows, asks: str, gold: str) -> tuple[str, ...]:
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


def _texts(rows: Rows, column: str) -> bool:
    return _varies(rows, column) and not all(is_number(str(row.get(column))) for row in rows)


# --- columns ----------------------------------------------------------------------------------------------------------


def _answer(columns: Mapping[str, int], but: str = "") -> str | None:
    """The column with the answer. One that is called an answer goes before one that may but sort the rows."""
    left = {c: n for c, n in columns.items() if c != but}
    found = answer_column(left)
    if found is not None and plainly(found) in _SORTS:
        named = {c: n for c, n in left.items() if "answer" in plainly(c) or plainly(c) == "groundtruth"}
        return answer_column(named) or found
    return found


def _columns(
    rows: Rows, columns: Counter[str], question: str | None, answer: str | None, path: Path
) -> tuple[str, str]:
    """The columns with question and answer: by their names, or as there are but two of texts. Raises ConfigError."""
    gold = answer or _answer(columns, question or "")
    asks = question or question_column({c: n for c, n in columns.items() if c != gold})
    if question is None and (asks is None or plainly(asks) in _PAIRS):
        _refuse_pairs(columns, path)
    if asks is None or gold is None:
        texts = [
            c for c in columns if c not in (asks, gold) and all(isinstance(r.get(c), (str, int, float)) for r in rows)
        ]
        texts = [c for c in texts if plainly(c) not in _IDS]
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
                f"{path} has no column that looks like the {what}; it has {_named(rows, columns)}.",
                _hint(rows, what, other),
            )
    assert asks is not None
    assert gold is not None
    return asks, gold


def _hint(rows: Rows, what: str, other: str | None) -> str:
    """What can be done where a column is not told: name it, if there is one that could be it."""
    fit = Counter(name for row in rows for name in nested.leaves(row) if name != other and plainly(name) not in _IDS)
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


def _named(rows: Rows, columns: Iterable[str]) -> str:
    """The columns, and of those that are nested what they hold."""
    listed = list(columns)
    said = []
    for c in listed[:MOST_NAMED]:
        value = next((row[c] for row in rows if row.get(c) is not None), None)
        if isinstance(value, Mapping):
            inside = ", ".join(cut(str(k), 24) for k in list(value)[:6])
            said.append(f"{cut(c)} (a mapping of {inside}{', ...' if len(value) > 6 else ''})")
        elif isinstance(value, (list, tuple)):
            said.append(f"{cut(c)} (a list)")
        else:
            said.append(cut(c))
    return ", ".join(said) + (f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else "")


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


def _without(rows: Rows, form: Form, path: Path) -> tuple[str, ...]:
    """What stands among the labels for no label: the number -1 beside 0, 1, 2, ..., or a dash beside words (SNLI's own
    file). Beside 0 and 1 alone, or -2, or a plus, it may be a label itself (negative, neutral, positive)."""
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


# --- what is no file of tasks -----------------------------------------------------------------------------------------


def _refuse_squad(rows: Rows, path: Path) -> None:
    """SQuAD's own file: articles of paragraphs of questions."""
    first = rows[0].get("paragraphs")
    if not (isinstance(first, list) and first and isinstance(first[0], Mapping) and "qas" in first[0]):
        return
    write = (
        f'import json; d = json.load(open({as_python(str(path))}, "rb"))["data"]; open("rows.jsonl", "w").writelines('
        'json.dumps(q | {"context": p["context"]}) + chr(10) for a in d for p in a["paragraphs"] for q in p["qas"] '
        'if q["answers"])'
    )
    raise DataError(
        f"{path} holds articles with paragraphs with questions, not a question a row.",
        f"Write them out: {python_command(write)}, and give rows.jsonl.",
    )


def _refuse_pairs(columns: Iterable[str], path: Path) -> None:
    """Raises DataError for two answers of which one is liked better, without the question they answer."""
    pair = [c for c in columns if plainly(c) in _PAIRS]
    if len(pair) > 1:
        raise DataError(
            f"{path} holds pairs of preferences ({', '.join(pair)}): which of two texts is liked better is no answer "
            "to a question.",
            "Give a file with the question in a column of its own (prompt) and the answer in another.",
        )


def _refuse_numbers(rows: Rows, form: Form) -> None:
    """Raises DataError where the one answer is a list of several numbers: any of them, or all?"""
    if plainly(form.answer).endswith("s") or form.layout != "columns":
        return
    for row in rows:
        value = nested.part(row, form.answer)
        if not isinstance(value, list) or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in value):
            continue
        if len(set(value)) > 1:
            raise DataError(
                f"the {form.answer} of some rows is a list of numbers, {cut(repr(value), 40)}: whether any one of them "
                "is right or all are wanted, the file doesn't say.",
                f'Where any one is right, call the column "answers"; where all are wanted, write them as one text: '
                f'"{cut(", ".join(map(str, value)), 40)}".',
            )


def _refuse_lost_header(rows: Rows, columns: Counter[str], path: Path) -> None:
    """Raises DataError where the names of the columns are a row themselves: a file without a header, whose first row
    would be lost."""
    known = {plainly(n) for n in (*QUESTIONS, *ANSWERS, *CONTEXTS, *_IDS, *_PAIRS)}
    names = list(columns)
    if len(rows) < 3 or any(not isinstance(v, (str, int, float, type(None))) for row in rows[:3] for v in row.values()):
        return
    cells = {c: [str(row[c]).strip() for row in rows if row.get(c) is not None] for c in names}
    if any(plainly(c) in known and c not in cells[c] for c in names) or all(c.isdigit() and len(c) < 3 for c in names):
        return  # the latter: pandas' numbers of columns
    why = next((said for c in names if (said := _as_data(c, cells[c]))), None)
    if why is not None:
        raise DataError(
            f"{path} has no header, it seems: its first row ({', '.join(cut(c, 30) for c in names[:6])}) is taken for "
            f"the names of the columns, and {why}.",
            "Write a line with names above it (question,answer); or, if they are names, name the columns: --question "
            "COLUMN --answer COLUMN.",
        )


def _as_data(name: str, cells: Sequence[str]) -> str:
    """Why a column's name is likely one of its own cells; "" if it isn't."""
    if not cells:
        return ""
    if 2 * len(set(cells)) < len(cells) + 2 and name.strip() in cells:
        return f"{cut(name, 30)!r} also stands in {cells.count(name.strip())} rows of its column"
    if is_number(name) and all(map(is_number, cells)):
        return f"{cut(name, 30)!r} is a number, as all below it are"
    shape = re.sub(r"\d+", "0", name)
    if len(name.split()) > 1 and shape != name and 2 * sum(re.sub(r"\d+", "0", c) == shape for c in cells) > len(cells):
        return f"{cut(name, 40)!r} is written as those below it are"
    long = len(name.split()) >= 4 or len(name) > 40
    asking = name.endswith("?") and 2 * sum(c.endswith("?") for c in cells) > len(cells)
    words = median(len(c.split()) for c in cells)
    if asking or (long and len(name.split()) / 2 <= words <= 2 * len(name.split())):
        return f"{cut(name, 40)!r} is a sentence like those below it"
    return ""
