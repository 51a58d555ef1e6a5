"""The shapes in which people keep questions with answers, told apart by their columns, and each row read as one.

Alpaca has an instruction, perhaps with an input, and an output. ShareGPT and OpenAI files hold whole conversations: the
last thing the assistant said is the gold answer, all before it the question. verl's rows have a prompt of messages and
a ``ground_truth``. A multiple choice has its options in a list, a mapping or columns, and the answer as a letter, a
place or a text. All else has a question in one column and an answer in another.
"""

from __future__ import annotations

import hashlib
import math
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from instar.acquire.tasks.marks import NEARLY_ALL, result, without_thoughts
from instar.acquire.tasks.marks import mark_of as mark_of
from instar.acquire.tasks.nested import ALL, holds, part, root, whole
from instar.acquire.tasks.options import (
    BESIDE,
    CHOICES,
    STEMS,
    lettered,
    numbered,
    options_in,
    options_of,
    parsed,
    place_of,
    wrong_columns,
)
from instar.acquire.tasks.options import INDEXES as INDEXES
from instar.acquire.tasks.options import NotSo as NotSo
from instar.acquire.tasks.options import counted_from as counted_from
from instar.acquire.tasks.options import plainly as plainly
from instar.acquire.tasks.spelled import right_of, written_out
from instar.acquire.tasks.turns import asks, earlier, is_chat, refuse_places, told, turns

Layout = Literal["columns", "alpaca", "sharegpt", "messages", "verl", "choices"]
LAYOUTS: tuple[str, ...] = get_args(Layout)
NAMES = {
    "columns": "one column with the question, one with the answer",
    "alpaca": "Alpaca (instruction, input, output)",
    "sharegpt": "ShareGPT (conversations of from and value)",
    "messages": "OpenAI chat (messages of role and content)",
    "verl": "messages that end with a question, the answer beside them (as verl has it)",
    "choices": "multiple choice (options, and which of them is right)",
}
"""What a layout is called where people read it."""

CHATS = ("conversations", "conversation", "messages", "contents", "chat", "dialog", "dialogue", "chosen")
_FAULTS = ("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!")
"""What a workbook shows for a value that it could not work out."""
_OF_WORKBOOKS = re.compile(
    r"[=#]|excel|formula|spreadsheet|workbook|worksheet|lookup|\b(?:cells?|sheets?|errors?|functions?|columns?)\b",
    re.IGNORECASE,
)
"""What is said where such a value may be the answer itself."""
_SURELY = ("answer", "groundtruth", "solution", "target", "gold", "expected", "reference", "finalanswer",
           "correctanswer", "goldanswer", "expectedoutput", "answers", "ideal")  # fmt: skip
_SORTS = ("category", "topic", "section", "tag", "class", "result")
"""Columns beside a conversation: those that are its answer though an assistant speaks in it, and those that are not."""
YES_NO = {True: "yes", False: "no"}

QUESTIONS = ("question", "prompt", "problem", "input", "instruction", "query", "text", "sentence", "content",
             "utterance",
             "message", "review", "document", "passage", "source", "title", "headline", "sms", "tweet", "email", "src",
             "hypothesis", "sentence2", "text_b", "question2", "body", "description", "abstract", "claim", "statement",
             "comment", "request", "ticket", "user", "human", "inputs",
             "问题", "题目", "提问", "文本", "句子", "内容", "输入", "指令", "問題", "質問", "文章",
             "질문", "문제", "문장",
             "pregunta", "texto", "entrada", "frage", "eingabe", "satz", "texte", "entree", "phrase", "pergunta",
             "domanda", "testo", "вопрос", "текст", "запрос", "pytanie", "tekst", "vraag", "soru", "metin", "fraga",
             "سؤال", "نص", "प्रश्न", "सवाल", "pertanyaan", "câu hỏi", "otazka",
             "question_stem", "stem", "goal", "ctx", "startphrase", "obs2")  # fmt: skip
