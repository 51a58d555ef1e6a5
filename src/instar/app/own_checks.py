"""Verifiers that ``instar init`` writes for what no single comparison of texts can tell: labels, several right answers,
free texts."""

from __future__ import annotations

import json

from instar.app.own_kinds import OfKind

_ANSWER = '''
import re


def answer_in(reply: str) -> str:
    """What follows the last "Answer:", or the whole reply; never what is said while thinking."""
    reply = re.sub(r"^.*</think>", "", reply, flags=re.DOTALL)
    return re.split(r"(?:answer|答案)\\s*[:\\uff1a]", reply, flags=re.IGNORECASE)[-1].strip()

'''
_LABELS = '''
LABELS = LABELS_HERE


def labels_in(text: str) -> set[str]:
    """The labels that a text names, each where it stands alone; of two that overlap, the longer."""
    text, found = text.casefold(), set()
    for label in sorted(LABELS, key=len, reverse=True):
        word = re.escape(label.casefold())
        left = r"(?<![^\\W_])" if label[0].isascii() and label[0].isalnum() else ""
        right = r"(?![^\\W_])" if label[-1].isascii() and label[-1].isalnum() else ""
        text, n = re.subn(left + word + right, " \\n ", text)
        if n:
            found.add(label)
    return found


def is_right(reply: str, private: dict) -> bool:
    """Exactly one label is named, it is the right one, and nothing says that it is not."""
    answer = answer_in(reply)
    if re.search(r"\\b(?:not|no|never|neither|isn't|nor)\\b|不是|并非", labels_out(answer), re.IGNORECASE):
        return False
    return {x.casefold() for x in labels_in(answer)} == {private["answer"].strip().casefold()}


def labels_out(text: str) -> str:
    """A text without its labels: a "no" that is a label denies nothing."""
    for label in sorted(LABELS, key=len, reverse=True):
        text = re.sub(re.escape(label), " ", text, flags=re.IGNORECASE)
    return text
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
    return text.replace("def is_right(", "def is_answer(") + _ANY
