"""A row of a file as a question with its gold answers, by the form that the file has."""

from __future__ import annotations

import hashlib
import math
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from instar.acquire.tasks.layouts import Form, answer_column, input_column
from instar.acquire.tasks.marks import result, without_thoughts
from instar.acquire.tasks.nested import ALL, holds, part, root, whole
from instar.acquire.tasks.options import (
    BESIDE,
    NotSo,
    options_in,
    parsed,
    place_of,
    plainly,
)
from instar.acquire.tasks.spelled import right_of, written_out
from instar.acquire.tasks.turns import earlier, is_chat, refuse_places, told, turns

_FAULTS = ("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!")
"""What a workbook shows for a value that it could not work out."""
_OF_WORKBOOKS = re.compile(
    r"[=#]|excel|formula|spreadsheet|workbook|worksheet|lookup|\b(?:cells?|sheets?|errors?|functions?|columns?)\b",
    re.IGNORECASE,
)
"""What is said where such a value may be the answer itself."""
YES_NO = {True: "yes", False: "no"}


@dataclass(frozen=True)
class Asked:
    """A row as a question: ``before`` are the (role, text) of a conversation that it goes on, ``golds`` all answers
    that count, the first being the one that is shown."""

    question: str
    golds: tuple[str, ...]
    before: tuple[tuple[str, str], ...] = ()
    others: Mapping[str, Any] = field(default_factory=dict)


def asked(row: Mapping[str, Any], form: Form) -> Asked:
    """A row as a question. Raises NotSo."""
    one = _asked(row, form)
    fault = next((g for g in one.golds if g.strip() in _FAULTS), None)
    if fault is not None and not _OF_WORKBOOKS.search(one.question):
        raise NotSo(f"the {form.answer} is {fault!r}: a formula of a workbook that came to nothing")
    chat = form.layout in ("sharegpt", "messages", "verl")
    refuse_places(row, [*(text for _, text in one.before), one.question], chat=chat)
    return one


def _asked(row: Mapping[str, Any], form: Form) -> Asked:
    if form.layout in ("sharegpt", "messages"):
        return _conversation(row, form)
    if form.layout == "verl":
        return _verl(row, form)
    if form.layout == "choices":
        return _choice(row, form)
    if form.layout == "alpaca":
        given = input_column({plainly(k): k for k in row})
        question, extra = _text(row, form.question), row.get(given) if given else None
        if isinstance(extra, str) and extra.strip():
            question = f"{question}\n\n{extra}"
        used = {form.question, given, form.answer, form.system}
        return Asked(question, _golds(row, form.answer, form), _told(row, form), _without(row, used))
    question = _after_context(row, form, _text(row, form.question))
    context = "" if _numbers_a_table(row, form) else form.context
    used = {root(row, name) for name in (form.question, form.answer, context, form.system)}
    return Asked(question, _golds(row, form.answer, form), _told(row, form), _without(row, used))


def _after_context(row: Mapping[str, Any], form: Form, question: str) -> str:
    """A question after what it is asked about."""
    if not form.context:
        return question
    all_of_it = form.context.endswith(ALL) and form.context not in row
    about = whole(part(row, form.context.removesuffix(ALL))) if all_of_it else part(row, form.context)
    if _numbers_a_table(row, form):
        return question
    return f"{about}\n\n{question}" if isinstance(about, str) and about.strip() else question


def _numbers_a_table(row: Mapping[str, Any], form: Form) -> bool:
    """Whether a column "table" says but which table it is, in one word."""
    return plainly(form.context) == "table" and len(str(row.get(form.context)).split()) < 2


def _told(row: Mapping[str, Any], form: Form) -> tuple[tuple[str, str], ...]:
    """The system's text that a row brings in a column, and what was said before its question."""
    own = told(part(row, form.system)) if form.system else ""
    return ((("system", own),) if own else ()) + earlier(row)


