"""Find the answer in what a model wrote. The text is untrusted: only its end is read, and no pattern backtracks far."""

# ruff: noqa: RUF001 - look-alike signs are meant
from __future__ import annotations

import json
import re
from typing import Any, Literal, get_args

from instar.extract import choices
from instar.extract.numbers import Number, is_number, number, numbers
from instar.extract.quantities import is_amount, quantity
from instar.extract.writing import algebra, boxes, plainly, visible, without_reasoning

How = Literal["auto", "answer_line", "last_number", "choice", "text"]
HOWS: tuple[str, ...] = get_args(How)

LOOK_AT = 4_000
"""Characters, counted from the end, that are looked at; as many more as the gold answer has."""

_HEADING = (
    r"^[ \t]{0,3}(?:#{1,6}[ \t]{0,3}\*{0,2}|\*\*)(?:(?:the|my|final|correct|short)[ ]){0,2}answer\*{0,2}[ \t]{0,4}$"
    r"(?=\s{1,8}(?:\*{0,2}\(?[A-J][.)]\*{0,2}[ ])?[^\s#](?:[^\n.;]|\.(?=\d)){0,60}\.?\*{0,2}"
    r"(?:\s{0,8}\Z|\s{0,4}\n[ \t]{0,3}(?:#|\*\*|---)))"
)
"""A heading over an answer of one short line: "### Answer". A derivation under one has its answer at its end."""
EXPLICIT = re.compile(
    rf"(?:{_HEADING}|"
    r"\bans(?:wer)?\b\*{0,2}[ \t]{0,4}[:=]|####|<answer>|\b(?:antwort|réponse|respuesta|risposta|resposta|antwoord"
    r"|svar|odpowiedź|odpověď|cevap|jawaban|ответ|відповідь|الإجابة|الجواب)\b\*{0,2}[ \t\xa0\u202f]?[:：]"
    r"|(?:答案|答え?|結果|结果|回答|正解|解答|정답|답)(?:是|为|は)?\*{0,2}[ \t]?[:：]|【答案】)\*{0,2}[ \t]{0,4}",
    re.IGNORECASE | re.MULTILINE,
)
IN_A_SENTENCE = re.compile(
    r"\banswer(?: to (?:this|the|your) (?:question|problem))? (?:is|would be|must be|should be)\b[*: \t]{0,4}"
    r"|\b(?:antwort (?:ist|lautet)|réponse (?:correcte |exacte |finale )?est|respuesta (?:correcta |final )?es"
    r"|risposta (?:corretta |giusta |finale )?è|resposta (?:correta |certa |final )?é|antwoord is|svaret är"
    r")\b[*: \t]{0,4}|\bответ\s?(?:[-—–]|будет|это)(?:\s+это)?[*: \t]{1,4}"
    r"|答案(?:就|应该?)?(?:是|为)[: \t]{0,4}|(?:答え|正解|答案|解答)は[: \t]{0,4}|(?:정답|답)은[: \t]{0,4}",
    re.IGNORECASE,
)
_ANSWER = re.compile(r"\banswer\s?[:=]|答案\s?[:：]", re.IGNORECASE)
_IN_TEXT = re.compile(r"\$?\\(?:text|textbf|textit|mathrm|mbox)\s?\{([^{}]{1,200})\}\$?")
_FENCED = re.compile(r"```[\w+#.-]{0,20}[ \t]{0,8}\n(.*?)\n?[ \t]{0,8}```", re.DOTALL)
_DECODER = json.JSONDecoder()
_TRIES = 50
"""Places of a reply from which JSON is read, at most: a text may be nothing but brackets."""
_PIECE = re.compile(r"[^\W\d_]+|\d+|\s+|.", re.DOTALL)
_JSON_KEYS = ("answer", "final_answer", "result", "label", "output", "答案")
_TRAILING = ".,;:!。、，；：！"
_DECORATION = "*_`$\"' \t\r\n“”‘’「」『』《》【】"
_CLAUSE = re.compile(
    r"[(\[;（。]|\.(?:\s|$)|\b(?:because|since|so that|as|which|where|if|when|for)\b|因为|其中"
    r"|\b(?:weil|denn|parce|puisque|porque|perché|poiché|потому)\b",
    re.IGNORECASE,
)
_REMARK = re.compile(
    rf"(?:{_CLAUSE.pattern}|(?:see|rounded|approx\w*|about|roughly|exactly|in total|total|i\.e)\b)", re.IGNORECASE
)
"""What in brackets behind a number is no unit: "7 (because ...)", "7 (rounded)"."""
_IS = re.compile(
    r"^[^.!?\n]{1,200}?(?:\b(?:is|are|was|were)\b|=|(?<![不非没])[是为])\s*([^.!?;,\n]{1,60}?)\s*(?:[.!?;,\n]|$)"
)
_SORRY = re.compile(
    r"\b(?:wait|actually|correction|mistake|mistaken|sorry|instead|or rather)\b|不对|更正", re.IGNORECASE
)
_ONE_WORD = re.compile(r"\b(?:is|are)(?: also)? ([A-Za-z]{3,})[.,;]")
_LATEX = re.compile(r"\\[A-Za-z]|\^|_\{")
_END = 600
"""Characters at the end of a reply in which its last number is looked for first."""
_WORDS = 30
"""A reply of more words than this is no short answer in words."""