ANSWERS = ("answer", "solution", "target", "output", "label_text", "label_name", "label",
           "expected", "response", "gold", "completion", "reference",
           "category", "class", "intent", "sentiment", "tag", "topic", "section", "result", "ground_truth", "answers",
           "labels", "expected_output", "ideal", "reply", "tgt", "assistant", "final_answer", "correct_answer",
           "targets", "chosen",
           "答案", "回答", "标签", "类别", "输出", "答复", "分类", "回复", "答え", "解答", "ラベル",
           "답", "답변", "정답", "라벨",
           "respuesta", "salida", "etiqueta", "categoria", "antwort", "loesung", "lösung", "ausgabe", "kategorie",
           "klasse",
           "réponse", "sortie", "etiquette", "categorie", "resposta", "saida", "risposta", "uscita", "etichetta",
           "ответ", "метка", "класс", "категория", "odpowiedz", "antwoord", "cevap", "etiket", "svar",
           "إجابة", "جواب", "تصنيف", "उत्तर", "जवाब", "jawaban", "câu trả lời", "odpoved",
           "best_answer", "gold_label", "correct_answers", "possible_answers", "answers_spans",
           "gold_answer", "final_decision", "answer_number", "ans")  # fmt: skip

CONTEXTS = {
    "context": (), "passage": (), "paragraph": (), "article": (), "background": (), "story": (), "premise": (),
    "sentence1": (), "texta": (), "question1": (), "上下文": (), "段落": (), "背景": (), "contexto": (), "kontext": (),
    "contexte": (), "title": ("text", "body", "content", "description", "review", "abstract", "message"),
    "subject": ("text", "body", "content", "message", "email"), "body": ("question", "query"), "obs1": ("obs2",),
    "florespassage": (), "sent1": ("startphrase",), "sentence": ("question",), "dialogue": (), "dialog": (),
    "table": (), "tabletext": (), "tablearray": (),
}  # fmt: skip
"""Columns that a question is asked about, and beside which question columns alone they are."""


@dataclass(frozen=True)
class Asked:
    """A row as a question: ``before`` are the (role, text) of a conversation that it goes on, ``golds`` all answers
    that count, the first being the one that is shown."""

    question: str
    golds: tuple[str, ...]
    before: tuple[tuple[str, str], ...] = ()
    others: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Form:
    """How a table is read: its layout and, where that leaves it open, the columns and the mark before the gold."""

    layout: str = "columns"
    question: str = "question"
    answer: str = "answer"
    choices: str = "choices"
    mark: str = ""
    context: str = ""
    """A column whose text the question goes with, put before it."""
    first: int = 0
    """What the first of the options, or of the labels, is called where the answer is a number."""
    system: str = ""
    """A column whose text is the system's, before the question."""
    labels: tuple[str, ...] = ()
    """What the numbers 0, 1, 2 ... (or from ``first`` on) are called where the answer is the number of a label."""
    without: tuple[str, ...] = ()
    """Answers that mean that nobody gave one: their rows are left out."""
    mixed: bool = False
    """Whether the options are put in an order of their own, which the question decides."""


_QUESTIONS = tuple(map(plainly, QUESTIONS))
_ANSWERS = tuple(map(plainly, ANSWERS))


# --- telling them apart -----------------------------------------------------------------------------------------------


