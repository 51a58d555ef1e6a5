"""Verifiers that ``instar init`` writes for what no single comparison of texts can tell: labels, several right answers,
free texts."""

from __future__ import annotations

import json

from instar.app.scaffold.kinds import OfKind

_ANSWER = '''
import re

from instar.extract.same import plain_words


def answer_in(reply: str) -> str:
    """What follows the last "Answer:", or the whole reply; never what is said while thinking."""
    reply = re.sub(r"^.*</think>", "", reply, flags=re.DOTALL)
    return re.split(r"(?:answer|答案)\\s*[:\\uff1a]", reply, flags=re.IGNORECASE)[-1].strip()

'''
_LABELS = '''
LABELS = LABELS_HERE


def pattern(label: str) -> str:
    """Where a label stands alone: "technical_issue" is one too, "non-technical issue" and the 1 of "1.5" are none."""
    parts = [re.escape(p) for p in re.split(r"[\\s_-]+", label) if p] or [re.escape(label)]
    left = right = ""
    if label[0].isascii() and label[0].isalnum():
        left = r"(?<![^\\W_])(?<!\\w-)" + (r"(?<![-.])" if label[0].isdigit() else "")
    if label[-1].isascii() and label[-1].isalnum():
        right = r"(?![^\\W_])" + (r"(?![.,]\\d)" if label[-1].isdigit() else "")
        right += r"(?!\\s+\\w)" if label in ("a", "i") else ""  # an article, or who speaks
        right += r"(?!\\s+(?:idea|clue|opinion|doubt|question|problem|way)\\b)" if label == "no" else ""
    return left + r"[\\s_-]+".join(parts) + right


def labels_in(text: str) -> tuple[set[str], str]:
    """The labels that a text names, of two that overlap the longer; and the text with a line break for each."""
    text, found = plain_words(text), set()  # without case and characters that show nothing
    for label in sorted(map(plain_words, LABELS), key=len, reverse=True):
        text, n = re.subn(pattern(label), "\\n", text)
        if n:
            found.add(label)
    return found, text


NOT = r"\\b(?:not|no|non|none|never|neither|nor|without|cannot)\\b|n't\\b|不是|并非|没有|不属于|[非无不]\\s*\\n"
SURE = r"\\b(?:no|without(?: an?y?)?|beyond(?: an?y?)?) (?:doubt|question)\\b"  # it denies nothing


def is_right(reply: str, private: dict) -> bool:
    """Exactly one label is named, it is the right one, and nothing says that it is not."""
    found, rest = labels_in(answer_in(reply))
    if {"no", "否", "不是", "没有", "无"} & found:  # a label that denies, and may go on to: "No, it is not."
        rest = rest.partition("\\n")[0]
    if re.search(NOT, re.sub(SURE, "", rest)):
        return False
    return found == {plain_words(private["answer"])}
'''
_FREE = '''
SHARE = 0.5  # of the words, as they are counted both in the reply and in the gold answer (F1)


def words_in(text: str) -> list[str]:
    return re.findall(r"[\\u3040-\\u30ff\\u3400-\\u9fff]|\\w+", text.casefold())


def is_right(reply: str, private: dict) -> bool:
    """No comparison tells whether a long text is right; this one takes what shares half of its words with the gold
    answer. A judge that reads (instar's op "rubric", with a larger judge_model) may be what you want."""
    said, gold = words_in(answer_in(reply)), words_in(private["answer"])
    both = sum(min(said.count(w), gold.count(w)) for w in set(said))
    return both > 0 and 2 * both / (len(said) + len(gold)) >= SHARE
'''
_ANY = '''

def is_right(reply: str, private: dict) -> bool:
    """Any of the accepted answers."""
    return any(is_answer(reply, {**private, "answer": gold}) for gold in private.get("answers", [private["answer"]]))
'''


def of_labels(found: OfKind) -> str:
    """The body of a verifier that wants exactly one of these labels."""
    lines = "".join(f"    {json.dumps(x, ensure_ascii=False)},\n" for x in found.labels)
    return _ANSWER + _LABELS.replace("LABELS_HERE", f"(\n{lines})")


def of_free() -> str:
    """The body of one that takes what shares most words."""
    return _ANSWER + _FREE


def of_any(text: str) -> str:
    """A verifier's text, made to take any of a task's ``answers``."""
    return text.replace("\ndef is_right(", "\ndef is_answer(") + _ANY