def extract(reply: str, how: How, gold: str | None = None) -> str | None:
    """The answer in a reply, or None if there is none that can be read whole.

    how:
        ``answer_line``: what follows the last "Answer:" on its line (also "The answer is", "####", "<answer>", 答案:,
            and the same in other languages).
        ``last_number``: the last number; thousands marks and a plus sign are removed, "3 / 4" becomes "3/4".
        ``choice``: one option letter A-J, upper case; up to Z where gold is a later one.
        ``text``: the whole reply without surrounding white space.
        ``auto``: the last \\boxed{...} or marker wins if there is one, otherwise the last number. Only the *kind* of
            ``gold`` matters, never its value: where gold is a number, a number is taken; where it is one letter, a
            letter; where it is several letters, yes or no, a number with its unit, a date, the same; where it has
            several lines (or is "", which says that any shape will do), all that follows the marker; where it is
            other text and there is no marker, the whole reply, or what its first sentence says that it is.

    A block of reasoning (<think>...</think>) is left out, but for ``text``. A number that cannot be read whole
    ("between 6 and 7", "7x", "10-5", "-(7)"), or a letter that is one of several, denied or taken back,
    is no answer.
    """
    if how == "text":
        return reply[-(LOOK_AT + len(gold or "")) :].strip() or None
    gold = None if gold is None else visible(gold)
    text = visible(without_reasoning(reply)[-(LOOK_AT + len(gold or "")) :].replace("−", "-"))
    if not text.strip():
        return None
    if how == "last_number":
        text = _in_json(text) or text
        return _told(*_at_the_end(text))
    marked = _in_json(text) or _marked(text)
    if how == "answer_line":
        return _clean(marked, gold) if marked is not None else None
    marked = _boxed_or(text, marked)
    if how == "choice":
        return _choice(text, marked, gold)
    return _auto(text, marked, gold)


def answer_line(reply: str) -> str | None:
    """What follows the last "Answer:" on its line, as it is written there, with its $ signs."""
    line = _marked(visible(without_reasoning(reply)[-LOOK_AT:]))
    return None if line is None else line.strip().removeprefix("**").rstrip(_TRAILING + "* ") or None


def _auto(text: str, marked: str | None, gold: str | None) -> str | None:
    if gold is not None and not is_number(gold):
        return _of_kind(text, marked, gold)
    if marked is None:
        return _told(*_at_the_end(text))
    # a marker wins: with an equation after it the result, otherwise the one number that is named
    if gold is None and re.search(r"[^\W\d_]{3}.*[^\W\d_]{3}", marked) and not _LATEX.search(marked):
        return _clean(marked, gold)  # nothing says that a number is wanted, and this is a sentence
    line = plainly(marked)
    line = line.rpartition("=")[2] if "=" in line else line
    found = numbers(line)
    if not found:
        return _clean(marked, gold)
    clause = _CLAUSE.split(line[found[0].end :])[0]
    own = [n for n in found if n.start < found[0].end + len(clause)]
    if len(own) == 1 and own[0].plain is not None:
        return None if choices.denied(line[own[0].end :], own[0].plain) else str(own[0])
    if _LATEX.search(line) and not re.search(r"[A-Za-z]{3,}\s+[A-Za-z]{2,}", re.sub(r"\\[A-Za-z]+", "", line)):
        said = _clean(marked, gold)  # a formula: whoever compares it may see what it comes to
        return said if said is None or number(said) is None else None  # not what is left of one: 9 of "9!"
    return None