def _text(row: Mapping[str, Any], column: str) -> str:
    if not holds(row, column):
        raise NotSo(f"no column {column!r}")
    value = part(row, column)
    if not isinstance(value, str) or not value.strip():
        raise NotSo(f"the {column} is {value!r:.60}, not a text")
    return value


def _golds(row: Mapping[str, Any], column: str, form: Form) -> tuple[str, ...]:
    if not holds(row, column):
        raise NotSo(f"no column {column!r}")
    value = part(row, column)
    return golds_of(_named(value, column, form.labels, form.first) if form.labels else value, column, form.mark)


def _named(value: Any, column: str, labels: Sequence[str], first: int) -> Any:
    """The name of the label that a number is that of. Raises NotSo for a number that no label has."""
    number = str(value).strip().removesuffix(".0")
    if isinstance(value, bool) or not re.fullmatch(r"-?\d+", number) or number in labels:
        return value
    if not 0 <= int(number) - first < len(labels):
        raise NotSo(f"the {column} is {number}, and the labels are {first} to {len(labels) - 1 + first}")
    return labels[int(number) - first]


def golds_of(value: Any, column: str, mark: str = "") -> tuple[str, ...]:
    """The accepted answers that a cell holds: one, or any of a list (SQuAD's answers too). Raises NotSo."""
    listed = parsed(value)  # "[1, 2]" is an answer; '["Paris", "paris"]' a list that a cell of a CSV file holds
    if isinstance(listed, list) and all(isinstance(v, str) for v in listed):
        value = listed
    value = _alternatives(value)
    if is_chat(value):  # TRL's completion: what the assistant says in it last
        value = next((said for role, said in reversed(list(turns(value))) if role == "assistant"), "")
    many = list(value) if isinstance(value, (list, tuple)) else [value]
    found = [_gold(v, column, mark) for v in many]
    if not found:
        raise NotSo(f"the {column} is an empty list")
    return tuple(dict.fromkeys(found))


def _alternatives(value: Any) -> Any:
    """The list of answers in a mapping or a list of mappings that is known to hold one, of answers that are marked as
    right or wrong the right ones; any other value as it is. Raises NotSo where none is right."""
    if (right := right_of(value)) is not None:
        each = written_out(value) or ()
        if not any(right):
            raise NotSo(f"none of its {len(each)} answers is marked as right")
        return [text for (_, text), is_right in zip(each, right, strict=True) if is_right]
    if isinstance(value, Mapping):
        known = next((value[k] for k in ("text", "spans") if isinstance(value.get(k), (list, tuple))), None)
        if known is not None:
            return known  # SQuAD's answers; DROP's answers_spans
        if isinstance(value.get("value"), str) and isinstance(value.get("aliases"), (list, tuple)):
            return [value["value"], *value["aliases"]]  # TriviaQA's
    elif isinstance(value, (list, tuple)) and value and all(isinstance(v, Mapping) and "text" in v for v in value):
        return value if any("role" in v for v in value) else [v["text"] for v in value]  # SQuAD's own file
    return value


def _gold(value: Any, column: str, mark: str) -> str:
    if isinstance(value, bool):
        return YES_NO[value]
    finite = not isinstance(value, float) or math.isfinite(value)
    if not isinstance(value, (str, int, float)) or not finite or not str(value).strip():
        raise NotSo(f"the {column} is {value!r:.60}, not a text or a number")
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))  # 7.0 in a column that has an empty cell somewhere
    if isinstance(value, float) and len(repr(value).partition("e")[0].strip("-0.")) > 16:
        return f"{value:.15g}"  # 0.30000000000000004: what was computed, not what was meant
    text = without_thoughts(value) if isinstance(value, str) else str(value)
    if not text.strip():
        raise NotSo(f"the {column} holds thoughts, and no answer after them")
    return result(text, column, mark) if mark else text


