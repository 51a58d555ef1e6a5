"""The shapes in which people keep questions with answers, told apart by their columns.

Alpaca has an instruction, perhaps with an input, and an output. ShareGPT and OpenAI files hold whole conversations: the
last thing the assistant said is the gold answer, all before it the question. verl's rows have a prompt of messages and
a ``ground_truth``. A multiple choice has its options in a list, a mapping or columns, and the answer as a letter, a
place or a text. All else has a question in one column and an answer in another.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from instar.acquire.tasks.marks import NEARLY_ALL
from instar.acquire.tasks.options import (
    BESIDE,
    CHOICES,
    INDEXES,
    STEMS,
    NotSo,
    lettered,
    numbered,
    options_of,
    parsed,
    plainly,
    wrong_columns,
)
from instar.acquire.tasks.spelled import right_of
from instar.acquire.tasks.turns import asks, is_chat, turns

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
_SURELY = ("answer", "groundtruth", "solution", "target", "gold", "expected", "reference", "finalanswer",
           "correctanswer", "goldanswer", "expectedoutput", "answers", "ideal")  # fmt: skip
_SORTS = ("category", "topic", "section", "tag", "class", "result")
"""Columns beside a conversation: those that are its answer though an assistant speaks in it, and those that are not."""
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
    "table": (), "tabletext": (), "tablearray": (), "evidence": ("claim", "statement", "hypothesis"),
}  # fmt: skip
"""Columns that a question is asked about, and beside which question columns alone they are."""


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
    if "instruction" in names and ("output" in names or input_column(names) is not None):
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


def input_column(names: Mapping[str, str]) -> str | None:
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