def _of_kind(text: str, marked: str | None, gold: str) -> str | None:
    """The answer where gold is no number: read as the kind of thing that gold is."""
    gold = gold.strip()
    if words := _IN_TEXT.fullmatch(gold):
        gold = words[1].strip()
    if gold and not gold.strip(_DECORATION + _TRAILING):
        return _of_signs(text, gold)
    if re.fullmatch(r"[A-J]|\([A-Ja-j]\)|[A-Ja-j][.)]|[b-hj]", gold):
        return _choice(text, marked, gold)
    if re.fullmatch(r"[K-Z]|\([K-Zk-z]\)", gold) and (letter := _choice(text, marked, gold)):
        return letter
    if (wanted := json_in(gold)) is not None and (found := _json_said(text, type(wanted))) is not None:
        return found
    if "\n" in gold or not gold:
        after = _after_marker(text)
        said_on = after.replace("</answer>", "") if after is not None else text
        return (said_on if "```" in gold or not gold else _unfenced(said_on)).strip() or None
    if re.fullmatch(r"[A-J]{2,}", gold) and (said := choices.together(plainly(text if marked is None else marked))):
        return said
    if choices.letters(gold) is not None:
        return choices.several(plainly(text if marked is None else marked)) or _word(text, marked, gold)
    if pair := choices.family(gold):
        return choices.yes_or_no(plainly(text if marked is None else marked), pair) or _word(text, marked, gold)
    if _LATEX.search(gold):
        if is_amount(gold) and (found := _numbered(text, marked)) is not None:
            return found
        return _clean(text if marked is None else marked, gold)
    if quantity(gold) is not None:
        found = _numbered(text, marked)
        if found is not None:
            return found
    elif re.search(r"\d", gold) and not re.search(r"[\[({]", gold):
        return _of_shape(text, marked, gold)
    return _word(text, marked, gold)


def _word(text: str, marked: str | None, gold: str) -> str | None:
    if marked is not None:
        return _clean(plainly(marked) if _LATEX.search(marked) else marked, gold)
    if len(gold.split()) <= 4 and not re.search(r"\d", gold):
        lines = text.strip()
        first = _IS.match(lines)
        others = {w.casefold() for w in _ONE_WORD.findall(lines)}
        if first and not _SORRY.search(lines) and not others - {_bare(first.group(1), gold).casefold()}:
            return _bare(first.group(1), gold) or None
        if first and len(lines.split()) > 3 and others:
            return None
    if len(text.split()) > _WORDS and len(gold.split()) < _WORDS // 2:
        return None
    return _clean(text, gold)


def _of_signs(text: str, gold: str) -> str | None:
    """The answer where gold is nothing but signs that are decoration elsewhere: "*", "``", "_"."""
    said = text[max((m.end() for m in _ANSWER.finditer(text)), default=0) :].strip()
    if said.startswith("**") and said != gold:
        said = said[2:].strip()  # of "**Answer:** *"
    quoted = re.fullmatch(r"(`+|\*\*|[\"'])\s?(.+?)\s?\1", said)
    return said if said == gold or quoted is None else quoted[2]


def _unfenced(text: str) -> str:
    """What is in a text's only block of code, without the fence and its language; a text without such: as it is."""
    blocks = _FENCED.findall(text)
    return str(blocks[0]) if len(blocks) == 1 else text


def json_in(text: str) -> dict[str, Any] | list[Any] | None:
    """The object or list that a text is, as JSON; None for anything else."""
    text = text.strip()
    if text[:1] + text[-1:] not in ("{}", "[]"):
        return None
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return held if isinstance(held, (dict, list)) else None


def _json_said(text: str, kind: type) -> str | None:
    """The one object or list that a reply holds, of what follows "Answer:" where that is there; None for several, for
    one that is denied, and for one that is a part of a formula."""
    after = _after_marker(text)
    text = _unfenced(text if after is None else after)
    at = text.find("{" if kind is dict else "[")
    for _ in range(_TRIES):
        if at < 0:
            break
        try:
            _, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            at = text.find("{" if kind is dict else "[", at + 1)
            continue
        around = re.search(r"[{}]" if kind is dict else r"[\d\[\](){}∪∩<>=^\\+*/-]", f"{text[:at]} {text[end:]}")
        denied = re.search(r"(?:\bnot|n't|\bnever)\W*\Z", text[max(0, at - 20) : at], re.IGNORECASE)
        return None if around or denied else text[at:end]
    return None


