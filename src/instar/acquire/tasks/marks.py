"""Where the result of a worked answer stands: after "####", in a box, after "Answer:" in some language, at the end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from instar.acquire.tasks.cells import NotSo
from instar.extract import is_number, writing
from instar.extract.numbers import number, numbers
from instar.extract.reading import EXPLICIT, IN_A_SENTENCE

MARKS = ("####", "boxed", "The answer is", "the answer is", "Answer:", "答案是", "答案:")
"""What the result of a worked answer stands after, the surest first: GSM8K's, a box, words. There are two more:
"any", where it is one of all that are known, and "number": it is the number that a long answer ends with."""
SHORT = 60
"""Characters of a result, at most."""
NEARLY_ALL = 0.95
MOST = 0.6
"""Share of the answers that have a mark from which the others are faults, which are named, and no answers of another
kind."""
_END = 400
"""Characters at the end of a text in which its last number is looked for first."""
_LAST_NUMBER = re.compile(r"(-?\d[\d,]*(?:\.\d+)?)[^\w]*$")
_WORDS = (
    "(?:final |end)?results?|final solution|ответ|итог|答え|解答|정답|답|odpowiedź|odpověď|antwoord|cevap|svar|vastaus|"
    "jawaban|đáp án|đáp số|उत्तर|الجواب|الإجابة|lösung|ergebnis|resultado|résultat|risultato|rezultat|wynik"
)
_IS = (
    "(?:la respuesta|die antwort|la réponse|a resposta|la risposta)(?: final| finale| correcta| correta| corretta)? "
    "(?:es|ist|est|lautet|é|è)"
)
_HEADING = r"^[ \t]*(?:#{1,6}[ \t]*)?\*{0,2}(?:the )?(?:final |correct )?(?:answer|result|答案)\*{0,2}[ \t]*$"
_KNOWN = tuple(
    re.compile(said, re.IGNORECASE | re.MULTILINE)
    for said in (
        rf"{_HEADING}|^#{{2,6}}[ \t]+(?=[^\n]{{1,{SHORT}}}\s*\Z)|(?<!\w)(?:{_WORDS})\*{{0,2}}[ \t]?[:\uff1a]"
        rf"|{EXPLICIT.pattern}",
        rf"\b(?:{_IS}|jibu ni)\b[*: \t]{{0,4}}|(?:คำตอบคือ|উত্তর (?:হল|হলো)|సమాధానం)[*: \t]{{0,4}}"
        rf"|{IN_A_SENTENCE.pattern}",
    )
)
"""All marks that are known, those of the reader of replies among them: the explicit ones, and what a sentence says."""
_PROGRAM = re.compile(r"```|^[^\S\n]*(?:def |class |import |from \w+ import |#include)", re.MULTILINE)
_THOUGHT = re.compile(
    r"\s*<(?:think|thinking|thought|reasoning|reflection)>|</(?:think|thinking|thought|reasoning|reflection)>"
)
_IT_IS = re.compile(r"\s?(?:です|である|だ|(?:と|に)なります|입니다|이다)\Z")
"""What a sentence in Japanese or Korean ends with after its result."""
_AROUND = "* \t\r\n"
_LETTER = re.compile(r"[(\[]?[A-J][)\]]?")
_CLAUSE = re.compile(r"[.;]\s|\s\(|\s[-\u2013\u2014]\s(?!\d)|[。\uff1b！\uff08]")
_REASON = re.compile(
    r"(?:because|since|weil|denn|parce que|car|puisque|porque|ya que|perché|poiché|потому|так как|ponieważ|omdat|çünkü)"
    r"\b|因为|因為|なぜなら|왜냐하면",
    re.IGNORECASE,
)
"""How a sentence begins that says why."""
_SHORTEST = 8
"""Characters of a first clause that may be a result itself: "velvet", "no"."""


def mark_of(golds: Sequence[Any]) -> str:
    """What stands before the result in most of these answers, which are worked out first; "" if nothing does. Where it
    does in most and not in all, the others cannot be read: ``result`` says so of each."""
    texts = [g for g in golds if isinstance(g, str)]
    if len(texts) < len(golds) or not texts:
        return ""
    texts = [without_thoughts(t) for t in texts]
    held = {mark: sum(_has(t, mark) for t in texts) for mark in MARKS}
    if max(held.values()) < len(texts):
        held["any"] = sum(_has(t, "any") for t in texts)
    best = max(held, key=lambda mark: held[mark])
    if best not in ("####", "boxed", "any") and _explicit(texts, best):
        best, held["any"] = "any", sum(_has(t, "any") for t in texts)
    if held[best] >= NEARLY_ALL * len(texts):
        return best
    if min(map(len, texts)) > SHORT and sum(_has(t, "number") for t in texts) >= NEARLY_ALL * len(texts):
        return "number"
    if held[best] >= MOST * len(texts) and sum(_ends(t, best) for t in texts) >= MOST * len(texts):
        return best
    return ""


def _has(text: str, mark: str) -> bool:
    try:
        return len(result(text, "answer", mark)) <= SHORT and (mark != "boxed" or boxed(text) is not None)
    except NotSo:
        return False


def _explicit(texts: Sequence[str], mark: str) -> bool:
    """Whether most of these also have a mark that is more than words of a sentence, with another result after it:
    "Result: 7. Why the answer is found so"."""
    has = [t for t in texts if _has(t, mark) and _has(t, "any")]
    return 2 * sum(result(t, "answer", mark) != result(t, "answer", "any") for t in has) > len(texts)


def _ends(text: str, mark: str) -> bool:
    """Whether a text ends with the result after this mark, as a worked answer does; a talk about answers does not."""
    if not _has(text, mark):
        return False
    last = text.strip().splitlines()[-1]
    return result(text, "answer", mark) in last or "boxed" in last


def result(text: str, column: str, mark: str) -> str:
    """What stands after a mark. Raises NotSo where nothing does."""
    if mark == "boxed":
        inner = boxed(text)
        if inner is None and len(text.strip()) > SHORT:  # a short text is a result without its box
            raise NotSo(f"the {column} has no \\boxed{{...}} with a result in it")
        return inner or text.strip()
    if mark == "number":
        return _last_number(text, column)
    if mark == "any":
        said = _any(text)
        if said is None:
            raise NotSo(f"the {column} has no mark (Answer:, ####, \\boxed{{...}}) with a result after it")
        return said[1]
    _, found, after = text.rpartition(mark)
    line = _line(after, "")
    if not found or not line:
        raise NotSo(f"the {column} has no {mark!r} with a result after it")
    inside = _any(line)
    return line if inside is None else inside[1]


def steps(text: str, mark: str) -> str:
    """What a worked answer says before its result; the whole of it where the result is a part of a sentence."""
    text = without_thoughts(text)
    if mark == "any" and boxed(text) is None and (said := _any(text)) is not None:
        return re.sub(r"[^.!?。！？\n]*\Z", "", text[: said[0]])
    return text if mark in ("any", "boxed", "number") else text.rpartition(mark)[0]


def without_thoughts(text: str) -> str:
    """An answer without the thoughts that a reasoning model wrote before it; "" where nothing follows them."""
    if "<|end_of_thought|>" in text:  # OpenThoughts and Sky-T1
        text = re.sub(r"<\|(?:begin|end)_of_solution\|>", "", text.rpartition("<|end_of_thought|>")[2]).strip()
    begins = _THOUGHT.match(text) is not None or ("</" in text and _THOUGHT.search(text) is not None)
    return writing.without_reasoning(text).strip() if begins else text


def _any(text: str) -> tuple[int, str] | None:
    """Where the last mark of a text stands, of all that are known, and the result after it; None for a program."""
    if _PROGRAM.search(text):
        return None
    if (inner := boxed(text)) is not None:
        return text.rfind("\\boxed{"), inner
    for known in _KNOWN:
        for match in reversed(list(known.finditer(text))):
            if line := _line(text[match.end() :], match.group()):
                said = _in_a_sentence(line)  # "Step-by-step answer: first ... The answer is 7."
                return match.start(), said or line
    return None


def _in_a_sentence(line: str) -> str:
    """The number or letter that the last sentence of a line tells; "" where none does, and where the line begins with a
    result itself: "37 (the answer is 37.2, rounded)"."""
    for match in reversed(list(_KNOWN[-1].finditer(line))):
        if said := _line(line[match.end() :], match.group()):
            first = _CLAUSE.split(line[: match.start()])[0].strip(_AROUND)
            short = bool(first) and (len(first) <= _SHORTEST or is_number(first))
            begins = re.split(r",\s|，", first)[0]  # "no, because ...", and not "first, ..."
            short = short or is_number(begins) or begins.casefold() in ("yes", "no", "true", "false")
            return said if not short and (is_number(said) or _LETTER.fullmatch(said)) else ""
    return ""


def _line(after: str, mark: str) -> str:
    """The result that a text begins with, without what decorates it."""
    lines = (line.strip(_AROUND + ":：") for line in after.partition("</answer>")[0].splitlines())
    line = next((x for x in lines if x and not re.fullmatch(_HEADING, x, re.IGNORECASE)), "").rstrip(" .。।*")
    line = without if is_number(without := _IT_IS.sub("", line)) else line
    said = re.match(r"(\S+?)[.。!！](?:\s|$)", line)
    if said and (is_number(said[1]) or _explained(said[1], line[said.end() :])):
        return said[1]
    if formula := re.fullmatch(r"\$([^$]+)\$|\\\((.+)\\\)", line):
        return (formula[1] or formula[2]).strip() if mark else line
    if mark.startswith("答") and "案" not in mark:  # the sentence that ends a Chinese solution: 答: 一共85个
        found = numbers(line)
        return line[found[0].start :] if len(found) == 1 else line
    return line


def _explained(said: str, rest: str) -> bool:
    """Whether the first sentence of a line is a whole answer, and what follows is why. "No. 7" is a number, and what
    follows a letter may be the option's own text, or a name ("B. Paris", "J. Smith"), unless it begins as a reason."""
    if said.casefold() in ("yes", "no", "true", "false"):
        return bool(rest.strip()) and not re.match(r"\W*\d", rest)
    return bool(_LETTER.fullmatch(said)) and _REASON.match(rest.lstrip()) is not None


def _last_number(text: str, column: str) -> str:
    """The number that a text ends with, as it is written there. Raises NotSo; also where it cannot be read whole."""
    line = writing.plainly(text.rstrip()[-_END:])
    found = numbers(line)
    if found and found[-1].start < _END // 8:  # what stands before it may belong to it
        line = writing.plainly(text)
        found = numbers(line)
    if not found or re.search(r"\w", line[found[-1].end :]):
        raise NotSo(f"the {column} does not end with a number")
    last = found[-1]
    if last.plain is None:
        raise NotSo(f"the {column} ends with {line[last.start :].strip()!r:.40}, which is no number that is read whole")
    written = _LAST_NUMBER.search(text)
    return written[1] if written and number(written[1]) == number(last.plain) else str(last)


def boxed(text: str) -> str | None:
    """What the last \\boxed{...} of a text holds, braces matched."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 0, start + len("\\boxed{")
    for i in range(begin - 1, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[begin:i].strip() or None
    return None
