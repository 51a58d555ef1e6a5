"""Rows that hold no question with its answer each: what is wrong with them, and what to do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

from instar.acquire.tasks import nested
from instar.acquire.tasks.layouts import ANSWERS, CONTEXTS, QUESTIONS, Form, plainly
from instar.acquire.tasks.table import cut
from instar.app.scaffold.column_names import IDS, Rows
from instar.errors import DataError
from instar.extract import is_number
from instar.legible import as_python, python_command

PAIRS = {"chosen", "rejected", "preferred", "dispreferred", "accepted"}
"""What the two answers of a pair of preferences are called."""


def refuse_squad(rows: Rows, path: Path) -> None:
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


def refuse_pairs(columns: Iterable[str], path: Path) -> None:
    """Raises DataError for two answers of which one is liked better, without the question they answer."""
    pair = [c for c in columns if plainly(c) in PAIRS]
    if len(pair) > 1:
        raise DataError(
            f"{path} holds pairs of preferences ({', '.join(pair)}): which of two texts is liked better is no answer "
            "to a question.",
            "Give a file with the question in a column of its own (prompt) and the answer in another.",
        )


def refuse_numbers(rows: Rows, form: Form) -> None:
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


def refuse_lost_header(rows: Rows, columns: Counter[str], path: Path) -> None:
    """Raises DataError where the names of the columns are a row themselves: a file without a header, whose first row
    would be lost."""
    known = {plainly(n) for n in (*QUESTIONS, *ANSWERS, *CONTEXTS, *IDS, *PAIRS)}
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