def _bare(said: str, gold: str) -> str:
    said = said.strip(_DECORATION + _TRAILING)
    return said if re.match(r"(?:the|an?)\s", gold, re.I) else re.sub(r"^(?:the|an?)\s", "", said, flags=re.I)


def _numbered(text: str, marked: str | None) -> str | None:
    """A number with what it counts: "60 km/h"."""
    if marked is not None:
        line = plainly(marked)
        line = line.rpartition("=")[2] if "=" in line else line
        found = numbers(line)
        clause = _CLAUSE.split(line[found[0].end :])[0] if found else ""
        own = [n for n in found if n.start < found[0].end + len(clause)]
        one = own[0] if len(own) == 1 else None
    else:
        line, one = _at_the_end(text)
    if one is None or one.plain is None:
        return None
    if one.unit:
        return f"{one.plain}%" if one.unit == "%" else f"{one.plain} {one.unit}"
    rest = line[one.end :]
    bracketed = re.match(r"[\s*_]{0,4}\(([^\W\d_][^()\d=\n]{0,60})\)", rest)
    if bracketed and not _REMARK.match(bracketed[1]):
        return f"{one.plain} {bracketed[1]}"
    unit = re.match(r"[\s-]?([A-Za-z°€£¥₹$\u4e00-\u9fff][^\s\d.,;:!?()=。]*(?: [A-Za-z][^\s\d.,;:!?()=]*){0,2})", rest)
    return f"{one.plain} {unit.group(1).rstrip('_*`')}" if unit else one.plain


def _of_shape(text: str, marked: str | None, gold: str) -> str | None:
    """A date, a time, a code: the one text of gold's shape (digits where it has digits, letters where letters). It is
    returned as it stands there where it is all that is said: a verifier may want the sign for "times" as gold has it.
    """
    shape, loose = _PIECE.sub(_one_of, gold), _loosely(gold)
    shapes = [shape, loose] if gold.isascii() else [shape]
    if marked is not None:
        line = _clean(marked, gold) or ""
        if re.fullmatch(shape, line) or re.fullmatch(loose, _outside(line).strip()):
            return line
        return next(filter(None, (_one(re.findall(s, _outside(marked))) for s in shapes)), line) or None
    for shape in shapes:
        if match := re.search(f"({shape})[\\s{re.escape(_TRAILING)}*]*$", _outside(text)):
            return match.group(1).strip()
    found = next(filter(None, (_one(re.findall(s, _outside(text))) for s in shapes)), None)
    return found or (_clean(text, gold) if len(text.split()) <= _WORDS else None)


def _outside(text: str) -> str:
    """A text made plain, with a factorial's sign as it is outside formulas."""
    return plainly(text).replace("^!", "!")


def _one(found: list[str]) -> str | None:
    """What all of these are; None where they differ."""
    return found[0].strip() if len(set(found)) == 1 else None


def _loosely(gold: str) -> str:
    """A pattern for what has gold's shape once it is made plain; in a formula with any blanks around its signs."""
    plain = _outside(gold).strip()
    if algebra(gold) is None:
        return _PIECE.sub(_one_of, plain)
    parts = re.split(r"[ \t]*([-+*/=<>≤≥:^±,])[ \t]*", plain)
    return "".join(
        rf"[ \t]{{0,2}}{re.escape(part)}[ \t]{{0,2}}" if i % 2 else _PIECE.sub(_one_of, part)
        for i, part in enumerate(parts)
    )


def _one_of(match: re.Match[str]) -> str:
    piece = match.group()
    if piece.isdigit():
        return rf"(?<!\d)\d{{{len(piece)}}}(?!\d)" if len(piece) > 1 else r"(?<!\d)\d{1,2}(?!\d)"
    if piece.isspace():
        return r"\s+"
    return r"[^\W\d_]+" if piece.isalpha() else re.escape(piece)