def _without(row: Mapping[str, Any], used: set[Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k not in used}


def _conversation(row: Mapping[str, Any], form: Form) -> Asked:
    if not is_chat(row.get(form.question)):
        raise NotSo(f"the {form.question} is {row.get(form.question)!r:.60}, not a conversation")
    said = list(turns(row[form.question]))
    while said and said[-1][0] != "assistant":
        said.pop()
    if len(said) < 2 or said[-2][0] != "user":
        raise NotSo("its conversation holds no question of a user that the assistant answers")
    golds = golds_of(said[-1][1], "answer of the assistant", form.mark)
    system, own = _system_beside(row, said)
    return Asked(said[-2][1], golds, (*own, *said[:-2]), _without(row, {form.question, system}))


def _system_beside(row: Mapping[str, Any], said: Sequence[tuple[str, str]]) -> tuple[str | None, list[tuple[str, str]]]:
    """The column with the system's text beside a conversation that has none, and that text as a turn."""
    system = next((k for k in row if plainly(k) in ("system", "systemprompt", "systeminstruction")), None)
    own = told(row[system]) if system is not None and said[0][0] != "system" else ""
    return (system, [("system", own)]) if own else (None, [])


def _verl(row: Mapping[str, Any], form: Form) -> Asked:
    if not is_chat(row.get(form.question)):
        raise NotSo(f"the {form.question} is {row.get(form.question)!r:.60}, not a list of messages")
    said = list(turns(row[form.question]))
    if not said or said[-1][0] != "user":
        raise NotSo("its prompt does not end with what a user says")
    rewarded = next((parsed(row[k]) for k in row if plainly(k) == "rewardmodel"), None)
    if isinstance(rewarded, Mapping) and "ground_truth" in rewarded:
        golds = golds_of(_parsed_golds(rewarded["ground_truth"]), "ground_truth", form.mark)
    else:
        column = answer_column(dict.fromkeys(_without(row, {form.question}), 1))
        if column is None:
            raise NotSo("it has neither reward_model.ground_truth nor a column with the answer")
        golds = golds_of(row[column], column, form.mark)
    system, own = _system_beside(row, said)
    return Asked(said[-1][1], golds, (*own, *said[:-1]), _without(row, {form.question, system}))


def _parsed_golds(value: Any) -> Any:
    """A ground truth may be {"target": ...}, or a numpy array that became a list."""
    value = parsed(value)
    if isinstance(value, Mapping):
        return next((value[k] for k in ("target", "answer", "text") if k in value), value)
    return value


def _choice(row: Mapping[str, Any], form: Form) -> Asked:
    options = options_in(row, form.choices, form.answer)
    if options is None:
        said = part(row, form.choices)
        raise NotSo(f"the {form.choices or 'options'} are {said!r:.60}, not two options or more")
    question = _text(row, form.question)
    if not holds(row, form.answer):
        raise NotSo(f"no column {form.answer!r}")
    said = part(row, form.answer)
    right = right_of(said)
    if right is not None and sum(right) != 1:
        raise NotSo(f"{sum(right)} of its {len(options)} options are marked as right")
    if form.choices.startswith(BESIDE) and form.choices not in row:
        place = 0  # the answer is an option itself: a vitamin "C" names none
    else:
        place = place_of(said if right is None else right, options, form.first)
    letters = string.ascii_uppercase[: len(options)]
    order = list(range(len(options)))
    if form.mixed:
        order.sort(key=lambda i: hashlib.sha256(f"{question}|{options[i][1]}".encode("utf-8", "replace")).digest())
    shown = "\n".join(f"{letter}. {options[i][1]}" for letter, i in zip(letters, order, strict=True))
    used = {root(row, name) for name in (form.question, form.answer, form.context, form.system)}
    used |= {"answers"} & {form.choices}  # whoever judges takes private "answers" for what is right
    others = {**_without(row, used), "choice": options[place][1]}
    question = _after_context(row, form, f"{question}\n{shown}")
    return Asked(question, (letters[order.index(place)],), _told(row, form), others)
