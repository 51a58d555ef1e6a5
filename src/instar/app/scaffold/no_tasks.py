"""Rows that hold no question with its answer each: what is wrong with them, and what to do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from instar.acquire.tasks import nested
from instar.acquire.tasks.cells import parsed
from instar.acquire.tasks.layouts import ANSWERS, CONTEXTS, QUESTIONS, Form
from instar.acquire.tasks.options import plainly
from instar.acquire.tasks.table import cut
from instar.app.scaffold.column_names import IDS, Rows
from instar.errors import DataError
from instar.extract import is_number
from instar.legible import as_python, python_command

TESTS = ("testlist", "unittests", "inputoutput", "publictestcases", "privatetestcases",
         "publictests", "testcases", "tests",
         "canonicalsolution")  # fmt: skip
"""What columns with the tests of programs are called."""
_SEVERAL = ("labels", "tags", "topics", "categories", "intents", "label", "category", "intent", "tag", "topic")
_SAID = ("answer", "response", "completion", "output", "reply", "solution")
_SURE_MARKS = ("iscorrect", "correct", "correctness", "isright")
_MARKS = ("label", "labels", *_SURE_MARKS, "relevance")
"""What an answer is called, and what may say whether it is right."""
_BESIDE = ("generation", "generations", "prediction", "predictedanswer", "generatedsolution", "modelanswer",
           "modelresponse", "modeloutput", "studentanswer", "studentresponse",
           "output", "response", "completion")  # fmt: skip
"""What a model said is called: beside it, the mark is that of this one and not of the answer."""
A_FEW = 0.1
"""Share of rows with several labels up to which any one of them is taken to be right."""
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


def refuse_trees(rows: Rows, path: Path) -> None:
    """Raises DataError for conversations of which each row is one turn, that names the one before it (OASST)."""
    names = {plainly(c): c for c in rows[0]}
    if not {"parentid", "messageid", "role", "text"} <= names.keys():
        return
    at, up, who, said = (names[n] for n in ("messageid", "parentid", "role", "text"))
    write = (
        f'import json; r = [json.loads(x) for x in open({as_python(str(path))}, "rb")]; '
        f'd = {{x["{at}"]: x for x in r}}; open("rows.jsonl", "w").writelines('
        f'json.dumps({{"question": d[x["{up}"]]["{said}"], "answer": x["{said}"]}}) + chr(10) '
        f'for x in r if x["{who}"] == "assistant" and x["{up}"] in d and d[x["{up}"]]["{up}"] is None)'
    )
    raise DataError(
        f"{path} holds one turn of a conversation in each row, not a question with its answer.",
        f"Write the first questions out with their answers: {python_command(write)}, and give rows.jsonl.",
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


def refuse_programs(rows: Rows, columns: Iterable[str], path: Path) -> None:
    """Raises DataError for programming tasks, whose tests say what is right: no column holds an answer."""
    names = {plainly(c): c for c in columns}
    tests = [names[n] for n in TESTS if n in names]
    if not tests and not {"entrypoint", "test"} <= names.keys():
        return
    read = 'tasks of op = "code_jsonl" and a judge of op = "execution" (`instar ops` lists both)'
    shaped = {"entrypoint", "test"} <= names.keys() or "testlist" in names or isinstance(rows[0].get("tests"), Mapping)
    write = 'Write each as {"question": "...", "tests": {"visible": [], "hidden": ["assert f(1) == 2"]}} for '
    raise DataError(
        f"{path} holds programming tasks with tests ({', '.join(tests) or names['test']}): what is right there tests "
        "say and no column, and init writes no config for them.",
        f"Name the file in a config with {read}." if shaped else f"{write}{read}.",
    )


def refuse_numberless(rows: Rows, form: Form, path: Path) -> None:
    """Raises DataError for questions that have a name in the place of each of their numbers (MAWPS' "N_00 apples"), and
    no number of their own, as "Let number1 = 3" has."""
    name = re.compile(r"\b(?:N_\d\d|number\d|NUM_?\d|temp_[a-h])\b")
    texts = [str(nested.part(row, form.question)) for row in rows]
    found = [m.group() for t in texts if (m := name.search(t)) and not re.search(r"\d", name.sub("", t))]
    if form.layout == "columns" and 2 * len(found) > len(rows):
        raise DataError(
            f"the questions of {path} have {found[0]!r} where a number belongs: nobody could answer them.",
            "Write the numbers into the questions.",
        )


_SPOILT = re.compile(
    r"\w{0,12}(?:\ufffd|\u00c3[\u0080-\u00bf\u0178\u0153\u2026\u201e]|\u00e2\u20ac[\u0098-\u201d\u2122\u0153])\w{0,12}"
)
"""What stands for a letter that was lost, and "Ã¼", which is an "ü" of UTF-8 that was read as Latin-1."""


def escaped(rows: Rows, form: Form) -> tuple[str, ...]:
    """A sentence where texts are written for a web page: "&quot;film&quot;" is not what a reply says."""
    held = (str(nested.part(row, name)) for name in (form.answer, form.question) for row in rows)
    sign = re.compile(r"&(?:quot|apos|amp|lt|gt|nbsp|#x?[0-9a-fA-F]{2,4});")
    notes: list[str] = []
    for text in held:
        if not notes and (found := sign.search(text)):
            notes.append(
                f"{found[0]!r} stands for a sign, as in a web page: Python's html.unescape writes the sign itself"
            )
        if spoilt := _SPOILT.search(text):
            return (
                *notes,
                f"letters were lost or read in a wrong encoding before ({spoilt[0]!r}): no reply will say so",
            )
    return tuple(notes)


def refuse_marked(rows: Rows, form: Form) -> None:
    """Raises DataError where a column says of each answer whether it is right, and of some that it is wrong: taken as
    they are, wrong ones would be what is learned."""
    marks = {"columns": _MARKS, "alpaca": _SURE_MARKS}.get(form.layout, ())
    if plainly(form.answer) not in _SAID or any(plainly(c) in _BESIDE for c in rows[0] if c != form.answer):
        return
    for c in rows[0]:
        said = [str(row.get(c)).strip().casefold().removesuffix(".0") for row in rows]
        if c == form.answer or plainly(c) not in marks or set(said) not in ({"0", "1"}, {"true", "false"}):
            continue
        golds = [str(row.get(form.answer)).strip() for row in rows]
        named = len(set(zip(golds, said, strict=True))) == len(set(golds)) == 2
        if named and len(rows) > 4 and plainly(c) not in _SURE_MARKS:
            continue  # the number of a label beside its word, and no mark: of two answers one would always be wrong
        wrong = sum(s in ("0", "false") for s in said)
        raise DataError(
            f"{c!r} is {said[0]} or its opposite in each row: if it says whether the {form.answer} is right, {wrong} "
            f"of the {len(rows)} are wrong, and would be learned.",
            f"Keep the rows whose {form.answer} is right, without the column {c!r}; if {c!r} itself is the answer to "
            f"find: --answer {c}; if it says something else: --answer {form.answer}.",
        )


def judged_unseen(rows: Rows, asks: str, gold: str) -> tuple[str, ...]:
    """A sentence where a label is said of a question and a reply, and only the question is shown."""
    if plainly(gold) not in (*_MARKS, *_SEVERAL, "labeltext", "labelname"):
        return ()
    for c in rows[0]:
        said = [(str(row.get(gold)), v) for row in rows if isinstance(v := row.get(c), str) and v.strip()]
        known = plainly(c) in (*_SAID, *_BESIDE) and c not in (asks, gold) and 2 * len(said) > len(rows)
        if known and len(set(said)) > len({label for label, _ in said}):  # and is no other name of the label
            return (f"{c!r} is not shown: if {gold!r} is said of it too, write both into one column of questions",)
    return ()


def refuse_lists(rows: Rows, form: Form) -> None:
    """Raises DataError where the one answer is a list of several numbers, or the labels of more than a few rows are
    several: any of them, or all?"""
    if form.layout != "columns":
        return
    labels, plural = plainly(form.answer) in _SEVERAL, plainly(form.answer).endswith("s")
    lists = [value for row in rows if len(set(value := _listed(nested.part(row, form.answer)))) > 1]
    numbers = [] if plural else [value for value in lists if not any(isinstance(v, str) for v in value)]
    if not numbers and not (labels and len(lists) > A_FEW * len(rows)):
        return
    held, what = numbers or lists, "labels" if labels else "numbers"
    value = held[0]
    raise DataError(
        f"in {len(held)} of {len(rows)} rows {form.answer!r} is a list of {what}, {cut(repr(value), 40)}: whether any "
        "one of them is right or all are wanted, the file doesn't say.",
        f'Where any one is right, call the column "answers"; where all are wanted, write them as one text: '
        f'"{cut(", ".join(map(str, value)), 40)}"; or leave such rows out.',
    )


def _listed(value: Any) -> list[Any]:
    """The texts and numbers of a list, or the texts of one that a cell of a CSV file holds; none of anything else."""
    sorts = (str,) if isinstance(value, str) else (str, int, float)
    value = parsed(value)
    plain = isinstance(value, list) and all(isinstance(v, sorts) and not isinstance(v, bool) for v in value)
    return list(value) if plain else []


def refuse_title(rows: Rows, columns: Counter[str], path: Path) -> None:
    """Raises DataError for a workbook's lines above its header: a title, and cells without a name beside it."""
    nameless = [c for c in columns if re.fullmatch(r"column \d+", c)]
    if not nameless or len(nameless) < len(columns) - 1:
        return
    known = {plainly(n) for n in (*QUESTIONS, *ANSWERS, *CONTEXTS, *IDS)}
    for number, row in enumerate(rows[:10]):
        cells = [str(v) for v in row.values() if v is not None]
        if len(cells) > 1 and {plainly(c) for c in cells} & known:
            title = next(c for c in columns if c not in nameless)
            raise DataError(
                f"{path} begins with a title ({cut(title, 40)!r}), and the names of its columns stand below it: "
                f"{', '.join(cut(c, 30) for c in cells)}.",
                f"Delete what stands above them ({number + 1} line{'s' * (number > 0)} of cells).",
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