def _in_json(text: str) -> str | None:
    """The answer of a reply that is nothing but a JSON object with one, fenced or not."""
    whole = re.fullmatch(r"\s*(?:```(?:json)?\s*)?(\{.{1,2000}\})\s*(?:```)?\s*", text, re.DOTALL)
    if whole is None:
        return None
    try:
        held = json.loads(whole[1])
    except (ValueError, RecursionError):
        return None
    one = next((held[k] for k in _JSON_KEYS if k in held), None)
    return None if isinstance(one, bool) or not isinstance(one, (str, int, float)) else str(one).strip() or None


def _choice(text: str, marked: str | None, gold: str | None) -> str | None:
    beyond_j = gold is not None and re.fullmatch(r"[K-Zk-z]", gold.strip(" ().")) is not None
    if marked is None:
        return choices.letter(plainly(text), None, beyond_j=beyond_j)
    at, inner = (boxes(text) or [(0, "")])[-1]
    later = text[at:] if inner == marked else (_after_marker(text) or "").partition(marked)[2]
    return choices.letter(plainly(text), plainly(marked), plainly(later[:LOOK_AT]), beyond_j=beyond_j)


def _boxed_or(text: str, marked: str | None) -> str | None:
    """What the last box holds, unless a marker comes after it."""
    found = boxes(text)
    if not found:
        return marked
    end, inner = found[-1]
    later = EXPLICIT.search(text, end)
    return inner if later is None or not text[later.end() :].strip(_DECORATION + _TRAILING) else marked


def _after_marker(text: str) -> str | None:
    """All that follows the last marker that something follows; an explicit "Answer:" outranks "the answer is"."""
    for pattern in (EXPLICIT, IN_A_SENTENCE):
        for match in reversed(list(pattern.finditer(text))):
            rest = text[match.end() :]
            if rest.strip(_DECORATION + _TRAILING):
                return rest
    return None


def _marked(text: str) -> str | None:
    """The first line with anything on it after the last marker."""
    after = _after_marker(text)
    if after is None:
        return None
    if fenced := re.match(rf"\s*{_FENCED.pattern}", after, re.DOTALL):
        return str(fenced[1])
    line = next(line for line in after.splitlines() if line.strip(_DECORATION + _TRAILING))
    return line.partition("</answer>")[0]


def _clean(text: str, gold: str | None) -> str | None:
    """Without the decoration and the full stop that models add; what gold itself begins or ends with is left."""
    like = (gold or "").strip()
    text = (text if "```" in like else _unfenced(text)).strip()
    if like[-1:] not in tuple(_TRAILING):
        text = text.rstrip(_TRAILING)
    own = like[: len(like) - len(like.lstrip(_DECORATION))] + like[len(like.rstrip(_DECORATION)) :]
    text = text.strip("".join(c for c in _DECORATION if c not in own))
    if not own and like[-1:] not in tuple(_TRAILING):
        text = text.rstrip(_TRAILING)
    return text or None


def _told(text: str, found: Number | None) -> str | None:
    if found is None or found.plain is None or choices.denied(text[found.end :], found.plain):
        return None
    return str(found)


def _at_the_end(text: str) -> tuple[str, Number | None]:
    """The last number of a text that has no marker, and the text made plain in which it stands: as a rule the end."""
    tail = plainly(text[-_END:].partition(" ")[2]) if len(text) > _END else ""
    found = _last_number(tail) if tail else None
    if found is None or found.start < _END // 8:  # what stands before it may belong to it
        tail = plainly(text)
        found = _last_number(tail)
    return tail, found


def _last_number(text: str) -> Number | None:
    """The last number of a plain text; the result of its last equation, where only that is said again."""
    found = numbers(text)
    if not found:
        return None
    equals = text.rfind("=")
    result = next((n for n in found if n.start > equals), None) if equals >= 0 else None
    if result is None or result.plain is None or text[equals + 1 : result.start].strip(" $*"):
        return found[-1]
    left = {n.strip("()") for n in re.findall(r"\d[\d.]*", text[max(0, equals - 60) : equals].rpartition("\n")[2])}
    rest = re.sub(r"(\d[\d.]*)\s*(?:[-+*/x]|and)\s*(\d[\d.]*)", lambda m: _again(m, left), text[result.end :])
    later = numbers(rest)
    return result if all(n.plain == result.plain for n in later) else found[-1]


def _again(match: re.Match[str], left: set[str]) -> str:
    """Nothing, where two numbers are those that the equation works on; else what stood there."""
    return "" if {match.group(1).rstrip("."), match.group(2).rstrip(".")} == left else match.group()