def layout_of(rows: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """The layout of most of these rows and the column that shows it; None for one with a column each."""
    votes = Counter(found for row in rows if (found := _layout(row)) is not None)
    if not votes:
        return None
    (layout, column), n = votes.most_common(1)[0]
    if layout in ("sharegpt", "messages") and _answered_beside(rows, column):
        layout = "verl"
    return (layout, column) if 2 * n > len(rows) else None


def _layout(row: Mapping[str, Any]) -> tuple[str, str] | None:
    names = {plainly(k): k for k in row}
    if "rewardmodel" in names and is_chat(row.get(names.get("prompt", ""))):
        return "verl", names["prompt"]
    for name in CHATS:
        if name in names and is_chat(row[names[name]]) and asks(row[names[name]]):
            first = parsed(row[names[name]])[0]
            return ("sharegpt" if "value" in first or "from" in first else "messages"), names[name]
    for name in ("prompt", "input"):
        if name in names and is_chat(row[names[name]]):
            return "verl", names[name]
    for name in CHOICES:
        if name in names and options_of(row[names[name]]) is not None and (name != "choice" or _answered(row)):
            return "choices", names[name]
    indexed = any(plainly(k) in INDEXES for k in row)
    if lettered(row) is not None and indexed:
        return "choices", ""
    if (inside := _choices_inside(row)) or (indexed and (inside := _numbered_columns(row))):
        return "choices", inside
    if marked := _marked(row):
        return "choices", marked
    if "instruction" in names and ("output" in names or _input(names) is not None):
        return ("alpaca", names["instruction"]) if answer_column(dict.fromkeys(row, 1)) is not None else None
    wrong = wrong_columns(row)  # of a file as a whole ``init`` says whether these are options
    return ("choices", f"{BESIDE}{wrong}") if wrong else None


def _answered(row: Mapping[str, Any]) -> bool:
    """Whether a column holds the answer: a "choice" without one beside it is what was chosen."""
    return any(plainly(k) in (*INDEXES, *_ANSWERS) for k in row)


def _answered_beside(rows: Sequence[Mapping[str, Any]], column: str) -> bool:
    """Whether nearly all of these conversations end with what a user says, and another column holds the answer. Where
    an assistant speaks in them, that has to be called an answer: a user may end with thanks for what was said."""
    beside = Counter(found for row in rows if (found := answer_column({c: 1 for c in row if c != column})) is not None)
    if not beside or plainly(answer := beside.most_common(1)[0][0]) in _SORTS:
        return False
    speakers = [_speakers(row.get(column)) for row in rows]
    if sum(said[-1:] == ["user"] for said in speakers) < NEARLY_ALL * len(rows):
        return False
    return plainly(answer) in _SURELY or not any("assistant" in said for said in speakers)


def _speakers(value: Any) -> list[str]:
    """Whose turns a conversation has; none for what is no conversation of texts."""
    try:
        return [role for role, _ in turns(value)] if is_chat(value) else []
    except NotSo:
        return []


def _choices_inside(row: Mapping[str, Any]) -> str:
    """Where in a nested column the options stand: CommonsenseQA's question.choices, TruthfulQA's mc1_targets."""
    for k, v in row.items():
        for inner in v if isinstance(v, Mapping) else ():
            right = v.get("labels")
            several = isinstance(right, (list, tuple)) and right.count(1) != 1
            if plainly(inner) in CHOICES and options_of(v[inner]) is not None and not several:
                return f"{k}.{inner}"
    return ""


def _marked(row: Mapping[str, Any]) -> str:
    """The column with options of which exactly one is marked as right (of several, each may be an answer). Beside a
    column of answers it must itself be called like one: passages have scores too."""
    for k, v in row.items():
        try:
            fits = options_of(v) is not None and sum(right_of(v) or ()) == 1
        except NotSo:
            continue
        called = plainly(k) in (*CHOICES, *_ANSWERS, "responses", "candidates", "solutions")
        if fits and (called or answer_column({c: 1 for c in row if c != k}) is None):
            return k
    return ""


def _numbered_columns(row: Mapping[str, Any]) -> str:
    """The name with a star of the columns that hold an option each: "sol*"."""
    for k in row:
        stem = re.fullmatch(r"(.+?)[01]", str(k))
        if stem and plainly(stem[1]) in STEMS and numbered(row, f"{stem[1]}*") is not None:
            return f"{stem[1]}*"
    return ""


def _input(names: Mapping[str, str]) -> str | None:
    """The column of what an instruction is to be followed on."""
    return next((names[n] for n in ("input", "context") if n in names), None)


# --- columns ----------------------------------------------------------------------------------------------------------


def question_column(columns: Mapping[str, int]) -> str | None:
    """The column that is called like a question in some language; the one that most rows have, then the likelier. A
    title is but the title of a body or an abstract that stands beside it."""
    found = _called(columns, _QUESTIONS)
    beside = CONTEXTS.get(plainly(found), ()) if found is not None else ()
    return next((c for c, n in columns.items() if plainly(c) in beside and 2 * n > columns[found or c]), found)


def answer_column(columns: Mapping[str, int]) -> str | None:
    """The column that is called like an answer or a label."""
    return _called(columns, _ANSWERS)


def context_column(columns: Mapping[str, int], question: str) -> str:
    """The column that this question is asked about; "" if there is none."""
    for c in columns:
        beside = CONTEXTS.get(plainly(c))
        if beside is not None and c != question and (not beside or plainly(question) in beside):
            return c
    return ""


def _called(columns: Mapping[str, int], usual: Sequence[str]) -> str | None:
    found = [c for c in columns if plainly(c) in usual]
    return max(found, key=lambda c: (columns[c], -usual.index(plainly(c))), default=None)


# --- reading a row ----------------------------------------------------------------------------------------------------


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
        given = _input({plainly(k): k for k in row})
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
